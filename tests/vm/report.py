"""What was tried on which medium, and how it ended."""

import threading
import time
import xml.etree.ElementTree as ElementTree


class Report:
    """One line for each test as it ends; a table and the sum at the end.

    Each machine tells it from a thread of its own.
    """

    def __init__(self, write=print):
        self._write = write
        self._media = {}  # in the order in which they were met
        self._tests = []  # medium, name, problem
        self._lock = threading.Lock()
        self._last = threading.local()

    @property
    def passed(self):
        return sum(not problem for _, _, problem in self._tests)

    @property
    def failed(self):
        return sum(bool(problem) for _, _, problem in self._tests)

    def _row(self, medium):
        empty = {"tests": 0, "failed": 0, "faults": "", "kills": 0, "steps": 0, "fewest": 0}
        return self._media.setdefault(medium, empty)

    def test(self, medium, name, problem=""):
        """Takes a test that has ended; `problem` is empty or says what is wrong."""
        with self._lock:
            self._tests.append((medium, name, problem))
            row = self._row(medium)
            row["tests"] += 1
            row["failed"] += bool(problem)
            seconds = self._since_last()
            if problem:
                self._write(f"FAILED (vm) {medium}: {name}: {problem}")
            else:
                self._write(f"passed {medium}: {name} ({seconds:.1f} s)")

    def _since_last(self):
        now = time.monotonic()
        since = now - getattr(self._last, "time", now)
        self._last.time = now
        return since

    def faults(self, medium, count, size_bytes):
        """Takes how many faults storing to each page of so many bytes took."""
        with self._lock:
            self._write(f"faults {medium}: {count} for {size_bytes >> 20} MiB")
            self._row(medium)["faults"] = f"{count * (1 << 30) / size_bytes:,.0f}"

    def survived(self, medium, steps, since_start):
        """Takes an end of the machine, after which all was there.

        steps: what the writers have made in all; since_start: the last one, before that end.
        """
        with self._lock:
            row = self._row(medium)
            row["kills"] += 1
            row["steps"] = max(row["steps"], steps)
            row["fewest"] = min(row["fewest"] or since_start, since_start)

    def table(self):
        """Lines: what is known of each medium."""
        head = (
            "medium",
            "tests",
            "failed",
            "faults per GiB",
            "kills survived",
            "steps",
            "fewest before a kill",
        )
        rows = [head] + [
            (medium, str(row["tests"]), str(row["failed"]), row["faults"] or "-",
             str(row["kills"] or "-"), str(row["steps"] or "-"), str(row["fewest"] or "-"))
            for medium, row in self._media.items()
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        for row in rows:
            first, *others = (cell.rjust(width) for cell, width in zip(row, widths))
            yield "  ".join([row[0].ljust(widths[0]), *others]).rstrip()

    def xml(self):
        """The tests, as tools/test_summary.py reads them."""
        suite = ElementTree.Element("testsuite")
        for medium, name, problem in self._tests:
            case = ElementTree.SubElement(suite, "testcase", classname=medium, name=name)
            if problem:
                ElementTree.SubElement(case, "failure")
        return ElementTree.tostring(suite, encoding="unicode")

    def sum(self):
        return f"{self.passed} passed, {self.failed} failed, 0 skipped"
