"""The tree's own files, read from the work tree."""

import dataclasses
import os
import pathlib

CPP_SUFFIXES = {".h", ".hpp", ".cc", ".c"}
SUFFIXES = CPP_SUFFIXES | {".py", ".sh", ".bzl", ".BUILD"}
# Sources that have no suffix.
NAMES = {"BUILD", "WORKSPACE", ".bazelrc", "dev", "run", "demo"}


@dataclasses.dataclass(frozen=True)
class Source:
    path: pathlib.PurePosixPath  # from the root
    text: str

    @property
    def is_cpp(self):
        return self.path.suffix in CPP_SUFFIXES

    @property
    def is_test(self):
        return self.path.parts[0] == "tests" or self.path.stem.endswith("_test")

    @property
    def lines(self):
        return self.text.splitlines()

    def violation(self, line, text):
        return f"{self.path}:{line}: {text}"


class SourceTree:
    """All sources below a root. Bazel's links into its own folders are not followed."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.sources = [self._read(path) for path in self._paths()]
        self.places = {source.path.parts[0] for source in self.sources}

    def _paths(self):
        for folder, subfolders, files in os.walk(self.root):
            subfolders[:] = sorted(set(subfolders) - {".git", "__pycache__"})
            for name in sorted(files):
                path = pathlib.Path(folder, name)
                if (path.suffix in SUFFIXES or name in NAMES) and not path.is_symlink():
                    yield path

    def _read(self, path):
        relative = pathlib.PurePosixPath(path.relative_to(self.root).as_posix())
        return Source(relative, path.read_text(encoding="utf-8"))

    def exists(self, path):
        return (self.root / path).is_file()

    def find(self, path):
        """The sources that `path` names: a file, a file without its suffix, or a folder."""
        path = pathlib.PurePosixPath(path)
        return [
            source
            for source in self.sources
            if path in (source.path, source.path.with_suffix(""), *source.path.parents)
        ]
