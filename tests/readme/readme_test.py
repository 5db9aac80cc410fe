#!/usr/bin/env python3
"""What the documents say to write and to run works when pasted, in their order.

usage: readme_test.py DOCUMENT...

Each block of code begins with a comment that names its file. Each ```sh block is run in the folder
where those files lie, the blocks of a document one after the other.
"""

import os
import pathlib
import re
import sys
import tempfile

sys.dont_write_bytecode = True

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "install"))

from installation import Installation, run

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?://|/\*|#) (\S+)(?: \*/)?\n")
_CODE = ("cpp", "c", "cmake")
# What a user's compiler is asked for: no warning in what we tell him to write.
_WARN = 'g++() { command g++ -Wall -Wextra -Werror "$@"; }; gcc() { command gcc -Wall "$@"; }'
# What no document can be run for: what others print, and parts of lines.
_NOT_RUN = ("", "text")


class Problem(Exception):
    pass


def try_block(where, language, text, folder, environment):
    """Returns the name of the file that the block is, if it is one."""
    if language in _CODE:
        named = _FILE.match(text)
        if not named:
            raise Problem(f"{where}: the block does not begin with a comment that names its file")
        (folder / named.group(1)).write_text(text, encoding="utf-8")
        return named.group(1)
    if language == "sh":
        script = f"set -euo pipefail\n{_WARN}\n{text}"
        print(f"{where}:\n{run('bash', '-c', script, cwd=folder, env=environment)}")
    elif language not in _NOT_RUN:
        raise Problem(f"{where}: a block of {language} is not tried")
    return None


def try_document(document, environment):
    text = document.read_text(encoding="utf-8")
    files, scripts = {}, ""
    # Fine pools need what stands in for persistent memory.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for block in _BLOCK.finditer(text):
            where = f"{document.name}:{text.count(chr(10), 0, block.start()) + 1}"
            name = try_block(where, *block.groups(), pathlib.Path(folder), environment)
            if name:
                files[name] = where
            if block.group(1) != "cpp" and block.group(1) != "c":
                scripts += block.group(2)
    if not files:
        raise Problem(f"{document.name} has no program")
    for name, where in files.items():
        if pathlib.Path(name).suffix in (".cc", ".c") and name not in scripts:
            raise Problem(f"{where}: {name} is compiled nowhere")


def main(names):
    with tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"]) as folder:
        installation = Installation(pathlib.Path(folder, "installed"))
        installation.install()
        environment = {
            **installation.environment,
            "PATH": f"{installation.prefix / 'bin'}:{os.environ['PATH']}",
            "CMAKE_PREFIX_PATH": str(installation.prefix),
        }
        try:
            for name in names:
                try_document(TESTS.parent / name, environment)
        except (Problem, AssertionError) as problem:
            return str(problem)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
