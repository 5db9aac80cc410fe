#!/usr/bin/env python3
"""What must be in the table, and what must make it fail."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import proof

SIMULATION = """\
#!/bin/sh
if [ "$1" = --gtest_list_tests ]; then echo Suite.; echo "  One"; exit; fi
echo "[ RUN      ] Suite.One"
echo "proof: heap, 7 states, 3 crashes in recovery, 1.5 s (seed $MORSEL_SEED)"
echo "[ RUN      ] Suite.Pairs"
echo "proof: list, 40 states, 6 crashes in recovery, 2.3 s (seed $MORSEL_SEED)"
exit ${SIMULATION_STATUS:-0}
"""
MUTATION = """\
#!/bin/sh
echo "killed     drop  a.cc F: x;"
echo "proof: mutants, 9 of 10 killed (0 by timeouts), 1 equivalent, 0 survived, 0 undecided, 5 s"
exit ${MUTATION_STATUS:-0}
"""


class Proof(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.write("simulation", SIMULATION)
        self.write("mutation", MUTATION)
        self.write("list.txt", f"{self.folder}/simulation\n")

    def write(self, name, text):
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def prove(self, **environment):
        done = subprocess.run(
            [sys.executable, proof.__file__, "list.txt", "./mutation", "mutants.txt"],
            cwd=self.folder,
            env={**os.environ, "MORSEL_SEED": "1", **environment},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    def test_a_target_is_there_for_each_seed_and_the_mutants_once(self):
        status, output = self.prove()
        self.assertEqual(status, 0, output)
        rows = [row.split() for row in output.splitlines()]
        self.assertIn(["heap,", "One", "(its", "seed)", "7", "3", "1.5"], rows)
        self.assertIn(["list,", "Pairs", "(fresh", "seed)", "40", "6", "2.3"], rows)
        self.assertEqual(sum(1 for row in rows if row[-4:-3] == ["seed)"]), 4)
        self.assertIn(["mutation", "check", "9", "of", "10", "5"], rows)

    def test_a_simulation_that_fails_is_shown_and_fails_it_all(self):
        status, output = self.prove(SIMULATION_STATUS="1")
        self.assertEqual(status, 1)
        self.assertIn("FAILED: simulation (its seed), simulation (fresh seed)", output)
        self.assertIn("7 states", output)

    def test_a_surviving_mutant_fails_it_all(self):
        status, output = self.prove(MUTATION_STATUS="1")
        self.assertEqual(status, 1)
        self.assertIn("FAILED: the mutation check", output)


if __name__ == "__main__":
    unittest.main()
