#!/usr/bin/env python3
"""Each verb of ./dev installs what it needs, without a word where that works."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

DEV = pathlib.Path(__file__).resolve().parents[2] / "dev"
BUILD = {
    "bazel-bootstrap", "g++", "pkg-config", "python3", "valgrind", "libpmem2-dev", "liburing-dev",
    "libxxhash-dev", "liblz4-dev", "libzstd-dev", "libcli11-dev", "nlohmann-json3-dev",
}  # fmt: skip
RIVALS = {"libjemalloc-dev", "libmimalloc-dev", "libmemkind-dev", "libpmemobj-dev"}
# Each writes down how it was called.
STAND_INS = {
    "dpkg-query": """[[ " $INSTALLED " == *" ${@: -1} "* ]] && echo installed""",
    "apt-get": """echo "$*" >> "$CALLS"; echo much; [[ $1 != install || -z $FAILS ]]""",
    "sudo": """shift; "$@" """,
    "clang-format": "",
    "git": "",
}


class DevSetup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, script in STAND_INS.items():
            program = self.folder / name
            program.write_text(f"#!/bin/bash\n{script}\n")
            program.chmod(0o755)

    def dev(self, *arguments, installed="", fails=""):
        """(what is asked of apt-get install, all output, exit status)"""
        calls = self.folder / "calls"
        calls.write_text("")
        environment = {
            **os.environ,
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "INSTALLED": installed,
            "FAILS": fails,
        }
        done = subprocess.run(
            [DEV, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        asked = set()
        for line in calls.read_text().splitlines():
            words = line.split()
            if words[0] == "install":
                asked |= {word for word in words[1:] if not word.startswith("-")}
        return asked, done.stdout + done.stderr, done.returncode

    def setup_of(self, verb):
        asked, said, status = self.dev("setup", verb)
        self.assertEqual(status, 0, said)
        return asked

    def test_installing_and_the_demo_need_only_what_the_library_is_built_of(self):
        self.assertEqual(self.setup_of("install"), BUILD)
        self.assertEqual(self.setup_of("demo"), BUILD)

    def test_each_other_verb_needs_its_own(self):
        self.assertEqual(self.setup_of("fmt"), {"clang-format"})
        self.assertEqual(self.setup_of("uninstall"), set())
        self.assertLess(BUILD | RIVALS, self.setup_of("bench"))
        self.assertIn("clang", self.setup_of("fuzz"))
        self.assertIn("qemu-system-x86", self.setup_of("vm"))
        self.assertNotIn("qemu-system-x86", self.setup_of("test"))
        self.assertLess(self.setup_of("test") | self.setup_of("vm"), self.setup_of("ci") | {""})

    def test_setup_alone_installs_all(self):
        everything = self.dev("setup")[0]
        for verb in ("install", "demo", "test", "ci", "proof", "vm", "fuzz", "bench", "fmt"):
            self.assertLessEqual(self.setup_of(verb), everything, verb)

    def test_a_verb_begins_with_its_own_setup(self):
        asked, said, status = self.dev("fmt")
        self.assertEqual((asked, status), ({"clang-format"}, 0), said)

    def test_what_is_there_is_not_asked_for(self):
        asked, said, _ = self.dev("setup", "fmt", installed="clang-format")
        self.assertEqual((asked, said), (set(), ""))

    def test_one_line_is_said_and_all_where_it_fails(self):
        self.assertEqual(self.dev("setup", "fmt")[1], "dev: installing clang-format\n")
        _, said, status = self.dev("install", "/nowhere", fails="yes")
        self.assertEqual(status, 1)
        self.assertIn("much\n", said)
        self.assertIn("could not be installed", said)


if __name__ == "__main__":
    unittest.main()
