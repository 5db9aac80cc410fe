#!/usr/bin/env python3
"""Names and words that say nothing are found."""

import sys
import unittest

sys.dont_write_bytecode = True

import words
from rule_case import RuleCase


class Words(RuleCase):
    rules = (words.check_layouts, words.check_names, words.check_words)

    def test_layouts(self):
        self.assert_tidy({"pmem/a_layout.h": "static_assert(sizeof(A) == 8);\n"})
        self.assert_reports({"pmem/a_layout.h": "struct A {};\n"}, "pmem/a_layout.h:1", "asserts")

    def test_names(self):
        for name in ("base/util.h", "base/string_utils.h", "misc/a.py", "pmem/map_manager.cc"):
            self.assert_reports({name: ""}, f"{name}:1", "says nothing")
        self.assert_tidy({"base/utility_model.h": ""})

    def test_words(self):
        for word in ("TO" "DO", "FIX" "ME", "X" "XX"):
            self.assert_reports({"dev": f"# {word}: x\n"}, "dev:1", word)
        self.assert_tidy({"dev": "mktemp /tmp/aXXXXXX\n"})

    def test_tests_run_and_do_not_wait(self):
        sleep = "std::this_thread::sleep_for(a);"
        for line in ("GTEST_" "SKIP();", "TEST(A, DIS" "ABLED_B);", "usleep(1);", sleep):
            for name in ("base/a_test.cc", "tests/crash/a.cc"):
                self.assert_reports({name: line + "\n"}, f"{name}:1", "")
            self.assert_tidy({"base/a.cc": line + "\n"})


if __name__ == "__main__":
    unittest.main()
