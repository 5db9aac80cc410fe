#!/usr/bin/env python3
"""What Bazel's lists name, for CMake: build_lists.py TREE prints commands that set variables.

So a source file is named in its BUILD file only. BUILD files are read as the Python that they look
like; a rule that is not known here ends it with an error.
"""

import functools
import pathlib
import re
import sys

# Their targets hold what a library is made of.
LIBRARIES = {"cc_library", "cc_binary", "merged_archive", "header_list", "instrumented_libraries"}
# Who they are for, or what CMake has no use for.
OTHERS = {
    "cc_test", "sh_test", "sh_binary", "sim_test", "package", "package_group", "exports_files",
    "label_setting", "lines_file", "test_suite", "genrule", "filegroup", "precompiled_header",
}  # fmt: skip
PACKAGED = "//packaging:installed"
TOOL = "//cli:morselctl"
SIMULATION = "//morsel/sim:sim"
# As the transition of //sim/stores:sim.bzl sets it.
SIMULATED = {"//pmem/persist:pmem2_persist": "//sim/stores:simulated_pmem2"}


class _Anything:
    """What a .bzl file calls and keeps that is of no interest: rules, attributes, transitions."""

    def __call__(self, *_, **__):
        return self

    def __getattr__(self, name):
        return self


class _Names(dict):
    """The names of a .bzl file, with those that Bazel has for it."""

    def __missing__(self, _):
        return _Anything()


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.read = []

    def _text(self, path):
        self.read.append(path)
        return (self.root / path).read_text(encoding="utf-8")

    @functools.lru_cache(maxsize=None)
    def package(self, name):
        """{name of a target: (rule, attributes)}"""
        targets = {}
        scope = {"glob": lambda *_, **__: [], "load": lambda *a: self._load(scope, name, *a)}
        for rule in LIBRARIES | OTHERS | {"label_flag"}:
            scope[rule] = functools.partial(_record, targets, rule)
        exec(self._text(f"{name}/BUILD"), scope)
        return targets

    def _load(self, scope, package, label, *names):
        if label.startswith("@"):
            return  # Bazel's own rules
        values = self.bzl(_path(package, label))
        for name in names:
            if isinstance(values[name], list):
                scope[name] = values[name]

    def attributes(self, label):
        package, _, name = label.removeprefix("//").partition(":")
        return self.package(package)[name]

    def closure(self, label, flags):
        """All targets that `label` is made of, itself first; (package, attributes) of each."""
        found, ahead, packages = {}, [label], set()
        while ahead:
            label = ahead.pop()
            label = flags.get(label, label)
            if label in found:
                continue
            if label.startswith("@"):
                packages.add(label[1:].partition("//")[0])
                continue
            package = label.removeprefix("//").partition(":")[0]
            rule, attributes = self.attributes(label)
            found[label] = (package, attributes)
            if rule == "label_flag":
                ahead.append(_absolute(package, attributes["build_setting_default"]))
            ahead += [_absolute(package, dep) for dep in attributes.get("deps", [])]
        return found, packages

    def sources(self, label, flags=None):
        """({path of a source: its own options}, folders to include from, external repositories)"""
        targets, packages = self.closure(label, flags or {})
        sources, includes = {}, []
        for package, attributes in targets.values():
            for name in attributes.get("srcs", []):
                if name.endswith(".cc"):
                    sources[_path(package, name)] = list(attributes.get("copts", []))
            if attributes.get("defines") or attributes.get("local_defines"):
                raise ValueError(f"//{package} has defines, which CMake is not told of")
            for name in attributes.get("includes", []):
                includes.append(str(pathlib.Path(package, name)))
        return sources, includes, packages

    def headers(self, label):
        package = label.removeprefix("//").partition(":")[0]
        return [_path(package, name) for name in self.attributes(label)[1]["hdrs"]]

    def bzl(self, path):
        names = _Names()
        exec(self._text(path), {}, names)
        return names

    def pkg_config_names(self):
        """{external repository: what pkg-config calls it}"""
        names = {}
        record = lambda **values: names.update({values["name"]: values.get("package")})
        known = {
            "load": lambda *_: None,
            "Label": str,
            "pkg_config_repository": record,
            "system_headers_repository": record,
        }
        exec(self._text("third_party/repositories.bzl"), known)
        known["system_libraries"]()
        return names

    def options_by_file(self, sources):
        """Of .bazelrc's per_file_copt, those that hold for every build. Headers are precompiled by
        Bazel only."""
        options = {source: [] for source in sources}
        line = re.compile(r"^build --per_file_copt=(\S+)@(\S+)$", re.MULTILINE)
        for patterns, option in line.findall(self._text(".bazelrc")):
            if option.startswith("-include,"):
                continue
            wanted = [part for part in patterns.split(",") if not part.startswith("-")]
            unwanted = [part[1:] for part in patterns.split(",") if part.startswith("-")]
            for source in sources:
                if _any(wanted, source) and not _any(unwanted, source):
                    options[source] += option.split(",")
        return options


def _record(targets, rule, *_, **attributes):
    if "name" in attributes:
        targets[attributes["name"]] = (rule, attributes)


def _absolute(package, label):
    if label.startswith("@"):
        return label
    if label.startswith(":"):
        return f"//{package}{label}"
    if ":" not in label:
        return f"{label}:{label.rpartition('/')[2]}"
    return label


def _path(package, name):
    if name.startswith("//"):
        return name[2:].replace(":", "/")
    return f"{package}/{name.removeprefix(':')}"


def _any(patterns, text):
    return any(re.search(pattern, text) for pattern in patterns)


def lists(root):
    """{variable of CMake: its values}"""
    tree = Tree(root)
    library, includes, packages = tree.sources(PACKAGED)
    own, _, _ = tree.sources("//packaging:private_allocation")
    tool, _, tool_packages = tree.sources(TOOL)
    simulated, sim_includes, sim_packages = tree.sources(SIMULATION, SIMULATED)
    names = tree.pkg_config_names()
    shared = tree.attributes("//packaging:libmorsel.so")[1]
    sim = tree.bzl("sim/stores/sim.bzl")
    found = {
        "SOURCES": [source for source in library if source not in own],
        "INSTALLED_SOURCES": list(own),
        "TOOL_SOURCES": [source for source in tool if source not in library],
        "SIM_SOURCES": list(simulated),
        "INCLUDES": sorted({*includes, *sim_includes}),
        "PACKAGES": sorted(names[package] for package in packages),
        "TOOL_PACKAGES": sorted(names[package] for package in tool_packages - packages),
        "SIM_PACKAGES": sorted(names[package] for package in sim_packages - packages),
        "HEADERS": tree.headers("//morsel:public_headers"),
        "SIM_HEADERS": tree.headers("//morsel:sim_headers"),
        "SIM_COPTS": sim["SIM_COPTS"],
        "SIM_LINKOPTS": sim["SIM_LINKOPTS"],
        "EXPORTS": tree.attributes("//packaging:archive")[1]["exports"],
        "LINKOPTS": [
            re.sub(r"\$\(location (.*?)\)", r"packaging/\1", option)
            for option in shared["linkopts"]
        ],
    }
    every = {**library, **tool, **simulated}
    by_file = tree.options_by_file(every)
    for source, options in sorted(every.items()):
        if by_file[source] or options:
            found[f"OPTIONS_OF_{source}"] = [*by_file[source], *options]
    found["BUILD_FILES"] = sorted(set(tree.read))
    return found


def main(root):
    for name, values in lists(root).items():
        quoted = " ".join(f"[==[{value}]==]" for value in values)
        print(f"set([==[MORSEL_{name}]==] {quoted})")


if __name__ == "__main__":
    main(sys.argv[1])
