#!/usr/bin/env python3
"""No entry may say less than site, mutation and reason."""

import sys
import unittest

sys.dont_write_bytecode = True

import equivalent

GOOD = """\
# What nobody can tell apart.

site      a/b.cc F: persist.Range(x, 8);
mutation  drop, delay
reason    It is flushed again,
          and nobody reads it before.

site      a/b.cc G: persist.Fence();
mutation  drop
reason    Another follows.
"""


class Equivalents(unittest.TestCase):
    def test_each_mutation_is_an_entry(self):
        entries = equivalent.parse(GOOD)
        site = "a/b.cc F: persist.Range(x, 8);"
        self.assertEqual(
            set(entries),
            {(site, "drop"), (site, "delay"), ("a/b.cc G: persist.Fence();", "drop")},
        )
        reason = "It is flushed again, and nobody reads it before."
        self.assertEqual(entries[site, "delay"].reason, reason)

    def test_an_entry_without_a_reason_is_refused(self):
        with self.assertRaises(equivalent.Malformed):
            equivalent.parse("site  a\nmutation  drop\n")
        with self.assertRaises(equivalent.Malformed):
            equivalent.parse("site  a\nmutation  drop\nreason\n")

    def test_other_words_are_refused(self):
        with self.assertRaises(equivalent.Malformed):
            equivalent.parse("site  a\nmutation  drop\nbecause  so\n")

    def test_the_same_twice_is_refused(self):
        with self.assertRaises(equivalent.Malformed):
            equivalent.parse(
                GOOD + "\nsite  a/b.cc G: persist.Fence();\nmutation  drop\nreason  x\n"
            )


if __name__ == "__main__":
    unittest.main()
