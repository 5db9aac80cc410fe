"""Labels of contracts and of ORDER blocks stand at the beginnings of lines, where readers look.

    /// Errors      NoSpace.
    /// Threads     any.

and not `/// Errors  NoSpace. Threads  any.`, which is what is left of the two when they are filled
as prose.
"""

import re

LABELS = [
    *("Durability", "Ownership", "Units", "Errors", "Returns", "Throws"),
    *("Threads", "Cost", "Source"),
    *("ORDER", "WHY", "CRASH", "TEST"),
]

_COMMENT = re.compile(r"[ \t]*(?://[/!]?<?|/?\*+)[ \t]*(.*)")
_LABEL = re.compile(r"(?<=\S)[ \t]+(%s)[ ]{2,}(?=\S)" % "|".join(LABELS))


def check_labels(tree):
    for source in tree.cpp_sources:
        for number, line in enumerate(source.lines, 1):
            comment = _COMMENT.match(line)
            label = comment and _LABEL.search(comment.group(1))
            if label:
                text = f"the label '{label.group(1)}' inside a line: begin a line with it"
                yield source.violation(number, text)
