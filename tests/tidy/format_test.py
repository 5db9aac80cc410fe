#!/usr/bin/env python3
"""C and C++ files are as clang-format leaves them, which leaves labels where they are."""

import os
import pathlib
import subprocess
import sys
import unittest
import unittest.mock

sys.dont_write_bytecode = True

import formatting
import labels
import source_tree
from rule_case import RuleCase

ROOT = pathlib.Path(__file__).resolve().parents[2]
STYLE = (ROOT / ".clang-format").read_text(encoding="utf-8")
LONG = "is a line of prose that has to be broken, " + "for it is very long, " * 4


class Formatted(RuleCase):
    rules = (formatting.check_formatted,)

    def test_files(self):
        files = {".clang-format": STYLE, "base/a.h": "int a;\n", "base/b.py": "a  =  1\n"}
        self.assert_tidy(files)
        for name in ("base/b.h", "b.cc", "tests/b.c", "morsel/b.hpp"):
            changed = {**files, name: "int b;\nint  c;\nint  d;\n"}
            self.assert_reports(changed, f"{name}:2", "./dev fmt")

    def test_many_files(self):
        files = {f"base/a{number}.h": "int  a;\n" for number in range(250)}
        self.assertEqual(len(self.violations({".clang-format": STYLE, **files})), 250)

    def test_a_style_that_cannot_be_read(self):
        files = {".clang-format": "Nonsense: 1\n", "base/a.h": "int a;\n"}
        self.assert_reports(files, ".clang-format:1", "Nonsense")

    def test_without_the_program(self):
        with unittest.mock.patch.dict(os.environ, {"PATH": "/nonexistent"}):
            with self.assertRaisesRegex(formatting.NoClangFormat, "./dev setup"):
                self.violations({"base/a.h": "int a;\n"})


class Labels(unittest.TestCase):
    def formatted(self, *lines):
        call = [formatting.clang_format(), f"--assume-filename={ROOT}/base/a.h", "--style=file"]
        text = "".join(line + "\n" for line in lines) + "int f();\n"
        done = subprocess.run(call, input=text, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[:-1]

    def test_prose_is_filled(self):
        first, second = self.formatted(f"/// This {LONG}.", "/// More.")
        self.assertTrue(second.startswith("/// ") and second.endswith(". More."), second)

    def test_a_label_is_not_drawn_into_the_line_before(self):
        for comment in ("///", "//", " *"):
            opening = ["/* What follows"] if comment == " *" else []
            closing = [" */"] if comment == " *" else []
            for label in labels.LABELS:
                last = f"{comment} {label}  is a label."
                lines = self.formatted(*opening, f"{comment} This {LONG}.", last, *closing)
                self.assertIn(last, lines)

    def test_what_a_label_says_goes_on_below_it(self):
        lines = ["/// Errors      a, or", "///             b.", "/// Threads     any."]
        self.assertEqual(self.formatted(*lines), lines)


class Tree(unittest.TestCase):
    def test_this_tree(self):
        self.assertTrue((ROOT / "WORKSPACE").is_file(), f"{ROOT} is not the work tree")
        found = list(formatting.check_formatted(source_tree.SourceTree(ROOT)))
        self.assertFalse(found, "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
