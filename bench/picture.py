"""What was measured, as a picture: bars of rates, drawn by gnuplot."""

import math
import subprocess

import table

# Told apart by those who see few colors too: Okabe and Ito's palette.
_COLORS = {
    "morsel": "#D55E00",
    "morsel_snapshot": "#E69F00",
    "boost": "#999999",
    "glibc": "#56B4E9",
    "jemalloc": "#009E73",
    "memkind": "#F0E442",
    "mimalloc": "#0072B2",
    "pmemobj": "#000000",
    "pmemobj_reserve": "#CC79A7",
}
# Bars in groups, over a logarithmic axis.
HISTOGRAM = (
    "set style data histograms",
    "set style histogram clustered gap 1.5",
    "set style fill solid 0.9 noborder",
    "set logscale y",
    "set grid ytics",
    "set key outside top center horizontal",
)
_PANEL_HEIGHT = 420
_WIDTH = 1500


def _block(name, results, workloads, rivals, threads):
    """A gnuplot data block: a line for each workload, a column for each rival."""
    yield f"${name} << EOD"
    for workload in workloads:
        rates = [
            results.median(workload, threads, rival, "mops_per_cpu_second") for rival in rivals
        ]
        yield " ".join(
            [f'"{workload}"', *("?" if rate is None else f"{rate:.4f}" for rate in rates)]
        )
    yield "EOD"


def bars(name, rivals):
    """A group for each line of the data block, in it a bar for each rival."""
    parts = [
        f'${name} using {column}:xtic(1) title "{rival.replace("_", "-")}" '
        f'linecolor rgb "{_COLORS.get(rival, "#555555")}"'
        for column, rival in enumerate(rivals, 2)
    ]
    return "plot " + ", \\\n     ".join(parts)


def _panel(results, threads, durable):
    """(title, workloads, rivals) of one diagram, None if it would be empty."""
    workloads = [
        workload
        for workload, of_threads in results.contests
        if of_threads == threads and table.is_durable(workload) == durable
    ]
    rivals = [
        rival
        for rival in results.rivals
        if any(results.median(w, threads, rival, "mops_per_cpu_second") for w in workloads)
    ]
    title = f"{'durable' if durable else 'volatile'}, {threads} thread{'s' if threads > 1 else ''}"
    return (title, workloads, rivals) if workloads else None


def _range(results, durable):
    """Whole powers of ten, the same for all numbers of threads; the least bar is seen."""
    rates = [
        rate
        for workload, threads in results.contests
        if table.is_durable(workload) == durable
        for rival in results.rivals
        if (rate := results.median(workload, threads, rival, "mops_per_cpu_second"))
    ]
    low = math.floor(math.log10(min(rates) * 0.7))
    return f"[{10.0**low:g}:{10.0 ** math.ceil(math.log10(max(rates))):g}]"


def script(results, path):
    thread_counts = sorted({threads for _, threads in results.contests})
    lines = [
        f'set terminal svg size {_WIDTH},{_PANEL_HEIGHT * len(thread_counts)} '
        'font "sans,13" background rgb "white"',
        f'set output "{path}"',
        "set datafile missing '?'",
        *HISTOGRAM,
        'set ylabel "million operations per CPU second"',
        "set xtics rotate by -25 scale 0",
        "set format y '%g'",
        "set multiplot",
    ]
    for row, threads in enumerate(thread_counts):
        height = 1 / len(thread_counts)
        panels = [
            panel for durable in (False, True) if (panel := _panel(results, threads, durable))
        ]
        left = 0.0
        for panel in panels:
            title, workloads, rivals = panel
            width = 1.0 if len(panels) == 1 else (0.36 if title.startswith("durable") else 0.64)
            name = f"data_{title.partition(',')[0]}_{threads}"
            lines += _block(name, results, workloads, rivals, threads)
            lines += [
                f"set origin {left:.3f},{1 - (row + 1) * height:.3f}",
                f"set size {width:.3f},{height:.3f}",
                f'set title "{title}"',
                f"set yrange {_range(results, title.startswith('durable'))}",
                bars(name, rivals),
            ]
            left += width
    return "\n".join([*lines, "unset multiplot", ""])


def draw(results, path):
    subprocess.run(["gnuplot"], input=script(results, path), text=True, check=True)
