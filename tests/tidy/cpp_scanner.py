"""Finds the functions and types of a C or C++ source, without a compiler.

The text is blanked (comments, literals), cut into tokens and read with a stack
of scopes. What a brace opens is told from the text before it. Both branches of
an #if start from the same stack, so that each may open the same function.
"""

import dataclasses
import re

_LITERAL_OR_COMMENT = re.compile(
    r"""
      //(?:\\\n|[^\n])*                                  # a comment, continued or not
    | /\*.*?(?:\*/|\Z)
    | (?<![A-Za-z0-9_])(?:u8|[uUL])?R"(?P<mark>[^()\\\s]{0,16})\(.*?(?:\)(?P=mark)"|\Z)
    | "(?:\\.|[^"\\\n])*"
    | (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'                # else a digit separator
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTINUED_LINE = re.compile(r"(?:[^\n]*\\\n)*[^\n]*")
_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*(\w*)")
_ATTRIBUTE = re.compile(r"\b(?:alignas|__attribute__)\s*(?=\()")
_TYPE = re.compile(r"\b(?:class|struct|union|enum)\b")
_COLON = re.compile(r"(?<!:):(?!:)")
_ACCESS = re.compile(r"\s*(?:public|private|protected)\s*\Z")
_LAMBDA = re.compile(r"\[[^\[\]]*\]\s*(?:\(|\Z|<|mutable\b)")
_OPERATOR = re.compile(r"\boperator\s*(?:\(\s*\)|\[\s*\]|[^\s\w(]+)")
_NOT_A_NAME = {"class", "struct", "final"}  # of what stands before a type's body
_NAME = re.compile(r"((?:~?\w+(?:<[^()]*>)?::)*(?:operator\s*(?:\(\)|[^\s(]+)|~?\w+))\s*\(")


@dataclasses.dataclass(frozen=True)
class Function:
    name: str
    line: int
    length: int  # lines, from the declaration's first to the closing brace


@dataclasses.dataclass(frozen=True)
class Declaration:
    """A type that is defined, or a function that is defined or only declared."""

    kind: str  # "type" or "function"
    name: str  # as it is written, e.g. Heap::Free
    line: int
    scope: str = ""  # the types around it, e.g. Heap::Growth
    is_local: bool = False  # no other source sees it


class Unbalanced(ValueError):
    """The braces do not match, so nothing is known of the functions."""


def blank(text):
    """The text with comments and the contents of literals made blank, lines kept."""

    def replace(match):
        found = match.group()
        if found[0] == "/":
            return re.sub(r"[^\n]", " ", found)
        quote = found[-1]
        return re.sub(r"[^\n]", " ", found[:-1])[:-1] + quote * 2 if len(found) > 1 else found

    return _LITERAL_OR_COMMENT.sub(replace, text)


def end_of_group(text, position, opening, closing):
    """Where the group ends that `text[position]` opens."""
    depth = 0
    while position < len(text):
        depth += {opening: 1, closing: -1}.get(text[position], 0)
        position += 1
        if not depth:
            break
    return position


def without_groups(text):
    """`text` without what stands in round brackets, the brackets included."""
    while (start := text.find("(")) >= 0:
        text = text[:start] + text[end_of_group(text, start, "(", ")") :]
    return text


def without_attributes(text):
    text = re.sub(r"\[\[.*?\]\]", " ", text, flags=re.DOTALL)
    while match := _ATTRIBUTE.search(text):
        text = text[: match.start()] + text[end_of_group(text, match.end(), "(", ")") :]
    return text


def without_template_parameters(text):
    """`text` without leading `template <...>` clauses."""
    while match := re.match(r"\s*template\s*(?=<)", text):
        text = text[end_of_group(text, match.end(), "<", ">") :]
    return text


def kind_of_brace(header):
    """What `{` opens after `header`, which stands at namespace or class scope."""
    header = without_template_parameters(without_attributes(header)).strip()
    if re.match(r'(?:inline\s+)?namespace\b|extern\s*""\s*\Z', header):
        return "namespace"
    flat = without_groups(_OPERATOR.sub(" operator ", header))
    if re.search(r"(?<![=!<>+\-*/%&|^])=(?!=)", flat):
        return "function" if _LAMBDA.search(header, header.index("=")) else "value"
    if "(" not in header:
        return "type" if _TYPE.search(header) else "value"
    if _is_type(header):
        return "type"
    # Foo::Foo(int a) : a_{a} {}: a constructor's body comes after a bracket.
    if _COLON.search(flat) and re.search(r"[\w>]\Z", header):
        return "value"
    return "function"


def _is_type(header):
    """Whether a header with round brackets in it begins a class or enum."""
    if _TYPE.search(header, header.rindex(")")):
        return True
    if not _TYPE.match(header):
        return False
    return bool(_COLON.search(header, 0, header.index("(")) or header.endswith(">"))


def name_of(header):
    """What to call the function with this header: good enough for a reader."""
    header = without_template_parameters(without_attributes(header)).strip()
    if re.fullmatch(r"[A-Z][A-Z_0-9]*\s*\([^()]*\)", header):
        return re.sub(r"\s+", " ", header)  # TEST(Suite, Name)
    match = _NAME.search(header)
    return match.group(1) if match else "lambda"


def name_of_type(header):
    """The name of the class or enum that this header defines; nothing if it has none."""
    header = without_template_parameters(without_attributes(header))
    keyword = _TYPE.search(header)
    head = re.split(r"<|(?<!:):(?!:)", header[keyword.end() :])[0]
    words = [word for word in re.findall(r"[\w:]+", head) if word not in _NOT_A_NAME]
    return words[-1] if words else ""


def declared_by(header):
    """What a declaration that ends in a semicolon declares: (kind, name), or nothing."""
    header = without_template_parameters(without_attributes(header)).strip()
    alias = re.match(r"using\s+(\w+)\s*=", header)
    if alias:
        return "type", alias.group(1)
    header = re.sub(r"=\s*(?:0|default|delete)\s*\Z", "", _OPERATOR.sub("operator ", header))
    while (flat := re.sub(r"<[^<>]*>", "", header)) != header:
        header = flat
    plain = without_groups(header)
    if "(" not in header or "=" in plain or not re.search(r"\w\s+[\w:*&~]", plain):
        return None
    if re.match(r"(?:using|typedef|friend|return|static_assert)\b", header) or "operator" in plain:
        return None
    return "function", name_of(header)


class _Reader:
    """Walks over blanked text once."""

    def __init__(self, text):
        self.text = blank(text)
        self.functions = []
        self.declarations = []
        self.stack = []  # (kind, header, first line) of each open brace
        self.branches = []  # the stack, as it was at each open #if
        self.brackets = 0
        self._forget_header()

    def _forget_header(self):
        self.header = ""
        self.first_line = None
        self.initialized = False  # by braces

    def read(self):
        line, position = 1, 0
        while position < len(self.text):
            if position == 0 or self.text[position - 1] == "\n":
                directive = _DIRECTIVE.match(self.text, position)
                if directive:
                    whole = _CONTINUED_LINE.match(self.text, position)
                    self._directive(directive.group(1))
                    line += whole.group().count("\n")
                    position = whole.end()
                    continue
            character = self.text[position]
            self._character(character, line, position)
            line += character == "\n"
            position += 1
        if self.stack or self.brackets:
            raise Unbalanced(f"{len(self.stack)} braces are open at the end")
        return self

    def _directive(self, name):
        if name in ("if", "ifdef", "ifndef"):
            self.branches.append((list(self.stack), self.header, self.first_line, self.brackets))
        elif name in ("else", "elif") and self.branches:
            stack, self.header, self.first_line, self.brackets = self.branches[-1]
            self.stack = list(stack)
        elif name == "endif" and self.branches:
            self.branches.pop()

    def _in_body(self):
        return any(kind in ("function", "value") for kind, _, _, _ in self.stack)

    def _character(self, character, line, position):
        if character == "{":
            self._open(line)
        elif character == "}":
            self._close(line)
        elif self._in_body():
            return
        elif character == ";" and not self.brackets:
            self._declare()
            self._forget_header()
        else:
            self._extend_header(character, line, position)

    def _declare(self):
        declared = None if self.initialized else declared_by(self.header)
        if declared:
            self._add_declaration(*declared, self.first_line)

    def _add_declaration(self, kind, name, line):
        opened = [(opener, header) for opener, header, _, _ in self.stack]
        types = [name_of_type(header) for opener, header in opened if opener == "type"]
        local = any(
            opener == "namespace" and re.fullmatch(r"(?:inline\s+)?namespace", header.strip())
            for opener, header in opened
        ) or re.match(r"\s*static\b", self.header) is not None and not types
        self.declarations.append(Declaration(kind, name, line, "::".join(types), local))

    def _extend_header(self, character, line, position):
        self.brackets += {"(": 1, ")": -1}.get(character, 0)
        if character == ":" and _ACCESS.match(self.header) and self.text[position + 1] != ":":
            self._forget_header()
            return
        if self.first_line is None and not character.isspace():
            self.first_line = line
        self.header += character

    def _open(self, line):
        if self._in_body() or self.brackets:
            kind = "value"
        else:
            kind = kind_of_brace(self.header)
        if kind == "type" and (name := name_of_type(self.header)):
            self._add_declaration(kind, name, self.first_line)
        if kind == "function":
            self._add_declaration(kind, name_of(self.header), self.first_line or line)
        self.stack.append((kind, self.header, self.first_line or line, self.brackets))
        if kind != "value":
            self._forget_header()
            self.brackets = 0

    def _close(self, line):
        if not self.stack:
            raise Unbalanced(f"line {line} closes a brace that nothing opened")
        kind, header, first_line, brackets = self.stack.pop()
        if kind == "function":
            self.functions.append(Function(name_of(header), first_line, line - first_line + 1))
        if kind != "value":
            self._forget_header()
        elif not self._in_body():
            # The declaration goes on behind an initializer: `a_{a}, b_(b) {`.
            self.header = header + "()"
            self.initialized = not brackets
        self.brackets = brackets


def scan(text):
    """The functions that `text` defines, in the order in which they end, and its declarations.

    Raises Unbalanced where the reading went wrong.
    """
    return _Reader(text).read()


def functions(text):
    return scan(text).functions


def declarations(text):
    return scan(text).declarations
