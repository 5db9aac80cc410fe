"""A medium is a type: no room asks which medium it has, by its object or by its name.

What differs between media is a function of pmem/media/medium.h, so that a new medium touches the
files that pmem/README.md lists, and no others.
"""

import re

import rooms

_ROOM = "pmem/media"
_OBJECT = re.compile(r"^extern const Medium& (k\w+);", re.MULTILINE)
_NAME = re.compile(r'const char\* name\(\) const override \{ return "([^"]+)"; \}')


def check_media(tree):
    inside = [source for source in tree.cpp_sources if source.folder == _ROOM]
    text = "\n".join("\n".join(source.lines) for source in inside if not source.is_for_tests)
    objects, names = _OBJECT.findall(text), _NAME.findall(text)
    if not objects:
        return
    asks = re.compile(
        r"\bpmem::(%s)\b" % "|".join(objects)
        + r'|(?:[=!]=\s*|\b(?:strn?cmp|compare)\([^;]*)"(%s)"' % "|".join(map(re.escape, names))
    )
    for source in tree.cpp_sources:
        if source.folder == _ROOM or source.is_for_tests or not rooms.room_of(source.path):
            continue
        for number, line in enumerate(source.lines, 1):
            found = asks.search(line)
            if found:
                medium = found.group(1) or found.group(2)
                problem = f"asks whether the medium is {medium}: let pmem/media/medium.h answer it"
                yield source.violation(number, problem)
