#!/usr/bin/env python3
"""Each kind of call has its mutants, and a mutant its switch."""

import sys
import unittest

sys.dont_write_bytecode = True

import mutants
import sites


def site(name, kind):
    return name, sites.Site(name, kind, {"p": {(1,)}})


class Mutants(unittest.TestCase):
    def setUp(self):
        found = dict(
            [site("a.cc F: x;", "flush"), site("a.cc F: y;", "range"), site("b.cc: z", "sync")]
        )
        self.all = mutants.all_mutants(found)

    def test_each_kind_has_its_own_mutations(self):
        self.assertEqual(
            [(m.site, m.mutation) for m in self.all],
            [("a.cc F: x;", "drop"), ("a.cc F: x;", "delay")]
            + [("a.cc F: y;", m) for m in ("drop", "no-flush", "no-fence", "delay")]
            + [("b.cc: z", "drop"), ("b.cc: z", "delay")],
        )
        self.assertEqual(self.all[0].path, "a.cc")

    def test_a_switch_names_program_mutation_and_chains(self):
        self.assertEqual(mutants.switch("a_test", {(31, 2), (1,)}, "drop"), "a_test:drop:1;1f,2")


if __name__ == "__main__":
    unittest.main()
