"""How results are written: aligned text, and CSV files that say where they are from."""

import csv

import machine


def number(value):
    """Three digits or all before the point; nothing for None."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def aligned(title, header, rows):
    """A table of strings, the first column to the left."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = ["", title]
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths)]
        cells[0] = line[0].ljust(widths[0])
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


class CsvFile:
    """Writes rows with the facts of this machine.

    Each is written at once, so that a run that is cut short leaves what it has.
    """

    def __init__(self, path, columns):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.facts = machine.facts()
        self.file = open(path, "w", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, [*self.facts, *columns])
        self.writer.writeheader()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write_all(self, rows):
        """Each as it comes; answers all of them."""
        written = []
        for row in rows:
            self.writer.writerow(self.facts | row)
            self.file.flush()
            written.append(row)
        return written
