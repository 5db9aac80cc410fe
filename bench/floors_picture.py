"""Both contracts over their rivals, as bars, and the floors as lines above or below them."""

import subprocess

import picture

_COLORS = {"fine": "#D55E00", "snapshot": "#E69F00"}
_WIDTH = 1500
_HEIGHT = 480


def _data(rows):
    """A line for each workload and number of threads: the floor, and a bar for each contract."""
    lines = {}
    for row in rows:
        if row["with"] != "morsel":
            label = f"{row['workload']}, {row['threads']}"
            values = lines.setdefault(label, {"floor": f"{row['floor']:g}"})
            values[row["compared"]] = f"{row['ratio']:.4f}"
    for label, values in lines.items():
        yield " ".join([f'"{label}"', values["floor"], *(values.get(c, "?") for c in _COLORS)])


def script(rows, path):
    bars = [
        f'$data using {column}:xtic(1) title "{contract}" linecolor rgb "{color}"'
        for column, (contract, color) in enumerate(_COLORS.items(), 3)
    ]
    floor = (
        "$data using ($0-0.4):2:(0.8):(0) with vectors nohead linewidth 2 "
        'linecolor rgb "#000000" title "floor"'
    )
    return "\n".join(
        [
            f'set terminal svg size {_WIDTH},{_HEIGHT} font "sans,13" background rgb "white"',
            f'set output "{path}"',
            "$data << EOD",
            *_data(rows),
            "EOD",
            "set datafile missing '?'",
            *picture.HISTOGRAM,
            'set title "operations per CPU second, over the best rival, and the floors"',
            "set xtics rotate by -30 scale 0",
            "set format y '%g'",
            "set rmargin 10",
            "plot " + ", \\\n     ".join([*bars, floor]),
            "",
        ]
    )


def draw(rows, path):
    subprocess.run(["gnuplot"], input=script(rows, path), text=True, check=True)
