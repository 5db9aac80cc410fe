#!/usr/bin/env python3
"""Each rule reports what breaks it, and only that."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import tidy

ORDER_BLOCK = """\
// ORDER  tails  <  head
// WHY    recovery trusts a head.  [I-7]
// CRASH  before the head: free. After: live.
// TEST   tests/crash/extent_test: HeadIsLast     <- fails when swapped
"""
TEST_FILE = "TEST_F(Extent, HeadIsLast) {\n}\n"


class Rules(unittest.TestCase):
    def violations(self, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return tidy.violations(root)

    def assert_tidy(self, files):
        self.assertEqual(self.violations(files), [])

    def assert_reports(self, files, where, what):
        found = self.violations(files)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(where + ": "), found)
        self.assertIn(what, found[0])

    def test_layers(self):
        self.assert_tidy(
            {
                "base/a.h": "#include <vector>\n#include <sys/mman.h>\n",
                "alloc/b.cc": '#include "base/a.h"\n#include "alloc/b.h"\n#include "gtest/gtest.h"\n',
                "tests/c.cc": '#include "cli/d.h"\n',
                "examples/e/f.cc": '#include <morsel/morsel.hpp>\n#include "examples/e/g.h"\n',
            }
        )
        for name, include, place in (
            ("base/a.h", '"pmem/b.h"', "pmem/b.h"),
            ("sim/model/a.cc", "<morsel/morsel.h>", "morsel/morsel.h"),
            ("alloc/a.cc", '"../morsel/b.h"', "morsel/b.h"),
            ("morsel/a.cc", '"cli/b.h"', "cli/b.h"),
            ("cli/a.cc", '"tests/b.h"', "tests/b.h"),
            ("examples/e/a.cc", '"base/b.h"', "base/b.h"),
            ("examples/e/a.cc", '"morsel/morsel.h"', "morsel/morsel.h"),
            ("examples/e/a.cc", "<morsel/pool.h>", "morsel/pool.h"),
        ):
            files = {name: f"\n#  include {include}\n", "tests/b.h": "", "morsel/b.h": ""}
            self.assert_reports(files, f"{name}:2", place)

    def test_file_length(self):
        for name in ("base/a.h", "a.py", "tests/b.sh", "third_party/c.bzl", "pmem/BUILD", "dev"):
            self.assert_tidy({name: "\n" * 500})
            self.assert_reports({name: "\n" * 501}, f"{name}:501", "501 lines")

    def test_function_length(self):
        self.assert_tidy({"base/a.cc": "void f() {\n" + "g();\n" * 68 + "}\n"})
        too_long = "\nvoid f() {\n" + "g();\n" * 69 + "}\n"
        self.assert_reports({"base/a.cc": too_long}, "base/a.cc:2", "f has 71 lines")
        self.assert_reports({"base/a.cc": "void f() {"}, "base/a.cc:1", "braces")

    def test_order_blocks(self):
        good = {"alloc/a.cc": ORDER_BLOCK, "tests/crash/extent_test.cc": TEST_FILE}
        self.assert_tidy(good)
        self.assert_tidy({"alloc/a.cc": ORDER_BLOCK, "tests/crash/extent_test/a.cc": TEST_FILE})
        for tag, line in zip(("WHY", "CRASH", "TEST"), ORDER_BLOCK.splitlines(True)[1:]):
            without = {**good, "alloc/a.cc": "\n" + ORDER_BLOCK.replace(line, "")}
            self.assert_reports(without, "alloc/a.cc:2", f"without {tag}")
        self.assert_reports({"alloc/a.cc": ORDER_BLOCK}, "alloc/a.cc:4", "no test tests/crash")
        self.assert_reports(
            {**good, "tests/crash/extent_test.cc": "// HeadIsLast\n"}, "alloc/a.cc:4", "HeadIsLast"
        )
        self.assert_reports(
            {**good, "alloc/a.cc": ORDER_BLOCK.replace(": HeadIsLast", "")}, "alloc/a.cc:4", "wants"
        )

    def test_each_of_two_order_blocks_in_one_comment_is_whole(self):
        files = {
            "alloc/a.cc": ORDER_BLOCK + "// ORDER  a  <  b\n",
            "tests/crash/extent_test.cc": TEST_FILE,
        }
        self.assert_reports(files, "alloc/a.cc:5", "without WHY, CRASH, TEST")

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
        for line in ("GTEST_" "SKIP();", "TEST(A, DIS" "ABLED_B);", "usleep(1);", "std::this_thread::sleep_for(a);"):
            for name in ("base/a_test.cc", "tests/crash/a.cc"):
                self.assert_reports({name: line + "\n"}, f"{name}:1", "")
            self.assert_tidy({"base/a.cc": line + "\n"})


if __name__ == "__main__":
    unittest.main()
