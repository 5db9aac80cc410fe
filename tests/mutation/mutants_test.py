#!/usr/bin/env python3
"""Shares are the same for everybody, and together they are everything."""

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

    def test_shares_are_parts_of_the_whole(self):
        parts = [mutants.share(self.all, part, 3, "today") for part in (1, 2, 3)]
        self.assertEqual(sorted(sum(parts, []), key=str), sorted(self.all, key=str))
        self.assertEqual(parts[0], mutants.share(self.all, 1, 3, "today"))

    def test_another_seed_deals_anew(self):
        dealt = {str(mutants.share(self.all, 1, 2, seed)) for seed in range(20)}
        self.assertGreater(len(dealt), 1)

    def test_a_switch_names_program_mutation_and_chains(self):
        self.assertEqual(mutants.switch("a_test", {(31, 2), (1,)}, "drop"), "a_test:drop:1;1f,2")


if __name__ == "__main__":
    unittest.main()
