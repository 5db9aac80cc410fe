"""ORDER blocks: an order on the medium, argued at the line that keeps it.

    // ORDER  tail words  <  head word
    // WHY    recovery trusts a head and never reads tails.              [I-7]
    // CRASH  before the head: the run is free. After: the extent is live.
    // TEST   tests/crash/extent_test: HeadIsLast       <- fails when the lines are swapped

The test named must exist, or the argument is only a claim.
"""

import re

_COMMENT = re.compile(r"[ \t]*//[ \t]?(.*)")
_TAG = re.compile(r"(ORDER|WHY|CRASH|TEST)\b")
_TEST = re.compile(r"TEST\s+([\w./-]+):\s*(\w+)")
_TAGS = ("ORDER", "WHY", "CRASH", "TEST")


def comment_blocks(lines):
    """Runs of `//` lines: (number of the first line, the comments' texts)."""
    block, first = [], None
    for number, line in enumerate([*lines, ""], 1):
        comment = _COMMENT.match(line)
        if comment:
            first = first or number
            block.append(comment.group(1))
        elif block:
            yield first, block
            block, first = [], None


def order_blocks(lines):
    """Each block from its ORDER on: (number of its line, its comments' texts)."""
    for first, comments in comment_blocks(lines):
        starts = [index for index, text in enumerate(comments) if text.startswith("ORDER ")]
        for start, end in zip(starts, [*starts[1:], len(comments)]):
            yield first + start, comments[start:end]


def defines_test(source, name):
    if source.is_cpp:
        return re.search(rf"\b(?:TYPED_)?TEST(?:_F|_P)?\(\s*\w+\s*,\s*{name}\s*\)", source.text)
    return re.search(rf"\b{name}\b", source.text)


def check_order_blocks(tree):
    for source in tree.sources:
        if not source.is_cpp:
            continue
        for line, comments in order_blocks(source.lines):
            tags = {match.group(1) for text in comments if (match := _TAG.match(text))}
            missing = [tag for tag in _TAGS if tag not in tags]
            if missing:
                yield source.violation(line, f"an ORDER block without {', '.join(missing)}")
            for offset, text in enumerate(comments):
                if text.startswith("TEST "):
                    yield from check_reference(tree, source, line + offset, text)


def check_reference(tree, source, line, text):
    match = _TEST.match(text)
    if not match:
        yield source.violation(line, "TEST wants `path/to/a_test: Name`")
        return
    path, name = match.groups()
    candidates = tree.find(path)
    if not candidates:
        yield source.violation(line, f"there is no test {path}")
    elif not any(defines_test(candidate, name) for candidate in candidates):
        yield source.violation(line, f"{path} has no test {name}")
