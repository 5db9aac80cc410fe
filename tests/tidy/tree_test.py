#!/usr/bin/env python3
"""Holds this tree against the rules of //tests/tidy."""

import pathlib
import sys

sys.dont_write_bytecode = True

import source_tree
import tidy

# Bazel links the test to the work tree, so that this finds the tree itself,
# with the files that no target names.
ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    if not (ROOT / "WORKSPACE").is_file():
        return f"{ROOT} is not the work tree"
    layers = {source.path.parts[0] for source in source_tree.SourceTree(ROOT).sources}
    if not layers >= {"base", "pmem", "alloc", "morsel"}:
        return f"{ROOT} has not all layers: {sorted(layers)}"
    found = tidy.violations(ROOT)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
