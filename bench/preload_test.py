#!/usr/bin/env python3
"""The malloc that is preloaded keeps what malloc(3) promises; the comparison of programs works."""

import contextlib
import csv
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True

import machine
import preload
import preload_programs
import programs

CASES = programs.HERE / "malloc" / "malloc_cases_testing"
ADAPTER = programs.HERE / preload.ALLOCATORS["morsel"]


class Adapter(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        self.addCleanup(folder.cleanup)
        self.scratch = folder.name

    def run_under(self, library, command):
        environment = os.environ | {"LD_PRELOAD": str(library), "TMPDIR": self.scratch}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def test_the_cases_hold_for_the_c_librarys_malloc(self):
        done = self.run_under("libc.so.6", [CASES])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("libc.so", done.stdout)

    def test_the_cases_hold_for_a_morsel(self):
        done = self.run_under(ADAPTER, [CASES])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        served_by, address = done.stdout.split()
        self.assertEqual(pathlib.Path(served_by).name, ADAPTER.name)
        # The window of new pools.
        self.assertTrue(0x160000000000 <= int(address) < 0x2A0000000000, done.stdout)

    def test_nothing_is_left_of_the_morsels(self):
        self.run_under(ADAPTER, [CASES])
        self.assertEqual(os.listdir(self.scratch), [])

    def test_a_program_does_not_start_without_its_morsel(self):
        environment = os.environ | {"LD_PRELOAD": str(ADAPTER), "TMPDIR": f"{self.scratch}/none"}
        done = subprocess.run([CASES], env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No such file or directory", done.stderr)


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        cls.addClassCleanup(folder.cleanup)
        cls.out = pathlib.Path(folder.name, "out")
        # Sockets' paths are short.
        scratch = tempfile.TemporaryDirectory(dir="/tmp")
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = pathlib.Path(scratch.name)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            tiny = ["--rounds=2", "--scale=0.01", f"--folder={cls.scratch}", f"--out={cls.out}"]
            status = preload.main(tiny)
        assert status == 0, status
        cls.printed = printed.getvalue()
        with open(cls.out / "preload.csv", newline="", encoding="utf-8") as file:
            cls.rows = list(csv.DictReader(file))

    def test_each_program_ran_under_each_allocator_or_is_left_out_by_name(self):
        ran = sorted((row["program"], row["allocator"], row["round"]) for row in self.rows)
        expected = []
        for name, program in preload_programs.PROGRAMS.items():
            if program.is_installed():
                expected += [(name, other, n) for other in preload.ALLOCATORS for n in "12"]
            else:
                self.assertIn(f"left out: {name} ", self.printed)
        self.assertEqual(ran, sorted(expected))
        # Those that the build needs are always there.
        self.assertLess({"python3", "perl", "g++"}, {program for program, _, _ in ran})
        self.assertIn("left out: snmalloc", self.printed)

    def test_every_column_is_filled(self):
        self.assertEqual(list(self.rows[0]), [*machine.facts(), *preload.COLUMNS])
        for row in self.rows:
            self.assertGreater(float(row["cpu_seconds"]), 0)
            self.assertGreater(float(row["peak_mib"]), 1)

    def test_the_picture_is_whole_and_names_everything(self):
        root = xml.etree.ElementTree.parse(self.out / "preload.svg").getroot()
        words = {" ".join(text.split()) for text in root.itertext()}
        expected = {*preload.ALLOCATORS, *(row["program"] for row in self.rows)}
        self.assertEqual(expected - words, set())

    def test_nothing_is_left_behind(self):
        self.assertEqual(list(self.scratch.iterdir()), [])


class Failures(unittest.TestCase):
    def run_perl(self, library, script):
        with tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"]) as folder:
            return preload_programs._run(["/usr/bin/perl", "-"], library, folder, script)

    def test_a_library_that_cannot_be_loaded_is_no_result(self):
        with self.assertRaisesRegex(programs.Failed, "cannot be preloaded"):
            self.run_perl("libnone.so", "print 1;")

    def test_the_peak_is_the_programs_own(self):
        ballast = bytearray(200 << 20)  # of who starts it
        ballast[:: 4096] = b"x" * len(ballast[:: 4096])
        small = self.run_perl("libc.so.6", "print 1;").peak_mib
        large = self.run_perl("libc.so.6", "my $text = 'x' x (50 << 20); print 1;").peak_mib
        self.assertLess(small, 40)
        self.assertGreater(large, small + 45)

    def test_a_program_that_fails_is_no_result(self):
        with self.assertRaisesRegex(programs.Failed, "perl -: status 3: why"):
            self.run_perl("libc.so.6", "print STDERR 'why'; exit 3;")

    def test_another_answer_is_no_result(self):
        answers = iter(["a", "a", "b"])
        program = preload_programs.Program(
            lambda *_: preload_programs.Use(1, 1, next(answers)), "/bin/true", "none"
        )
        preload_programs.PROGRAMS["odd"] = program
        self.addCleanup(preload_programs.PROGRAMS.pop, "odd")
        options = preload.parse(["--rounds=1", f"--folder={os.environ['TEST_TMPDIR']}"])
        libraries = {"morsel": "", "glibc": "", "mimalloc": ""}
        with self.assertRaisesRegex(programs.Failed, "odd answers something else with morsel"):
            list(preload.measure(["odd"], libraries, options))


if __name__ == "__main__":
    unittest.main()
