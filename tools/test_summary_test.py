#!/usr/bin/env python3
"""What must never be summed up as good."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SUMMARY = pathlib.Path(__file__).resolve().with_name("test_summary.py")

GOOD_CASE = '<testcase name="Good" classname="Suite"/>'
BAD_CASE = '<testcase name="Bad" classname="Suite"><failure message=""/></testcase>'
SKIPPED_CASE = '<testcase name="Skipped" classname="Suite"><skipped message=""/></testcase>'
ENDED_WELL = {"id": {"buildFinished": {}}, "finished": {"exitCode": {"name": "SUCCESS"}}}
ENDED_BADLY = {"id": {"buildFinished": {}}, "finished": {"exitCode": {"code": 1}}}


class TestSummary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def event_of(self, status, report, label="//x:y", shard=1):
        path = self.folder / f"{label[2:].replace(':', '_')}_{shard}.xml"
        if report is not None:
            path.write_text(report)
        return {
            "id": {"testResult": {"label": label, "run": 1, "shard": shard}},
            "testResult": {
                "status": status,
                "testActionOutput": [{"name": "test.xml", "uri": path.as_uri()}],
            },
        }

    def sum_up(self, *runs):
        arguments = []
        for number, events in enumerate(runs):
            path = self.folder / f"events{number}"
            path.write_text("".join(json.dumps(event) + "\n" for event in events))
            arguments.append(f"run{number}={path}")
        done = subprocess.run(
            [sys.executable, SUMMARY, *arguments], stdout=subprocess.PIPE, text=True, check=False
        )
        return done.returncode, done.stdout.splitlines()

    def assert_sum(self, events, last_line, status):
        returned, lines = self.sum_up(events)
        self.assertEqual((lines[-1], returned), (last_line, status))

    def sum_up_report(self, content):
        path = self.folder / "machine.xml"
        if content is not None:
            path.write_text(content)
        done = subprocess.run(
            [
                sys.executable, SUMMARY, f"machine={path}"
            ], stdout=subprocess.PIPE, text=True, check=False
        )
        return done.returncode, done.stdout.splitlines()

    def test_a_report_of_tests_that_are_not_bazels_counts_likewise(self):
        returned, lines = self.sum_up_report(f"<t>{GOOD_CASE}{BAD_CASE}{SKIPPED_CASE}</t>")
        self.assertEqual((returned, lines[-1]), (1, "1 passed, 1 failed, 1 skipped"))
        self.assertEqual(self.sum_up_report(f"<t>{GOOD_CASE}</t>")[0], 0)

    def test_a_report_that_is_not_there_or_empty_or_half_is_a_failure(self):
        for content in (None, "<t/>", f"<t>{GOOD_CASE}"):
            returned, lines = self.sum_up_report(content)
            self.assertEqual((returned, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"), content)

    def test_cases_are_counted_over_shards_and_runs(self):
        cases = f"<t>{GOOD_CASE}{SKIPPED_CASE}</t>"
        run = [
            self.event_of("PASSED", cases),
            self.event_of("PASSED", cases, shard=2),
            ENDED_WELL,
        ]
        self.assertEqual(self.sum_up(run, run), (0, ["4 passed, 0 failed, 4 skipped"]))

    def test_failed_case_is_named(self):
        events = [self.event_of("FAILED", f"<t>{GOOD_CASE}{BAD_CASE}</t>"), ENDED_BADLY]
        self.assertEqual(
            self.sum_up(events),
            (1, ["FAILED (run0) //x:y Suite.Bad", "1 passed, 1 failed, 0 skipped"]),
        )

    def test_target_that_does_not_build_has_failed(self):
        missed = {"id": {"targetCompleted": {"label": "//x:z"}}, "aborted": {}}
        good = self.event_of("PASSED", f"<t>{GOOD_CASE}</t>")
        self.assert_sum([missed, good, ENDED_BADLY], "1 passed, 1 failed, 0 skipped", 1)

    def test_bad_end_after_a_good_report_has_failed(self):
        events = [self.event_of("TIMEOUT", f"<t>{GOOD_CASE}</t>"), ENDED_BADLY]
        self.assert_sum(events, "1 passed, 1 failed, 0 skipped", 1)

    def test_missing_or_broken_report_has_failed(self):
        for report in (None, "<t><testcase"):
            events = [self.event_of("FAILED", report), ENDED_BADLY]
            self.assert_sum(events, "0 passed, 1 failed, 0 skipped", 1)

    def test_bazel_that_stops_has_failed(self):
        good = self.event_of("PASSED", f"<t>{GOOD_CASE}</t>")
        self.assert_sum([good], "1 passed, 1 failed, 0 skipped", 1)
        self.assert_sum([good, ENDED_BADLY], "1 passed, 1 failed, 0 skipped", 1)
        self.assert_sum([], "0 passed, 1 failed, 0 skipped", 1)

    def test_nothing_to_sum_up_is_not_good(self):
        self.assertEqual(self.sum_up(), (1, ["0 passed, 0 failed, 0 skipped"]))


if __name__ == "__main__":
    unittest.main()
