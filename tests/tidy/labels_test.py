#!/usr/bin/env python3
"""Labels of contracts are found where readers do not look for them."""

import sys
import unittest

sys.dont_write_bytecode = True

import labels
from rule_case import RuleCase


class Labels(RuleCase):
    rules = (labels.check_labels,)

    def test_at_the_beginnings_of_lines(self):
        self.assert_tidy({"base/a.h": "/// Errors      none. Threads any.\n/// Threads     any.\n"})
        self.assert_tidy({"base/a.h": "/* Errors   none.\n * Threads  any. */\n"})
        self.assert_tidy({"base/a.h": "int a;  ///< Units  bytes\n"})

    def test_inside_of_lines(self):
        for label in labels.LABELS:
            for line in ("/// Returns  it. {}  any.", "  // ORDER  a {}  c", " * it. {}  any."):
                files = {"base/a.h": "\n" + line.format(label) + "\n"}
                self.assert_reports(files, "base/a.h:2", f"'{label}'")

    def test_at_the_ends_of_lines(self):
        text = "/// It does not fail here. Durability\n/// kWrite: on return.\n"
        self.assert_reports({"base/a.h": text}, "base/a.h:1", "'Durability'")
        self.assert_tidy({"base/a.h": "/// Each of the kinds of\n/// Units\n"})
        self.assert_tidy({"base/a.h": "/// Tells all known Errors\n"})

    def test_code_is_no_comment(self):
        self.assert_tidy({"base/a.cc": 'auto a = "so many Errors  here";\n'})
        self.assert_tidy({"base/a.cc": "Result<int> Errors  = 3;\n"})


if __name__ == "__main__":
    unittest.main()
