"""Allocators that are no packages of Debian's, where somebody has installed some."""

import fnmatch

# {rival: the file below PREFIX/lib that its users preload}
FILES = {
    "mimalloc3": "libmimalloc.so.3*",
    "rpmalloc": "librpmalloc*.so*",
    "snmalloc": "libsnmallocshim.so*",
}


def found(prefix):
    """{rival: its shared library}, of those that are there."""
    libraries = {}
    if prefix is None:
        return libraries
    folders = [prefix, *sorted(prefix.glob("lib*")), *sorted(prefix.glob("lib*/*-linux-gnu"))]
    files = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir())
    for rival, pattern in FILES.items():
        # One file, however many names it has.
        paths = {path.resolve(): path for path in files if fnmatch.fnmatch(path.name, pattern)}
        if paths:
            libraries[rival] = min(paths)
    return libraries


def missing(prefix):
    """A sentence for each rival that is not there."""
    for rival in sorted(FILES.keys() - found(prefix).keys()):
        where = f"{prefix} has no {FILES[rival]}" if prefix else "no --prefix names where it is"
        yield f"left out: {rival} ({where})"
