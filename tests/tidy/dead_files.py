"""Dead files: no target names them, or nothing includes, imports, runs or links to them."""

import posixpath
import re

import build_files

# What is looked at: each is of some target, or it is dead.
_OF_TARGETS = {".h", ".hpp", ".cc", ".c", ".py", ".sh"}

_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+(\w+(?:[ \t]*,[ \t]*\w+)*)", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{?\w+\}?/")  # in front of a path, in a script
_LINK = re.compile(r"\]\(([^)\s#]+)")


class _Builds:
    """All BUILD files of the tree."""

    def __init__(self, tree):
        self.by_package = {}
        for source in tree.sources:
            if source.path.name == "BUILD":
                build = build_files.BuildFile(source)
                self.by_package[build.package] = build
        everything = self.by_package.values()
        self.names = set().union(*(build.names for build in everything))
        self.programs = set().union(*(build.programs for build in everything))
        self.included = set().union(*(build.included for build in everything))
        self.on_path = set().union(*(build.on_path for build in everything))
        self.installed = set().union(*map(self._installed_by, everything))

    def package_of(self, path):
        """The BUILD file of the package that a file is in."""
        folder = posixpath.dirname(path)
        while folder and folder not in self.by_package:
            folder = posixpath.dirname(folder)
        return self.by_package.get(folder)

    def name(self, path):
        """Whether one names the file, or a glob of its package finds it."""
        build = self.package_of(path)
        return path in self.names or (build is not None and build.globs(path))

    def _installed_by(self, build):
        """The headers that packaging's header_list takes from libraries."""
        headers = set()
        for label in build.labels_of("header_list", "library"):
            package, _, name = label.removeprefix("//").partition(":")
            library = self.by_package.get(package or build.package)
            if library:
                headers |= library.headers_of(name or posixpath.basename(package))
        return headers


def check_dead_sources(tree):
    builds = _Builds(tree)
    included = {str(o.path) for s in tree.cpp_sources for o, _ in tree.included_sources(s)}
    included |= builds.included | builds.installed
    names = {include.name for source in tree.cpp_sources for include in source.includes}
    included |= {path for path in builds.on_path if posixpath.basename(path) in names}
    imported = _imported(tree)
    for source in tree.sources:
        path = str(source.path)
        if source.path.suffix not in _OF_TARGETS:
            continue
        if source.path.suffix == ".py" and not _is_used(tree, builds, imported, source):
            yield source.violation(1, "nothing imports or runs it: remove it, or give it a target")
        elif not builds.name(path) and not _is_run(tree, source):
            yield source.violation(1, "no BUILD file names it: remove it, or give it a target")
        elif source.is_header and path not in included:
            yield source.violation(1, "nothing includes it, and it is not installed: remove it")


def _imported(tree):
    """The paths of the modules that Python files import, from beside them if they are there."""
    modules = {}
    for source in tree.sources:
        if source.path.suffix == ".py":
            modules.setdefault(source.path.stem, set()).add(str(source.path))
    imported = set()
    for source in tree.sources:
        for names in _IMPORT.findall(source.text) if source.path.suffix == ".py" else ():
            for name in re.split(r"[\s,]+", names):
                beside = str(source.path.with_name(f"{name}.py"))
                if beside != str(source.path):
                    found = modules.get(name, set())
                    imported |= {beside} if beside in found else found
    return imported


def _is_used(tree, builds, imported, source):
    path = str(source.path)
    return path in imported or path in builds.programs or _is_run(tree, source)


def _is_run(tree, source):
    """Whether a script or a page has its path in it, from some folder on."""
    parts = source.path.parts
    paths = [re.escape("/".join(parts[start:])) for start in range(max(1, len(parts) - 1))]
    paths.append(re.escape(f"//{source.folder}:{source.path.name}"))
    pattern = re.compile(r"(?<![\w/.-])(?:%s)(?![\w.])" % "|".join(paths))
    scripts = [other for other in tree.sources if other is not source and _is_script(other)]
    texts = (_VARIABLE.sub("", other.text) for other in [*scripts, *tree.documents])
    return any(pattern.search(text) for text in texts)


def _is_script(source):
    return source.path.suffix in (".py", ".sh", ".bzl", "") and source.path.name != "BUILD"


def check_dead_documents(tree):
    linked = _linked(tree)
    for page in tree.documents:
        if page.path.parts[0] == "docs" and str(page.path) not in linked:
            yield page.violation(1, "nothing links to it: link it from the page that a reader has")


def _linked(tree):
    """The documents that others link to, or that sources name by their paths from the root."""
    linked = set()
    for page in tree.documents:
        for target in _LINK.findall(page.text):
            path = posixpath.normpath(posixpath.join(page.folder, target))
            if path != str(page.path):
                linked.add(path)
    for page in tree.documents:
        if any(str(page.path) in source.text for source in tree.sources):
            linked.add(str(page.path))
    return linked
