"""The tests' programs, run case by case, with and without a mutant."""

import dataclasses
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import time


@dataclasses.dataclass(frozen=True)
class Case:
    program: str
    name: str  # Suite.Name

    def __str__(self):
        return f"{pathlib.PurePath(self.program).name} {self.name}"


@dataclasses.dataclass
class Outcome:
    ending: str  # "passed", "failed", "timeout", or the signal's name
    seconds: float
    output: str

    @property
    def passed(self):
        return self.ending == "passed"


def cases_in(program):
    listed = subprocess.run(
        [program, "--gtest_list_tests"], check=True, capture_output=True, text=True
    ).stdout
    suite, cases = "", []
    for row in listed.splitlines():
        name = row.split("#")[0].rstrip()
        if row.startswith("  "):
            cases.append(Case(program, suite + name.strip()))
        elif name.endswith("."):
            suite = name
    return cases


def run(case, timeout, mutant=None, log=None, seed=None):
    """One case in a process of its own; whatever it started dies with it."""
    folder = tempfile.mkdtemp(prefix="mutation-")
    environment = {**os.environ, "TEST_TMPDIR": folder, "MORSEL_ADDRESSES": ""}
    # Where the first expectation fails, it is over.
    arguments = [case.program, f"--gtest_filter={case.name}", "--gtest_break_on_failure"]
    for name, value in (
        ("MORSEL_MUTANT", mutant),
        ("MORSEL_MUTATION_LOG", log),
        ("MORSEL_SEED", seed),
        # Simulators go as far as they do in any test.
        ("MORSEL_PROOF_SECONDS", None),
    ):
        environment.pop(name, None)
        if value is not None:
            environment[name] = str(value)
    started = time.monotonic()
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    )
    try:
        output, _ = process.communicate(timeout=timeout)
        ending = _ending(process.returncode)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        ending = "timeout"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started
    return Outcome(ending, seconds, output.decode(errors="replace"))


def _ending(status):
    if status == 0:
        return "passed"
    # What --gtest_break_on_failure raises.
    if status > 0 or -status == signal.SIGTRAP:
        return "failed"
    return signal.Signals(-status).name


def read_log(path):
    """What a process and its children reached: {(kind, chain), ...} of each program's name."""
    reached = {}
    try:
        rows = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return reached
    for row in rows:
        program, kind, chain = row.split(" ")
        addresses = tuple(int(address, 16) for address in chain.split(","))
        reached.setdefault(program, set()).add((kind, addresses))
    return reached
