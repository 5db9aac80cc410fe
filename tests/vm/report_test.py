#!/usr/bin/env python3
"""What a report counts and shows."""

import sys
import unittest
import xml.etree.ElementTree as ElementTree

sys.dont_write_bytecode = True

import report


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.lines = []
        self.report = report.Report(self.lines.append)

    def test_a_problem_is_a_failure_and_is_told(self):
        self.report.test("ext4", "opens")
        self.report.test("ext4", "closes", "it does not")
        self.assertEqual(self.report.sum(), "1 passed, 1 failed, 0 skipped")
        self.assertEqual(self.lines[-1], "FAILED (vm) ext4: closes: it does not")

    def test_the_table_has_a_row_for_each_medium_in_their_order(self):
        self.report.test("xfs", "opens")
        self.report.faults("xfs", 3, 2 << 30)
        self.report.survived("ext4", 7, 7)
        self.report.survived("ext4", 5, 3)
        _, xfs, ext4 = self.report.table()
        self.assertEqual(xfs.split(), ["xfs", "1", "0", "2", "-", "-", "-"])
        self.assertEqual(ext4.split(), ["ext4", "0", "0", "-", "2", "7", "3"])

    def test_a_machine_that_died_leaves_a_failure(self):
        self.report.test("machine", "stays up", "nothing came for 5 s")
        self.assertEqual(self.report.failed, 1)

    def test_the_file_for_the_sum_has_every_test_and_which_failed(self):
        self.report.test("ext4", "opens")
        self.report.test("ext4", "closes", "it does not: <&>")
        opens, closes = ElementTree.fromstring(self.report.xml()).iter("testcase")
        self.assertEqual((closes.get("classname"), closes.get("name")), ("ext4", "closes"))
        self.assertIsNone(opens.find("failure"))
        self.assertIsNotNone(closes.find("failure"))


if __name__ == "__main__":
    sys.exit(unittest.main())
