"""Thread-local objects of the library: all are of one TLS model, the initial-exec one.

GNU gold, which Bazel links with where it is, counts local objects of another model when it numbers
their symbols and leaves them out when it writes these. The others then get each other's places.
"""

import re

import rooms

_OBJECT = re.compile(r"^\s*(?!\[\[gnu::tls_model)(?:\w+\s+)*thread_local\s")
_MODEL = '[[gnu::tls_model("initial-exec")]]'


def check_thread_locals(tree):
    for source in tree.cpp_sources:
        room = rooms.room_of(source.path)
        if room is None or room.for_tests or room.is_program or source.is_for_tests:
            continue
        lines = source.text.splitlines()
        for number, line in enumerate(source.blanked.splitlines(), 1):
            if _OBJECT.search(line) and _MODEL not in lines[number - 1]:
                text = f"objects of several TLS models may get one place: put {_MODEL} before it"
                yield source.violation(number, text)
