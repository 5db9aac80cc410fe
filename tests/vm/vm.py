#!/usr/bin/env python3
"""./dev vm: morsels on persistent memory, in a machine that has it.

usage: vm.py MORSELCTL WORKLOAD [--kernel PACKAGE]...

Boots Debian's kernels under QEMU with NVDIMMs, `memmap=` regions, virtio-pmem and a disk; makes
pools on each, counts faults, and lets writers work until the power is cut or the machine is reset,
again and again: each time all owners and all bytes are compared. Ends with a table and
`N passed, N failed, N skipped`.
"""

import argparse
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import machine
import media
import report
import system

# The newer kernel is tried at length, Debian 12's own shortly.
KERNELS = ("linux-image-6.12-amd64", "linux-image-amd64")
CUTS = {KERNELS[0]: 2, KERNELS[1]: 1}
RESETS = {KERNELS[0]: 3, KERNELS[1]: 1}
# Media are files of this size at most, though they say more: most of it is never touched.
STATE_BYTES = 6 << 30


def state_folder():
    """Where media lie while the machine runs: in memory where there is room, since all of it is temporary."""
    shared = pathlib.Path("/dev/shm")
    if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > STATE_BYTES:
        return shared
    return None


class Session:
    """One kernel, from its first boot to its last."""

    def __init__(self, guest, its_media, results, dice):
        self._guest = guest
        self._media = its_media
        self._report = results
        self._dice = dice
        self._steps = {}

    def run(self, resets, cuts):
        self._guest.must("label_modules")
        for medium in self._media:
            medium.set_up(self._guest)
        for medium in self._media:
            medium.try_out(self._guest, self._report)
        writers = [medium for medium in self._media if medium.kind]
        for medium in writers:
            medium.make(self._guest)
        # A region of memmap= keeps its data as long as QEMU lives: it has its ends first.
        for _ in range(resets):
            self._end(writers, "reset", self._guest.reset)
        survivors = [medium for medium in writers if medium.survives_power_cut]
        for _ in range(cuts):
            self._end(survivors, "power cut", self._cut_and_start)

    def _cut_and_start(self):
        self._guest.cut()
        self._guest.start()

    def _end(self, writers, name, end):
        """Lets the writers work for a moment, ends the machine and compares."""
        for medium in writers:
            medium.write(self._guest, self._dice.getrandbits(32))
        for medium in writers:
            medium.await_steps(self._guest)
        time.sleep(self._dice.uniform(0, 1.5))
        end()
        for medium in writers:
            medium.attach(self._guest)
            problem, steps = medium.check(self._guest, self._dice.getrandbits(32))
            worked = steps > self._steps.get(medium.name, 0)
            self._steps[medium.name] = steps
            if not problem and not worked:
                problem = f"the writer made no step, as before {steps}"
            self._report.test(medium.name, f"is whole after a {name}", problem)
            if not problem:
                self._report.survived(medium.name, steps)


def run_kernel(wanted, programs, results, dice):
    with tempfile.TemporaryDirectory(prefix="morsel-vm-", dir=state_folder()) as folder:
        kernel = system.Kernel(wanted)
        root = pathlib.Path(folder) / "root.cpio"
        system.make_root(kernel, programs, root)
        guest = machine.Machine(kernel, root, folder)
        label = kernel.release.partition("-")[0].partition("+")[0]
        began = time.monotonic()
        try:
            guest.start()
            print(f"vm: Linux {kernel.release} is up", flush=True)
            its_media = media.all_media(label)
            Session(guest, its_media, results, dice).run(RESETS.get(wanted, 1), CUTS.get(wanted, 1))
        except machine.Died as death:
            results.test(f"machine {label}", "does what it is told", str(death))
        finally:
            guest.cut()
        print(f"vm: Linux {kernel.release}: {guest.boots} boots, {time.monotonic() - began:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", nargs=2, type=pathlib.Path)
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    arguments = parser.parse_args()
    seed = int(os.environ.get("MORSEL_SEED") or random.SystemRandom().getrandbits(32))
    print(f"vm: MORSEL_SEED={seed}", flush=True)
    results = report.Report(lambda line: print(line, flush=True))
    try:
        for wanted in arguments.kernel or KERNELS:
            run_kernel(wanted, arguments.programs, results, random.Random(seed))
    except system.Missing as missing:
        results.test("machine", "can be played here", str(missing))
    print("\n".join(results.table()))
    print(results.sum())
    return 1 if results.failed or not results.passed else 0


if __name__ == "__main__":
    sys.exit(main())
