#!/usr/bin/env python3
"""Circles are found, and units are what belongs together."""

import sys
import unittest

sys.dont_write_bytecode = True

import circles
from rule_case import RuleCase


class HeaderCircles(RuleCase):
    rules = (circles.check_circles_of_headers,)

    def test_headers(self):
        a_to_b = {"base/a.h": '#include "base/b.h"\n', "base/b.h": ""}
        self.assert_tidy({**a_to_b, "base/b.cc": '#include "base/a.h"\n'})
        circle = {**a_to_b, "base/b.h": '\n#include "c.hpp"\n'}
        circle["base/c.hpp"] = '#include "base/a.h"\n'
        self.assert_reports(circle, "base/a.h:1", "base/a.h, base/b.h, base/c.hpp", "base/b.h:2")

    def test_headers_of_several_folders(self):
        circle = {"base/a.h": '#include "cli/b.h"\n', "cli/b.h": '#include "base/a.h"\n'}
        self.assert_reports(circle, "base/a.h:1", "cli/b.h")


class UnitCircles(RuleCase):
    rules = (circles.check_circles_of_units,)

    A = {
        "os/file/a.h": "class A { void F(); };\n",
        "os/file/b.h": '#include "os/file/a.h"\nvoid B();\n',
    }

    def test_a_source_with_its_header(self):
        self.assert_tidy(self.A)
        self.assert_tidy({**self.A, "os/file/b.cc": '#include "os/file/a.h"\n'})
        circle = {**self.A, "os/file/a.cc": '#include "os/file/b.h"\n'}
        self.assert_reports(circle, "os/file/a.cc:1", "os/file/a.h, os/file/b.h", "os/file/b.h:1")

    def test_a_source_belongs_to_the_header_that_declares_what_it_defines(self):
        includes = '#include "os/file/a.h"\n#include "os/file/b.h"\n'
        files = {**self.A, "os/file/a_more.cc": includes + "void A::F() {\n}\n"}
        self.assert_reports(files, "os/file/a_more.cc:2", "os/file/a.h, os/file/b.h")
        files = {**self.A, "os/file/a_more.cc": includes + "void B() {\n}\n"}
        self.assert_tidy(files)

    def test_what_no_other_source_sees_makes_it_no_part_of_a_unit(self):
        includes = '#include "os/file/a.h"\n#include "os/file/b.h"\n'
        for own in (
            "namespace {\nclass C {\n  void B() {}\n};\n}\n",
            "namespace {\nvoid B() {\n}\n}\n",
            "static void F() {\n}\n",
        ):
            self.assert_tidy({**self.A, "os/file/c.cc": includes + own})

    def test_a_test_is_alone(self):
        test = '#include "os/file/a.h"\n#include "os/file/b.h"\nvoid A::F() {\n}\n'
        self.assert_tidy({**self.A, "os/file/a_test.cc": test})

    def test_units_of_several_rooms_are_the_room_orders_job(self):
        self.assert_tidy(
            {
                "os/file/a.h": "",
                "os/file/a.cc": '#include "base/b.h"\n',
                "base/b.h": '#include "os/file/a.h"\n',
            }
        )

    def test_headers_for_c_and_for_cpp_are_two_units(self):
        self.assert_tidy(
            {
                "morsel/m.h": "",
                "morsel/m.hpp": '#include "morsel/m.h"\n#include "morsel/h.hpp"\n',
                "morsel/h.hpp": '#include "morsel/m.h"\n',
            }
        )


if __name__ == "__main__":
    unittest.main()
