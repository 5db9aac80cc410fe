"""What the tests of rules have in common: a small tree, and what some rules say of it."""

import pathlib
import tempfile
import unittest

import tidy


class RuleCase(unittest.TestCase):
    rules = ()  # those that a test case looks at

    def violations(self, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return tidy.violations(root, self.rules)

    def assert_tidy(self, files):
        self.assertEqual(self.violations(files), [])

    def assert_reports(self, files, where, *what):
        found = self.violations(files)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(where + ": "), found)
        for text in what:
            self.assertIn(text, found[0])
