"""What was tried on which medium, and how it ended."""

import time


class Report:
    """One line for each test as it ends; a table and the sum at the end."""

    def __init__(self, write=print):
        self._write = write
        self._media = {}  # in the order in which they were met
        self.passed = 0
        self.failed = 0
        self._last = time.monotonic()

    def _row(self, medium):
        return self._media.setdefault(medium, {"tests": 0, "failed": 0, "faults": "", "kills": 0, "steps": 0})

    def test(self, medium, name, problem=""):
        """Takes a test that has ended; `problem` is empty or says what is wrong."""
        row = self._row(medium)
        row["tests"] += 1
        if problem:
            self.failed += 1
            row["failed"] += 1
            self._write(f"FAILED (vm) {medium}: {name}: {problem}")
        else:
            self.passed += 1
            self._write(f"passed {medium}: {name} ({self._since_last():.1f} s)")

    def _since_last(self):
        now = time.monotonic()
        since, self._last = now - self._last, now
        return since

    def faults(self, medium, count, size_bytes):
        """Takes how many faults storing to each page of so many bytes took."""
        self._write(f"faults {medium}: {count} for {size_bytes >> 20} MiB")
        self._row(medium)["faults"] = f"{count * (1 << 30) / size_bytes:,.0f}"

    def survived(self, medium, steps):
        """Takes an end of the machine, after which all was there; the writer had made so many steps."""
        row = self._row(medium)
        row["kills"] += 1
        row["steps"] = max(row["steps"], steps)

    def table(self):
        """Lines: what is known of each medium."""
        head = ("medium", "tests", "failed", "faults per GiB", "kills survived", "steps")
        rows = [head] + [
            (medium, str(row["tests"]), str(row["failed"]), row["faults"] or "-",
             str(row["kills"] or "-"), str(row["steps"] or "-"))
            for medium, row in self._media.items()
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        for row in rows:
            first, *others = (cell.rjust(width) for cell, width in zip(row, widths))
            yield "  ".join([row[0].ljust(widths[0]), *others]).rstrip()

    def sum(self):
        return f"{self.passed} passed, {self.failed} failed, 0 skipped"
