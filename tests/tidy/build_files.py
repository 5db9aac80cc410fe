"""What BUILD files name, read as the Python that they look like."""

import ast
import functools
import re

_QUOTED_PATH = re.compile(r'"([\w./-]+\.\w+)')


class BuildFile:
    """Names are those of files, from the root of the tree."""

    def __init__(self, source):
        self.package = str(source.path.parent).removeprefix(".")
        self.tree = ast.parse(source.text)

    @functools.cached_property
    def names(self):
        """What any string in it could name, whether there is such a file or not."""
        return self._names_in(self.tree)

    @functools.cached_property
    def programs(self):
        """What the srcs of its targets could name."""
        return set().union(*map(self._names_in, self._values_of("srcs")))

    @functools.cached_property
    def included(self):
        """What sources include by a macro's value, as in FILE=\\"path/to/file.h\\"."""
        attributes = ("defines", "local_defines", "copts")
        defines = [value for name in attributes for value in self._values_of(name)]
        texts = set().union(*(self._texts(node) for node in defines))
        return {path for text in texts for path in _QUOTED_PATH.findall(text)}

    @functools.cached_property
    def on_path(self):
        """The headers of targets that put this folder on the path of what includes them."""
        found = set()
        for call in self._calls():
            values = {keyword.arg: keyword.value for keyword in call.keywords}
            if "hdrs" in values and _literals(values.get("includes")) == {"."}:
                found |= self._names_in(values["hdrs"])
        return found

    def globs(self, path):
        """Whether a glob of the package finds the file."""
        inside = self._inside(path)
        return inside is not None and any(
            any(_matches(inside, pattern) for pattern in patterns)
            and not any(_matches(inside, pattern) for pattern in exclude)
            for patterns, exclude in self._globs
        )

    def headers_of(self, name):
        """The hdrs of a target."""
        found = set()
        for call in self._calls():
            values = {keyword.arg: keyword.value for keyword in call.keywords}
            if "hdrs" in values and name in _literals(values.get("name")):
                found |= self._names_in(values["hdrs"])
        return found

    def labels_of(self, rule, attribute):
        """The labels that the targets of a rule have in an attribute."""
        labels = set()
        for call in self._calls():
            if getattr(call.func, "id", None) == rule:
                for keyword in call.keywords:
                    if keyword.arg == attribute:
                        labels |= _literals(keyword.value)
        return labels

    def _calls(self):
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def _values_of(self, attribute):
        return [
            keyword.value
            for call in self._calls()
            for keyword in call.keywords
            if keyword.arg == attribute
        ]

    def _names_in(self, node):
        return {self._from_root(text) for text in self._texts(node)}

    def _texts(self, node):
        """The strings in `node`, and those made of any string of the file, as in name + ".cc"."""
        texts = _literals(node)
        for part in ast.walk(node):
            if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
                if isinstance(part.left, ast.Name) and isinstance(part.right, ast.Constant):
                    texts |= {text + str(part.right.value) for text in self._all_literals}
            elif isinstance(part, ast.Call) and getattr(part.func, "attr", None) == "format":
                for pattern in _literals(part.func):
                    texts |= {pattern.replace("{}", text) for text in self._all_literals}
        return texts

    @functools.cached_property
    def _all_literals(self):
        return _literals(self.tree)

    @functools.cached_property
    def _globs(self):
        """(patterns, patterns of what is left out) of each glob."""
        globs = []
        for call in self._calls():
            if getattr(call.func, "id", None) == "glob":
                left_out = [keyword.value for keyword in call.keywords if keyword.arg == "exclude"]
                exclude = set().union(*map(_literals, left_out))
                included = [*call.args, *(k.value for k in call.keywords if k.arg == "include")]
                globs.append((set().union(*map(_literals, included)), exclude))
        return globs

    def _inside(self, path):
        prefix = f"{self.package}/" if self.package else ""
        return path[len(prefix) :] if path.startswith(prefix) else None

    def _from_root(self, text):
        if text.startswith("//"):
            return text[2:].replace(":", "/").removeprefix("/")
        return f"{self.package}/{text.removeprefix(':')}".removeprefix("/")


def _literals(node):
    if node is None:
        return set()
    parts = ast.walk(node)
    return {p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)}


def _matches(path, pattern):
    """As Bazel matches: a star within one folder, two for any folders."""
    regex = ""
    for part in pattern.split("/"):
        within = re.escape(part).replace(r"\*", "[^/]*")
        regex += "(?:[^/]+/)*" if part == "**" else within + "/"
    return re.fullmatch(regex, path + "/") is not None
