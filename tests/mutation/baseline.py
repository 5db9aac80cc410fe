"""What each test reaches when nothing is wrong, and how long it takes."""

import concurrent.futures
import dataclasses
import os
import pathlib
import tempfile

import programs


class Broken(Exception):
    """A test fails without any mutant, so that its failures would say nothing."""


@dataclasses.dataclass
class Reach:
    """One case, and the chains of its own program that it came through."""

    case: programs.Case
    seconds: float
    chains: set
    cut_short: bool = False


def _measure(case, timeout, may_be_slow, seed):
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        log = os.path.join(folder, "log")
        outcome = programs.run(case, timeout, log=log, seed=seed)
        if not outcome.passed and not (may_be_slow and outcome.ending == "timeout"):
            raise Broken(f"{case} ({outcome.ending}) without any mutant:\n{outcome.output[-4000:]}")
        reached = programs.read_log(log)
    # What it executes otherwise has addresses of its own.
    own = reached.get(pathlib.PurePath(case.program).name, set())
    return Reach(case, outcome.seconds, own, not outcome.passed)


def measure(cases, jobs, timeout, may_be_slow, seed):
    """Of each case that reaches the seam; where `may_be_slow`, as far as it comes in time."""
    # The longest last would leave processors idle; nobody knows which, but crash tests are long.
    cases = sorted(
        cases, key=lambda case: "crash" not in case.program and "sim" not in case.program
    )
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_measure, case, timeout, may_be_slow, seed) for case in cases]
        try:
            reaches = [future.result() for future in futures]
        except Broken:
            pool.shutdown(cancel_futures=True)
            raise
    return [reach for reach in reaches if reach.chains]
