#!/usr/bin/env python3
"""Commits are measured with tiny inputs: what is counted is right, and all of it is told."""

import csv
import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import commit
import commit_measures
import commit_picture
import machine
import programs


def short(folder, only, rounds=1):
    arguments = ["--short", f"--rounds={rounds}", f"--only={only}", f"--folder={folder}"]
    return [*arguments, f"--memory={folder}", f"--out={folder}"]


class Commit(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_program(self, measure, **settings):
        options = commit.parse(short(self.folder, "page"))
        return commit_measures.run(options, measure, **settings)

    def test_every_measure_is_told(self):
        names = [*commit_measures.MEASURES, "redis"]
        self.assertEqual(commit.main(short(self.folder, ",".join(names))), 0)
        with open(self.folder / "commit.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), [*machine.facts(), *commit.COLUMNS])
        told = list(dict.fromkeys(row["measure"] for row in rows))
        # Where there is no redis-server it is left out.
        self.assertEqual([name for name in told if name != "redis"], names[:-1])
        for row in rows:
            self.assertEqual(row["round"], "1")
            self.assertTrue(row["case"] and row["unit"] and row["ours"], row)
        left = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(left, ["commit.csv", "commit.svg"])

    def test_nothing_changed_writes_nothing(self):
        found = self.run_program("nothing", size_mib=4, commits=20)
        self.assertEqual((found["writes"], found["syncs"]), (0, 0))

    def test_commits_of_one_thread_have_a_sync_each_and_others_share_them(self):
        alone = self.run_program("threads", size_mib=4, threads=1, commits=50, warm=50)
        self.assertEqual(alone["syncs"], 50)
        shared = self.run_program("threads", size_mib=4, threads=16, commits=320, warm=50)
        self.assertLess(shared["syncs"], 320)

    def test_only_what_is_asked_for_is_measured_as_often(self):
        rows = list(commit.measure(commit.parse(short(self.folder, "pair,nothing", rounds=2))))
        names = [(row["measure"], row["round"]) for row in rows]
        each = ["pair", "pair", "nothing", "nothing"]
        self.assertEqual(names, [(name, number) for number in (1, 2) for name in each])

    def test_what_is_not_asked_for_has_a_mark(self):
        few = {"measure": "a", "case": "c", "round": 1, "unit": "us", "ours": 3, "theirs": 2}
        told = commit.text([commit.finished(few | {"asked": 1.4})])
        self.assertIn("1.40 !", told)
        told = commit.text([commit.finished(few | {"asked": 1.4, "at_least": True})])
        self.assertNotIn("1.40 !", told)

    def test_a_picture_has_a_bar_for_each_way(self):
        rows = [
            {"measure": "updates", "case": "a small update, morsel", "ours": 100.0},
            {"measure": "updates", "case": "a small update, LMDB", "ours": 200.0},
            {"measure": "memory", "case": "a small update on tmpfs", "ours": 1.0},
        ]
        self.assertTrue(commit_picture.draw(rows, self.folder / "picture.svg"))
        picture = (self.folder / "picture.svg").read_text()
        self.assertIn("LMDB", picture)
        self.assertFalse(commit_picture.draw(rows[2:], self.folder / "none.svg"))

    def test_a_measure_that_is_not_known_is_refused(self):
        with self.assertRaisesRegex(programs.Failed, "no such measure"):
            self.run_program("everything")


if __name__ == "__main__":
    unittest.main()
