"""What programs took under each malloc, as bars: processor time above, peak memory below."""

import subprocess

import picture

_PANELS = {"cpu_seconds": "CPU seconds", "peak_mib": "peak memory, MiB"}
_WIDTH = 1200
_HEIGHT = 700


def script(results, path):
    lines = [
        f'set terminal svg size {_WIDTH},{_HEIGHT} font "sans,13" background rgb "white"',
        f'set output "{path}"',
        *picture.HISTOGRAM,
        "set xtics scale 0",
        "set format y '%g'",
        "set multiplot layout 2,1",
    ]
    for column, title in _PANELS.items():
        lines.append(f"${column} << EOD")
        for program in results.programs:
            medians = [results.median(program, name, column) for name in results.allocators]
            lines.append(" ".join([f'"{program}"', *(f"{median:.4f}" for median in medians)]))
        values = [row[column] for row in results.rows]
        lines += [
            "EOD",
            f'set title "{title}"',
            # The least bar is seen.
            f"set yrange [{min(values) * 0.7:g}:{max(values) * 1.4:g}]",
            picture.bars(column, results.allocators),
        ]
    return "\n".join([*lines, "unset multiplot", ""])


def draw(results, path):
    subprocess.run(["gnuplot"], input=script(results, path), text=True, check=True)
