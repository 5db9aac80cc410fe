#!/usr/bin/env python3
"""The programs in README.md work when pasted."""

import os
import pathlib
import re
import sys
import tempfile

sys.dont_write_bytecode = True

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "install"))

from installation import Installation, run

README = TESTS.parent / "README.md"
_BLOCK = re.compile(r"^```(cpp|c)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SUFFIXES = {"cpp": ".cc", "c": ".c"}


def programs(text):
    """The whole programs: (line of the block, language, source)."""
    for match in _BLOCK.finditer(text):
        if re.search(r"\bmain\s*\(", match.group(2)):
            yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def main():
    found = list(programs(README.read_text(encoding="utf-8")))
    for language in _SUFFIXES:
        if language not in {of_block for _, of_block, _ in found}:
            return f"README.md has no whole program in a ```{language} block"

    with tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"]) as folder:
        installation = Installation(pathlib.Path(folder, "installed"))
        installation.install()
        for line, language, text in found:
            source = pathlib.Path(folder, f"line{line}{_SUFFIXES[language]}")
            source.write_text(text, encoding="utf-8")
            program = installation.compile(source, source.with_suffix(""))
            # Twice: a program that makes a pool finds it the next time.
            with tempfile.TemporaryDirectory(dir=folder) as place:
                for _ in range(2):
                    print(
                        f"README.md:{line}: {run(program, cwd=place, env=installation.environment)}"
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
