#!/usr/bin/env python3
"""Holds this tree against the rules of //tests/tidy."""

import pathlib
import sys

sys.dont_write_bytecode = True

import tidy

# Bazel links the test to the work tree, so that this finds the tree itself,
# with the files that no target names.
ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    if not (ROOT / "WORKSPACE").is_file():
        return f"{ROOT} is not the work tree"
    for folder in ("base", "pmem", "alloc", "morsel"):
        if not (ROOT / folder / "BUILD").is_file() and not any((ROOT / folder).glob("*/BUILD")):
            return f"{ROOT} has no {folder}/: it is not the whole tree"
    found = tidy.violations(ROOT)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
