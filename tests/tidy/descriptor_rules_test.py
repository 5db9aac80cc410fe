#!/usr/bin/env python3
"""What makes a descriptor stands behind a floor."""

import sys
import unittest

sys.dont_write_bytecode = True

import descriptor_rules
import rule_case

OPENS = """\
int Open(const char* path) {
%s  return open(path, O_RDONLY);
}
"""
FLOOR = "  const DescriptorFloor floor;\n"


class Descriptors(rule_case.RuleCase):
    rules = (descriptor_rules.check_descriptors,)

    def test_a_call_without_a_floor_is_told(self):
        self.assert_reports({"os/file/a.cc": OPENS % ""}, "os/file/a.cc:2", "below 3")

    def test_a_floor_before_it_is_enough(self):
        self.assert_tidy({"os/file/a.cc": OPENS % FLOOR})

    def test_a_floor_in_another_function_is_not(self):
        text = OPENS % FLOOR + OPENS.replace("Open(", "Other(") % ""
        self.assert_reports({"os/file/a.cc": text}, "os/file/a.cc:6", "below 3")

    def test_a_floor_behind_it_is_not(self):
        text = "void F() {\n  fd = memfd_create(name, 0);\n" + FLOOR + "}\n"
        self.assert_reports({"os/memory/a.cc": text}, "os/memory/a.cc:2", "memfd_create")

    def test_each_way_to_make_one_is_known(self):
        for call in (
            "std::fopen(path, mode)",
            "syscall(SYS_userfaultfd, flags)",
            "fcntl(file, F_DUPFD_CLOEXEC, 0)",
            "opendir(path)",
            "io_uring_queue_init(8, &ring, 0)",
        ):
            text = "void F() {\n  x = " + call + ";\n}\n"
            self.assert_reports({"pmem/media/a.cc": text}, "pmem/media/a.cc:2", "below 3")

    def test_methods_of_such_names_make_none(self):
        text = "void F() {\n  pool.open(p);\n  Pool::open(p);\n  const Opening open(heap);\n}\n"
        self.assert_tidy({"os/file/a.cc": text})

    def test_tests_may(self):
        self.assert_tidy({"os/file/a_test.cc": OPENS % "", "os/testing/a_testing.cc": OPENS % ""})


if __name__ == "__main__":
    unittest.main()
