"""What a small update takes that is durable on return, by each way, as bars; drawn by gnuplot."""

import statistics
import subprocess

import picture


def _bars(rows):
    """{way: us}, of the ways that were there."""
    of = {}
    for row in rows:
        name, _, way = row["case"].partition(", ")
        if name == "a small update" and row["measure"] in ("updates", "redis"):
            of.setdefault(way, []).append(row["ours"])
    return {way: statistics.median(took) for way, took in of.items()}


def script(bars, path):
    return "\n".join(
        [
            'set terminal svg size 900,480 font "sans,13" background rgb "white"',
            f'set output "{path}"',
            *picture.HISTOGRAM,
            "unset key",
            f"set yrange [{min(bars.values()) / 3:g}:*]",
            'set title "a small update, durable on return"',
            'set ylabel "microseconds, the shorter the better"',
            "set xtics scale 0",
            "set format y '%g'",
            "$data << EOD",
            *(f'"{way}" {took:.3f}' for way, took in bars.items()),
            "EOD",
            'plot $data using 2:xtic(1) linecolor rgb "#D55E00"',
            "",
        ]
    )


def draw(rows, path):
    """Whether there was anything to draw."""
    bars = _bars(rows)
    if bars:
        subprocess.run(["gnuplot"], input=script(bars, path), text=True, check=True)
    return bool(bars)
