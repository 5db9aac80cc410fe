"""Contests between allocators: what is compared, and in which order."""

import argparse
import fnmatch
import pathlib


def parser(description, only, rivals, out):
    """With the options that all contests have. `only`, `rivals` and `out` say what they name."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--rounds", type=int, default=5, help="the median of them is shown")
    made.add_argument("--only", default="*", help=only)
    made.add_argument("--rivals", default="*", help=rivals)
    made.add_argument(
        "--prefix", type=pathlib.Path, help="where mimalloc 3, rpmalloc or snmalloc is installed"
    )
    made.add_argument("--out", type=pathlib.Path, default="bench-results", help=out)
    return made


def chosen(names, patterns):
    return [name for name in names if any(fnmatch.fnmatch(name, p) for p in patterns.split(","))]


def order(contestants, round_number):
    """Nobody always follows the same other."""
    shift = round_number % len(contestants)
    return contestants[shift:] + contestants[:shift]
