#!/usr/bin/env python3
"""valgrind and AddressSanitizer report a user's mistakes with blocks, and nothing else."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

HERE = pathlib.Path(__file__).parent


def run(mistake, *command, **environment):
    """The program's exit status and what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, pathlib.Path(folder) / "pool", mistake],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout


def in_valgrind(mistake):
    # Absent, it is missed: ./dev setup installs it.
    return run(
        mistake,
        "valgrind",
        "--error-exitcode=99",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite,indirect,possible",
        HERE / "mistakes",
    )


def in_asan(mistake):
    return run(mistake, *without_random_addresses(), HERE / "mistakes_asan")


def without_random_addresses():
    # The runtime gives up where the kernel moves mappings about by more than Debian's 28 bits.
    command = ["setarch", "--addr-no-randomize"]
    allowed = subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0
    return command if allowed else []


class Valgrind(unittest.TestCase):
    def sees(self, mistake, *sentences):
        status, output = in_valgrind(mistake)
        self.assertNotEqual(status, 0, output)
        for sentence in sentences:
            self.assertIn(sentence, output)

    def test_nothing_where_nothing_is_wrong(self):
        status, output = in_valgrind("none")
        self.assertEqual(status, 0, output)
        self.assertIn("ERROR SUMMARY: 0 errors", output)

    def test_a_load_after_free(self):
        self.sees("load-after-free", "Invalid read", "8 bytes inside a block of size 40 free'd")

    def test_a_load_after_free_of_what_is_older(self):
        self.sees("load-of-an-older-one-after-free", "Invalid read")

    def test_a_load_behind_the_end(self):
        self.sees("load-behind", "Invalid read", "0 bytes after a block of size 40 alloc'd")

    def test_a_decision_on_what_was_never_written(self):
        self.sees("load-of-unwritten", "depends on uninitialised value")

    def test_a_double_free(self):
        self.sees("free-twice", "a block of 40 bytes (size class 64)", "it was freed before")


class Asan(unittest.TestCase):
    def sees(self, mistake, *sentences):
        status, output = in_asan(mistake)
        self.assertNotEqual(status, 0, output)
        for sentence in sentences:
            self.assertIn(sentence, output)

    def test_nothing_where_nothing_is_wrong(self):
        status, output = in_asan("none")
        self.assertEqual(status, 0, output)
        self.assertNotIn("AddressSanitizer", output)

    def test_a_load_after_free(self):
        self.sees("load-after-free", "use-after-poison")

    def test_a_load_after_free_of_what_is_older(self):
        self.sees("load-of-an-older-one-after-free", "use-after-poison")

    def test_a_load_behind_the_end(self):
        self.sees("load-behind", "use-after-poison")

    def test_a_double_free(self):
        self.sees("free-twice", "it was freed before")

    def test_it_can_be_turned_off(self):
        status, output = run(
            "load-behind", *without_random_addresses(), HERE / "mistakes_asan", MORSEL_GUARD="0"
        )
        self.assertEqual(status, 0, output)


if __name__ == "__main__":
    unittest.main()
