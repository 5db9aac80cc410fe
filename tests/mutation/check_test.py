#!/usr/bin/env python3
"""A small program with one needed fence and one that nobody needs."""

import os
import pathlib
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

import baseline
import check
import equivalent
import mutants
import programs

# Answers like a test with three cases, and like the switch: `drop` of chain 2 fails the first
# case, of 3 none, of 4 it hangs.
PROGRAM = """\
#!/usr/bin/env python3
import os, sys, time
arguments = " ".join(sys.argv[1:])
if "--gtest_list_tests" in arguments:
    print("Suite.\\n  First\\n  Second  # GetParam() = 1\\nOther.\\n  Third")
    sys.exit(0)
case = arguments.split("--gtest_filter=")[1].split()[0]
reached = {"Suite.First": [2, 3], "Suite.Second": [3, 4], "Other.Third": []}[case]
if log := os.environ.get("MORSEL_MUTATION_LOG"):
    with open(log, "a") as file:
        for chain in reached:
            file.write(f"a_test fence {chain:x}\\n")
mutant = os.environ.get("MORSEL_MUTANT")
if mutant == "a_test:drop:2" and 2 in reached:
    sys.exit(1)
if mutant == "a_test:delay:2" and 2 in reached:
    os.abort()
if mutant == "a_test:drop:4" and 4 in reached:
    time.sleep(1000)
if os.environ.get("FAILS_ALWAYS"):
    sys.exit(1)
"""


class CheckOfProgram(check.Check):
    """Without addresses to translate."""

    def _find_sites(self, reaches):
        found = {}
        for reach in reaches:
            for kind, chain in reach.chains:
                name = f"a.cc F: line {chain[0]}"
                site = found.setdefault(
                    name, check.sites.Site(name, kind, {reach.case.program: {chain}})
                )
                cases = self._long_cases if reach.cut_short else self._cases
                cases[site.name].append(reach.case)
        return found


class Checks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.program = os.path.join(folder.name, "a_test")
        pathlib.Path(self.program).write_text(PROGRAM)
        os.chmod(self.program, 0o755)
        check.TIMEOUT_SECONDS_MIN = 2

    def reaches(self):
        return baseline.measure(programs.cases_in(self.program), 2, 60, False, 1)

    def verdicts(self, equivalents=(), seconds=600, reaches=None):
        reaches = reaches or self.reaches()
        run = CheckOfProgram(reaches, equivalents, 2, 1, time.monotonic() + seconds)
        found = run.judge_all(mutants.all_mutants(run.sites), lambda verdict: None)
        return {f"{v.mutant.mutation} {v.mutant.site[-1]}": v for v in found}

    def test_cases_are_listed_by_their_whole_names(self):
        names = [case.name for case in programs.cases_in(self.program)]
        self.assertEqual(names, ["Suite.First", "Suite.Second", "Other.Third"])

    def test_what_reaches_nothing_is_left_out(self):
        self.assertEqual(
            [(reach.case.name, reach.chains) for reach in self.reaches()],
            [
                ("Suite.First", {("fence", (2,)), ("fence", (3,))}),
                ("Suite.Second", {("fence", (3,)), ("fence", (4,))}),
            ],
        )

    def test_a_test_that_fails_anyway_kills_nothing(self):
        os.environ["FAILS_ALWAYS"] = "1"
        self.addCleanup(os.environ.pop, "FAILS_ALWAYS")
        with self.assertRaises(baseline.Broken):
            self.reaches()

    def test_mutants_die_of_the_tests_that_reach_them(self):
        verdicts = self.verdicts()
        self.assertEqual(verdicts["drop 2"].ending, "killed")
        self.assertEqual(verdicts["drop 2"].by, "a_test Suite.First")
        self.assertEqual(verdicts["delay 2"].by, "a_test Suite.First (SIGABRT)")
        self.assertEqual(verdicts["drop 4"].by, "a_test Suite.Second (timeout)")
        self.assertEqual(verdicts["drop 3"].ending, "survived")
        self.assertEqual(verdicts["drop 3"].tests, 2)
        found = check.failures(verdicts.values(), {}, set())
        self.assertEqual(len(found), 3)  # 3 without and with delay, 4 with

    def test_out_of_time_nothing_is_decided(self):
        verdicts = self.verdicts(seconds=0)
        self.assertEqual(verdicts["drop 3"].ending, "undecided")
        self.assertIn("6 of 6 are not decided", check.failures(verdicts.values(), {}, None)[0])

    def test_a_case_that_was_cut_short_is_tried_where_no_other_helps(self):
        reaches = self.reaches()
        for reach in reaches:
            reach.cut_short = reach.case.name == "Suite.Second"
        verdicts = self.verdicts(reaches=reaches)
        self.assertEqual(verdicts["drop 2"].tests, 1)
        self.assertEqual(verdicts["drop 4"].by, "a_test Suite.Second (timeout)")
        # What it reaches later may be this, too.
        self.assertEqual(verdicts["drop 3"].ending, "undecided")
        self.assertEqual(verdicts["drop 3"].tests, 2)

    def test_only_where_all_are_chosen_all_must_be_decided(self):
        one, other = list(self.verdicts().values())[:2]
        one.ending, other.ending = "undecided", "killed"
        self.assertEqual(check.failures([one, other], {}, None), [])
        self.assertIn("1 of 2", check.failures([one, other], {}, set())[0])

    def test_what_is_to_survive_comes_first(self):
        key = "a.cc F: line 4", "delay"
        run = CheckOfProgram(self.reaches(), {key: None}, jobs=1, seed=1, deadline=0)
        order = []
        run.judge = lambda mutant: order.append(mutant.key)
        run.judge_all(mutants.all_mutants(run.sites), lambda verdict: None)
        self.assertEqual(order[0], key)

    def test_reasons_must_be_true(self):
        text = "\n\n".join(
            f"site  a.cc F: line {line}\nmutation  {mutation}\nreason  none"
            for line, mutation in ((2, "drop"), (3, "drop, delay"), (4, "delay"), (9, "drop"))
        )
        equivalents = equivalent.parse(text)
        verdicts = self.verdicts(equivalents)
        self.assertEqual(verdicts["drop 3"].ending, "equivalent")
        known = {v.mutant.key for v in verdicts.values()}
        found = check.failures(verdicts.values(), equivalents, known)
        self.assertEqual(len(found), 2, found)
        self.assertIn("killed by a_test Suite.First: a.cc F: line 2 (drop)", found[0])
        self.assertIn("not found: a.cc F: line 9 (drop)", found[1])


if __name__ == "__main__":
    unittest.main()
