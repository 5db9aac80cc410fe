#!/usr/bin/env python3
"""ORDER blocks are whole, and their tests exist."""

import sys
import unittest

sys.dont_write_bytecode = True

import order_blocks
from rule_case import RuleCase


ORDER_BLOCK = """\
// ORDER  tails  <  head
// WHY    recovery trusts a head.  [I-7]
// CRASH  before the head: free. After: live.
// TEST   tests/crash/extent_test: HeadIsLast     <- fails when swapped
"""
TEST_FILE = "TEST_F(Extent, HeadIsLast) {\n}\n"


class OrderBlocks(RuleCase):
    rules = (order_blocks.check_order_blocks,)

    def test_a_block_is_whole(self):
        good = {"alloc/a.cc": ORDER_BLOCK, "tests/crash/extent_test.cc": TEST_FILE}
        self.assert_tidy(good)
        self.assert_tidy({"alloc/a.cc": ORDER_BLOCK, "tests/crash/extent_test/a.cc": TEST_FILE})
        for tag, line in zip(("WHY", "CRASH", "TEST"), ORDER_BLOCK.splitlines(True)[1:]):
            without = {**good, "alloc/a.cc": "\n" + ORDER_BLOCK.replace(line, "")}
            self.assert_reports(without, "alloc/a.cc:2", f"without {tag}")

    def test_its_test_exists(self):
        test = "tests/crash/extent_test.cc"
        self.assert_reports({"alloc/a.cc": ORDER_BLOCK}, "alloc/a.cc:4", "no test tests/crash")
        mentioned = {"alloc/a.cc": ORDER_BLOCK, test: "// HeadIsLast\n"}
        self.assert_reports(mentioned, "alloc/a.cc:4", "HeadIsLast")
        nameless = {"alloc/a.cc": ORDER_BLOCK.replace(": HeadIsLast", ""), test: TEST_FILE}
        self.assert_reports(nameless, "alloc/a.cc:4", "wants")

    def test_each_of_two_order_blocks_in_one_comment_is_whole(self):
        files = {
            "alloc/a.cc": ORDER_BLOCK + "// ORDER  a  <  b\n",
            "tests/crash/extent_test.cc": TEST_FILE,
        }
        self.assert_reports(files, "alloc/a.cc:5", "without WHY, CRASH, TEST")


if __name__ == "__main__":
    unittest.main()
