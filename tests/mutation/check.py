"""Runs the tests against each mutant until one fails."""

import collections
import concurrent.futures
import dataclasses
import pathlib
import threading
import time

import mutants
import programs
import sites

# A mutant may make a test wait for ever.
TIMEOUT_SECONDS_MIN = 10
TIMEOUT_FACTOR = 8


@dataclasses.dataclass
class Verdict:
    mutant: mutants.Mutant
    ending: str  # "killed", "survived", "equivalent", "undecided"
    by: str = ""  # the test, and how it ended unless it failed
    seconds: float = 0
    tests: int = 0


class Check:
    def __init__(self, reaches, equivalents, jobs, seed, deadline):
        self._equivalents = equivalents
        self._jobs = jobs
        self._seed = seed
        self._deadline = deadline
        self._lock = threading.Lock()
        self._long_lock = threading.Lock()
        self._tries = collections.Counter()
        self._kills = collections.Counter()
        self._cases = collections.defaultdict(list)
        self._long_cases = collections.defaultdict(list)
        self._seconds = {reach.case: reach.seconds for reach in reaches}
        self._long_seconds = {}
        self._all_known = not any(reach.cut_short for reach in reaches)
        self.sites = self._find_sites(reaches)

    def _find_sites(self, reaches):
        reached = collections.defaultdict(set)
        for reach in reaches:
            reached[reach.case.program] |= reach.chains
        symbols = {program: sites.Symbols(program) for program in reached}
        found = sites.sites_of(reached, symbols.__getitem__, sites.Sources())
        for name, site in found.items():
            for reach in reaches:
                beginnings = site.chains.get(reach.case.program, set())
                lengths = {len(beginning) for beginning in beginnings}
                if any(c[:n] in beginnings for _, c in reach.chains for n in lengths):
                    cases = self._long_cases if reach.cut_short else self._cases
                    cases[name].append(reach.case)
        return found

    def _cost(self, mutant, case):
        """Seconds until it kills, as far as one can guess from what it has killed."""
        guesses = []
        for key in (mutant.site, mutant.path):
            tries, kills = self._tries[key, case], self._kills[key, case]
            guesses.append((kills + 0.5) / (tries + 1))
        return (self._seconds[case] + 0.02) / (guesses[0] * guesses[1])

    def _next(self, mutant, cases):
        with self._lock:
            return min(cases, key=lambda case: self._cost(mutant, case))

    def _note(self, mutant, case, killed):
        with self._lock:
            for key in (mutant.site, mutant.path):
                self._tries[key, case] += 1
                self._kills[key, case] += killed

    def _seconds_alone(self, case):
        """How long a case that was cut short takes without a mutant."""
        with self._long_lock:
            if case not in self._long_seconds:
                limit = max(1, self._deadline - time.monotonic())
                self._long_seconds[case] = programs.run(case, limit, seed=self._seed).seconds
            return self._long_seconds[case]

    def _try(self, mutant, case, seconds, verdict):
        """Runs a case, which takes so long without a mutant."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            verdict.ending = "undecided"
            return
        limit = max(TIMEOUT_SECONDS_MIN, TIMEOUT_FACTOR * seconds)
        name = pathlib.PurePath(case.program).name
        chains = self.sites[mutant.site].chains[case.program]
        switch = mutants.switch(name, chains, mutant.mutation)
        outcome = programs.run(case, min(limit, left + 1), mutant=switch, seed=self._seed)
        verdict.tests += 1
        if outcome.ending == "timeout" and limit > left:
            verdict.ending = "undecided"
        elif not outcome.passed:
            how = "" if outcome.ending == "failed" else f" ({outcome.ending})"
            verdict.ending, verdict.by = "killed", f"{case}{how}"
        self._note(mutant, case, verdict.ending == "killed")

    def judge(self, mutant):
        started = time.monotonic()
        cases = list(self._cases[mutant.site])
        verdict = Verdict(mutant, "survived")
        while cases and verdict.ending == "survived":
            case = self._next(mutant, cases)
            cases.remove(case)
            self._try(mutant, case, self._seconds[case], verdict)
        # Where quick ones do not suffice.
        for case in self._long_cases[mutant.site]:
            if verdict.ending == "survived":
                self._try(mutant, case, self._seconds_alone(case), verdict)
        if verdict.ending == "survived" and mutant.key in self._equivalents:
            verdict.ending = "equivalent"
        elif verdict.ending == "survived" and not self._all_known:
            verdict.ending = "undecided"  # a test that was cut short may reach it
        verdict.seconds = time.monotonic() - started
        return verdict

    def _seconds_to_survive(self, mutant):
        return sum(self._seconds[case] for case in self._cases[mutant.site])

    def judge_all(self, chosen, report):
        """What is to survive runs every test that reaches it: begun last, it would leave the
        other processors idle."""
        verdicts = []
        chosen = sorted(
            chosen,
            key=lambda m: self._seconds_to_survive(m) if m.key in self._equivalents else 0,
            reverse=True,
        )
        with concurrent.futures.ThreadPoolExecutor(self._jobs) as pool:
            for future in concurrent.futures.as_completed(
                [pool.submit(self.judge, mutant) for mutant in chosen]
            ):
                verdicts.append(future.result())
                report(verdicts[-1])
        return verdicts


def failures(verdicts, equivalents, known, missed=()):
    """Why the check fails, in sentences. `known`: the keys of all mutants, or None where only some
    were chosen; `missed`: the calls that no test reaches."""
    found = [f"no test reaches {name}" for name in missed]
    undecided = sum(1 for verdict in verdicts if verdict.ending == "undecided")
    if undecided and (known is not None or undecided == len(verdicts)):
        found.append(f"{undecided} of {len(verdicts)} are not decided: there was too little time")
    for verdict in verdicts:
        name = f"{verdict.mutant.site} ({verdict.mutant.mutation})"
        if verdict.ending == "survived":
            found.append(f"no test fails with {name}: write one, or remove what nobody needs")
        if verdict.ending == "killed" and verdict.mutant.key in equivalents:
            found.append(f"called equivalent and killed by {verdict.by}: {name}")
    if known is not None:
        found += [
            f"called equivalent and not found: {site} ({mutation})"
            for site, mutation in sorted(equivalents.keys() - known)
        ]
    return found
