#!/usr/bin/env python3
"""What nothing uses is found, and what anything uses is not."""

import sys
import unittest

sys.dont_write_bytecode = True

import dead_files
from rule_case import RuleCase


class DeadSources(RuleCase):
    rules = (dead_files.check_dead_sources,)

    def assert_named(self, build, *names):
        """That this BUILD file names these files of its folder, and no other."""
        files = {"a/BUILD": build, "a/other.cc": "", **{f"a/{name}": "" for name in names}}
        self.assert_reports(files, "a/other.cc:1", "no BUILD file names it")

    def test_a_target_names_its_files(self):
        self.assert_named('cc_library(name = "x", srcs = ["x.cc"] + [":y.c"])\n', "x.cc", "y.c")
        self.assert_named('exports_files(["b/x.cc"])\n', "b/x.cc")
        self.assert_named('[f(srcs = [n + "_t.cc"]) for n in ["x", "y"]]\n', "x_t.cc", "y_t.cc")
        self.assert_named('[f(srcs = ["b/{}.cc".format(n)]) for n in ["x"]]\n', "b/x.cc")
        self.assert_named('R = {"x": 1}\n[f(srcs = [n + ".cc"]) for n in R.keys()]\n', "x.cc")

    def test_a_target_of_another_package_names_it(self):
        files = {"a/BUILD": "", "a/x.cc": "", "b/BUILD": 'f(srcs = ["//a:x.cc"])\n'}
        self.assert_tidy(files)
        files["b/BUILD"] = 'f(srcs = ["x.cc"])\n'
        self.assert_reports(files, "a/x.cc:1", "no BUILD file")

    def test_a_glob_finds_files(self):
        self.assert_named('f(srcs = glob(["x*.cc", "**/y.cc"]))\n', "x1.cc", "b/c/y.cc", "y.cc")
        self.assert_named('f(srcs = glob(["*.cc"], exclude = ["o*.cc"]))\n', "x.cc")
        # Neither in a folder nor in a package of its own.
        stars = {"a/BUILD": 'f(srcs = glob(["*.cc"]))\n', "a/b/x.cc": ""}
        self.assert_reports(stars, "a/b/x.cc:1", "no BUILD file")
        stars = {"a/BUILD": 'f(srcs = glob(["**/*.cc"]))\n', "a/b/x.cc": "", "a/b/BUILD": ""}
        self.assert_reports(stars, "a/b/x.cc:1", "no BUILD file")

    def test_headers_are_included_or_installed(self):
        build = 'cc_library(name = "h", hdrs = ["x.h"])\n'
        files = {"a/BUILD": build, "a/x.h": ""}
        self.assert_reports(files, "a/x.h:1", "nothing includes it")
        user = 'f(srcs = ["y.cc"])\n'
        self.assert_tidy({**files, "b/BUILD": user, "b/y.cc": '#include "a/x.h"\n'})
        self.assert_tidy({**files, "b/BUILD": 'header_list(name = "l", library = "//a:h")\n'})
        self.assert_tidy({**files, "c/BUILD": "f(copts = ['-DX=\\\\\"a/x.h\\\\\"'])\n"})
        on_path = {**files, "a/BUILD": 'f(hdrs = ["x.h"], includes = ["."])\n', "b/BUILD": user}
        self.assert_tidy({**on_path, "b/y.cc": "#include <x.h>\n"})
        self.assert_reports({**on_path, "b/y.cc": "#include <y.h>\n"}, "a/x.h:1", "includes it")
        self.assert_reports({"a/BUILD": "", "a/x.h": "#pragma once\n"}, "a/x.h:1", "no BUILD file")

    def test_python_modules_are_imported_or_run(self):
        build = 'sh_test(srcs = ["m_test.py"], data = glob(["*.py"]))\n'
        module = {"a/BUILD": build, "a/m_test.py": "", "a/m.py": "import m\n"}
        self.assert_reports(module, "a/m.py:1", "nothing imports or runs it")
        self.assert_tidy({**module, "a/m_test.py": "import sys, m\n"})
        self.assert_tidy({**module, "a/m_test.py": "  from m import x\n"})
        self.assert_tidy({**module, "dev": "exec a/m.py\n"})
        self.assert_tidy({**module, "docs/a.md": "Run `a/m.py` once.\n"})
        # The importer has one of its own.
        build = 'f(srcs = ["n.py"], data = ["m.py"])\n'
        twin = {"b/BUILD": build, "b/m.py": "", "b/n.py": "import m\n"}
        self.assert_reports({**module, **twin}, "a/m.py:1", "nothing imports")

    def test_shell_scripts(self):
        self.assert_reports({"a/BUILD": "", "a/x.sh": ""}, "a/x.sh:1", "no BUILD file names it")
        self.assert_tidy({"a/BUILD": "", "a/x.sh": "", "dev": ". \"$tree/a/x.sh\"\n"})


class DeadDocuments(RuleCase):
    rules = (dead_files.check_dead_documents,)

    PAGE = {"docs/deep/a.md": "# A [itself](a.md)\n"}

    def test_pages_that_are_linked(self):
        self.assert_tidy({**self.PAGE, "README.md": "See [A](docs/deep/a.md).\n"})
        self.assert_tidy({**self.PAGE, "image/README.md": "[A](../docs/deep/a.md#part)\n"})
        self.assert_tidy({**self.PAGE, "dev": "echo see docs/deep/a.md\n"})

    def test_pages_that_are_not(self):
        self.assert_reports(self.PAGE, "docs/deep/a.md:1", "nothing links to it")
        pages = {**self.PAGE, "README.md": "docs/deep/a.md, [all](docs/deep/)\n"}
        self.assert_reports(pages, "docs/deep/a.md:1", "nothing links to it")


if __name__ == "__main__":
    unittest.main()
