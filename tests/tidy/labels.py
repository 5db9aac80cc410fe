"""Labels of contracts and of ORDER blocks stand at the beginnings of lines, where readers look.

    /// Errors      NoSpace.
    /// Threads     any.

and not `/// Errors  NoSpace. Threads  any.`, which is what is left of the two when they are filled
as prose.
"""

import re

CONTRACT = ["Durability", "Ownership", "Units", "Errors", "Threads", "Cost"]
LABELS = [*CONTRACT, "Returns", "Throws", "Source", "ORDER", "WHY", "CRASH", "TEST"]

_COMMENT = re.compile(r"[ \t]*(?://[/!]?<?|/?\*+)[ \t]*(.*)")
# Two spaces behind it make a word a label. At a line's end, where there are none to see, it is one
# behind the end of a sentence.
_LABEL = re.compile(
    r"(?<=\S)[ \t]+(%s)[ ]{2,}(?=\S)|(?<=[.;:)])[ \t]+(%s)[ \t]*\Z"
    % ("|".join(LABELS), "|".join(CONTRACT))
)


def check_labels(tree):
    for source in tree.cpp_sources:
        for number, line in enumerate(source.lines, 1):
            comment = _COMMENT.match(line)
            label = comment and _LABEL.search(comment.group(1))
            if label:
                name = label.group(1) or label.group(2)
                text = f"the label '{name}' inside a line: begin a line with it"
                yield source.violation(number, text)
