#!/usr/bin/env python3
"""./dev vm: morsels on persistent memory, in a machine that has it.

usage: vm.py MORSELCTL WORKLOAD [--kernel PACKAGE]... [--ends N] [--xml FILE]

Boots Debian's kernels under QEMU with NVDIMMs, `memmap=` regions, virtio-pmem and a disk; makes
pools on each, counts faults, and lets writers work until the power is cut, again and again: each
time all owners and all bytes are compared. Ends with a table and `N passed, N failed, N skipped`.
"""

import argparse
import os
import pathlib
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True

import machine
import media
import report
import system

# The newer kernel is tried at length, Debian 12's own shortly.
KERNELS = ("linux-image-6.12-amd64", "linux-image-amd64")
ENDS = {KERNELS[0]: 3, KERNELS[1]: 1}
# What a writer makes before the machine ends, and how long all may take for it together: on a host
# with much else to do some make fewer.
STEPS = (3, 20)
WORK_SECONDS = 12


class Session:
    """One kernel, from its first boot to its last."""

    def __init__(self, guest, its_media, results, generator):
        self._guest = guest
        self._media = its_media
        self._report = results
        self._generator = generator
        self._steps = {}

    def run(self, ends):
        self._guest.must("label_modules")
        for medium in self._media:
            medium.set_up(self._guest)
        for medium in self._media:
            medium.try_out(self._guest, self._report)
        writers = [medium for medium in self._media if medium.kind]
        for medium in writers:
            medium.make(self._guest)
        media.try_out_pairs(self._guest, self._media, self._report)
        for _ in range(ends):
            self._end(writers)
        for medium in self._media:
            medium.try_out_errors(self._guest, self._report)

    def _end(self, writers):
        """Lets each writer make some steps, ends the machine in the midst of the next, compares."""
        for medium in writers:
            medium.write(self._guest, self._generator.getrandbits(32))
        deadline = time.monotonic() + WORK_SECONDS
        for medium in writers:
            medium.await_steps(self._guest, self._generator.randint(*STEPS), deadline)
        time.sleep(self._generator.uniform(0, 1.5))
        self._guest.cut()
        self._guest.start()
        for medium in writers:
            medium.attach(self._guest)
            problem, steps = medium.check(self._guest, self._generator.getrandbits(32))
            worked = steps > self._steps.get(medium.name, 0)
            self._steps[medium.name] = steps
            if not problem and not worked:
                problem = f"the writer made no step, as before {steps}"
            self._report.test(medium.name, f"is whole after a {medium.end}", problem)
            if not problem:
                self._report.survived(medium.name, steps, steps - medium.steps_before)


def run_kernel(wanted, programs, results, seed, ends):
    try:
        kernel = system.Kernel(wanted)
        guest = machine.Machine(kernel, system.make_root(kernel, programs))
    except system.Missing as missing:
        results.test("machine", f"can be played here with {wanted}", str(missing))
        return
    label = kernel.release.partition("-")[0].partition("+")[0]
    began = time.monotonic()
    try:
        guest.start()
        print(f"vm: Linux {kernel.release} is up", flush=True)
        its_media = media.all_media(label)
        Session(guest, its_media, results, random.Random(seed)).run(ends or ENDS[wanted])
    except system.Missing as missing:
        results.test("machine", f"can be played here with {wanted}", str(missing))
    except machine.Died as death:
        results.test(f"machine {label}", "does what it is told", str(death))
    except Exception as error:  # a thread's own is seen by nobody else
        results.test(f"machine {label}", "is played as meant", repr(error))
        raise
    finally:
        guest.close()
    print(
        f"vm: Linux {kernel.release}: {guest.boots} boots, {time.monotonic() - began:.0f} s",
        flush=True,
    )


def run_kernels(kernels, *arguments):
    """Side by side where there is memory for it: booting keeps one processor busy at most."""
    threads = [threading.Thread(target=run_kernel, args=(wanted, *arguments), daemon=True)
               for wanted in kernels]
    together = machine.available_bytes() > len(kernels) * machine.STATE_BYTES
    for thread in threads:
        thread.start()
        if not together:
            thread.join()
    for thread in threads:
        thread.join()


def end(number, _):
    """Whoever ends this ends the machines: they and their media go with the process."""
    print(f"vm: ended by {signal.Signals(number).name}", file=sys.stderr, flush=True)
    os._exit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", nargs=2, type=pathlib.Path)
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("--ends", type=int, help="how often the power is cut")
    parser.add_argument("--xml", type=pathlib.Path, help="writes what passed and what failed there")
    arguments = parser.parse_args()
    seed = int(os.environ.get("MORSEL_SEED") or random.SystemRandom().getrandbits(32))
    print(f"vm: MORSEL_SEED={seed}", flush=True)
    results = report.Report(lambda line: print(line, flush=True))
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, end)
    run_kernels(arguments.kernel or KERNELS, arguments.programs, results, seed,
                arguments.ends)
    if arguments.xml:
        arguments.xml.write_text(results.xml())
    print("\n".join(results.table()))
    print(results.sum())
    return 1 if results.failed or not results.passed else 0


if __name__ == "__main__":
    sys.exit(main())
