"""Whether C and C++ files are as clang-format leaves them."""

import re
import shutil
import subprocess

# Debian 12's. Another one breaks other lines.
VERSION = 14
_FILES_PER_CALL = 100
_COMPLAINT = re.compile(r"^(.+?):(\d+):\d+: error: code should be clang-formatted", re.MULTILINE)


class NoClangFormat(Exception):
    """There is no clang-format of the right version."""


def clang_format():
    """The program's path."""
    for name in (f"clang-format-{VERSION}", "clang-format"):
        path = shutil.which(name)
        if path:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
            if re.search(rf"\bversion {VERSION}\.", said.stdout):
                return path
    raise NoClangFormat(f"there is no clang-format {VERSION}: run ./dev setup")


def check_formatted(tree):
    """Each file once, at the first line that is not as it would be."""
    program = clang_format()
    paths = [str(source.path) for source in tree.cpp_sources]
    for start in range(0, len(paths), _FILES_PER_CALL):
        batch = paths[start : start + _FILES_PER_CALL]
        call = [program, "--dry-run", "-Werror", "--ferror-limit=0", "--style=file", *batch]
        done = subprocess.run(call, cwd=tree.root, capture_output=True, text=True, check=False)
        complaints = {}
        for path, line in _COMPLAINT.findall(done.stderr):
            complaints.setdefault(path, line)
        if done.returncode and not complaints:
            yield f".clang-format:1: clang-format failed: {done.stderr.strip()}"
        for path, line in complaints.items():
            yield f"{path}:{line}: not as clang-format leaves it: run ./dev fmt"
