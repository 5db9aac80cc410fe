#!/usr/bin/env python3
"""Files, functions, lines and folders are as large as they may be, and no larger."""

import sys
import unittest

sys.dont_write_bytecode = True

import size_rules
from rule_case import RuleCase


class Lengths(RuleCase):
    rules = (size_rules.check_file_lengths, size_rules.check_function_lengths)

    def test_file_length(self):
        for name in ("base/a.h", "a.py", "tests/b.sh", "third_party/c.bzl", "dev"):
            self.assert_tidy({name: "\n" * 500})
            self.assert_reports({name: "\n" * 501}, f"{name}:501", "501 lines")

    def test_build_file_length(self):
        self.assert_tidy({"pmem/media/BUILD": "\n" * 250, "third_party/a.BUILD": "\n" * 251})
        self.assert_reports({"pmem/media/BUILD": "\n" * 251}, "pmem/media/BUILD:251", "than 250")

    def test_function_length(self):
        self.assert_tidy({"base/a.cc": "void f() {\n" + "g();\n" * 68 + "}\n"})
        too_long = "\nvoid f() {\n" + "g();\n" * 69 + "}\n"
        self.assert_reports({"base/a.cc": too_long}, "base/a.cc:2", "f has 71 lines")
        self.assert_reports({"base/a.cc": "void f() {"}, "base/a.cc:1", "braces")


class Fronts(RuleCase):
    rules = (size_rules.check_fronts,)

    @staticmethod
    def front(count):
        functions = [f"  void f{number}(int a) {{ g(a); }}" for number in range(count - 1)]
        special = ["  Heap(int a);", "  ~Heap();", "  Heap& operator=(const Heap&) = delete;"]
        parts = ["  struct Part { void p(); };", "  Part part_{g(1)};"]
        lines = ["class Heap final {", *special, *functions, "  static int Open(int a);", *parts]
        return {"alloc/heap/heap.h": "\n".join([*lines, "};", ""])}

    def test_functions_are_counted(self):
        self.assert_tidy(self.front(24))
        self.assert_reports(self.front(25), "alloc/heap/heap.h:29", "25 functions, more than 24")

    def test_the_class_is_there(self):
        other = {"alloc/heap/heap.h": "class Other;\n"}
        self.assert_reports(other, "alloc/heap/heap.h:1", "no class")


class Columns(RuleCase):
    rules = (size_rules.check_columns,)

    def test_every_kind_of_source(self):
        cpp = ("a.h", "a.cc", "a.c", "a.hpp")
        for name in (*cpp, "a.py", "a.sh", "a.bzl", "a.BUILD", "BUILD", "dev"):
            self.assert_tidy({name: "\n" + "x" * 100 + "\n"})
            self.assert_reports({name: "\n" + "x" * 101 + "\n"}, f"{name}:2", "101 columns")

    def test_characters_count_not_bytes(self):
        self.assert_tidy({"a.h": "//" + "é" * 98 + "\n"})


class Folders(RuleCase):
    rules = (size_rules.check_folders,)

    def test_each_kind_is_counted_apart(self):
        sources = {f"image/a{number}.cc": "" for number in range(35)}
        tests = {f"image/a{number}_test.cc": "" for number in range(35)}
        doubles = {f"image/a{number}_testing.h": "" for number in range(35)}
        others = {"image/BUILD": "", "image/a.py": "", "image/format/b.cc": ""}
        self.assert_tidy({**sources, **tests, **doubles, **others})
        self.assert_reports({**sources, **tests, "image/b.h": ""}, "image/:1", "36 C and C++ files")
        self.assert_reports({**tests, "image/b_test.cc": ""}, "image/:1", "36 *_test files")
        self.assert_reports({**doubles, "image/b_testing.h": ""}, "image/:1", "36 *_testing files")


class Readmes(RuleCase):
    rules = (size_rules.check_readmes,)

    def test_a_page_says_what_each_room_is_for(self):
        code = {"os/file/a.h": "", "os/memory/deep/a.h": "", "tools/a.py": ""}
        page = "# os\n\n- `file/`: files\n- **memory**: addresses\n"
        self.assert_tidy({**code, "os/README.md": page})
        self.assert_reports(code, "os/:1", "no README.md")
        without = page.replace("**memory**", "memory-mapping")
        self.assert_reports({**code, "os/README.md": without}, "os/README.md:1", "os/memory/")
        page += "\n" * 47
        self.assert_reports({**code, "os/README.md": page}, "os/README.md:51", "51 lines")


if __name__ == "__main__":
    unittest.main()
