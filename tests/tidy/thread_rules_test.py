#!/usr/bin/env python3
"""Thread-local objects name their model."""

import sys
import unittest

sys.dont_write_bytecode = True

import rule_case
import thread_rules


class ThreadLocals(rule_case.RuleCase):
    rules = (thread_rules.check_thread_locals,)

    def test_without_a_model(self):
        for text in (
            "thread_local int a = 0;\n",
            "constinit thread_local int a;\n",
            "  static thread_local int a;\n",
            "extern thread_local int a;\n",
        ):
            self.assert_reports({"base/a.cc": text}, "base/a.cc:1", "TLS models")

    def test_with_one(self):
        text = '[[gnu::tls_model("initial-exec")]] constinit thread_local int a = 0;\n'
        self.assert_tidy({"base/a.cc": text})

    def test_words_and_tests(self):
        self.assert_tidy({"base/a.cc": "// a thread_local object\n"})
        self.assert_tidy({"base/a_test.cc": "thread_local int a;\n"})


if __name__ == "__main__":
    unittest.main()
