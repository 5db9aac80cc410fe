"""The tree's own files, read from the work tree."""

import dataclasses
import functools
import os
import pathlib
import posixpath
import re

import cpp_scanner

CPP_SUFFIXES = {".h", ".hpp", ".cc", ".c"}
HEADER_SUFFIXES = {".h", ".hpp"}
SUFFIXES = CPP_SUFFIXES | {".py", ".sh", ".bzl", ".BUILD"}
# Sources that have no suffix.
NAMES = {"BUILD", "WORKSPACE", ".bazelrc", "dev", "run", "demo"}

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">\n]+)[">]', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Include:
    line: int
    bracket: str  # " or <
    name: str  # as it is written


@dataclasses.dataclass(frozen=True)
class Source:
    path: pathlib.PurePosixPath  # from the root
    text: str

    @property
    def is_cpp(self):
        return self.path.suffix in CPP_SUFFIXES

    @property
    def is_header(self):
        return self.path.suffix in HEADER_SUFFIXES

    @property
    def is_test(self):
        return self.path.parts[0] == "tests" or self.path.stem.endswith("_test")

    @property
    def is_for_tests(self):
        """Whether only tests are made of it, wherever it lies."""
        return self.is_test or self.path.stem.endswith("_testing")

    @property
    def folder(self):
        return str(self.path.parent)

    @functools.cached_property
    def lines(self):
        return self.text.splitlines()

    @functools.cached_property
    def blanked(self):
        return cpp_scanner.blank(self.text)

    @functools.cached_property
    def scan(self):
        """What the scanner found; raises Unbalanced."""
        return cpp_scanner.scan(self.text)

    @property
    def declarations(self):
        """Of C and C++; none where the scanner cannot read it, which another rule reports."""
        try:
            return self.scan.declarations
        except cpp_scanner.Unbalanced:
            return []

    @functools.cached_property
    def includes(self):
        return [
            Include(self.text.count("\n", 0, match.start()) + 1, *match.groups())
            for match in _INCLUDE.finditer(self.text)
        ]

    def violation(self, line, text):
        return f"{self.path}:{line}: {text}"


class SourceTree:
    """All sources below a root. Bazel's links into its own folders are not followed."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.sources = []
        self.documents = []  # Markdown
        for path in self._paths():
            documents = path.suffix == ".md"
            (self.documents if documents else self.sources).append(self._read(path))
        self.places = {source.path.parts[0] for source in self.sources}
        self.by_path = {str(source.path): source for source in self.sources}

    def _paths(self):
        for folder, subfolders, files in os.walk(self.root):
            subfolders[:] = sorted(set(subfolders) - {".git", "__pycache__", "build"})
            for name in sorted(files):
                path = pathlib.Path(folder, name)
                wanted = path.suffix in SUFFIXES or path.suffix == ".md" or name in NAMES
                if wanted and not path.is_symlink():
                    yield path

    def _read(self, path):
        relative = pathlib.PurePosixPath(path.relative_to(self.root).as_posix())
        return Source(relative, path.read_text(encoding="utf-8"))

    @property
    def cpp_sources(self):
        return [source for source in self.sources if source.is_cpp]

    def exists(self, path):
        return str(path) in self.by_path or (self.root / path).is_file()

    def included_path(self, source, name):
        """The path from the root of what `name` includes; it need not be in the tree."""
        beside = posixpath.normpath(f"{source.path.parent}/{name}")
        return beside if self.exists(beside) else posixpath.normpath(name)

    def included_sources(self, source):
        """The files of the tree that `source` includes, each with the line."""
        for include in source.includes:
            path = self.included_path(source, include.name)
            if path in self.by_path:
                yield self.by_path[path], include.line

    def find(self, path):
        """The sources that `path` names: a file, a file without its suffix, or a folder."""
        path = pathlib.PurePosixPath(path)
        return [
            source
            for source in self.sources
            if path in (source.path, source.path.with_suffix(""), *source.path.parents)
        ]
