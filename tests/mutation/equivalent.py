"""The mutants that need no test, each with its reason.

A file of entries, set apart by empty lines; `#` begins a comment:

    site      alloc/heap/segments/slab.cc Slab::Make: persist.Range(run_.start, bytes);
    mutation  no-fence, delay
    reason    one sentence or more,
              continued where it begins with a blank
"""

import dataclasses

_KEYS = ("site", "mutation", "reason")


@dataclasses.dataclass(frozen=True)
class Equivalent:
    site: str
    mutation: str
    reason: str


class Malformed(ValueError):
    """An entry that says less than it must."""


def _fields(lines):
    fields, key = {}, None
    for line in lines:
        if line[0] not in " \t":
            key, _, text = line.partition(" ")
            if key not in _KEYS or key in fields:
                raise Malformed(f"'{line}' is neither of {', '.join(_KEYS)}")
            fields[key] = text.strip()
        elif key:
            fields[key] += " " + line.strip()
    missing = [key for key in _KEYS if not fields.get(key)]
    if missing:
        raise Malformed(f"an entry without {', '.join(missing)}: {' '.join(lines)}")
    return fields


def parse(text):
    """{(site, mutation): Equivalent}"""
    entries = {}
    block = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if line.strip():
            block.append(line)
        elif block:
            fields = _fields(block)
            block = []
            for mutation in fields["mutation"].split(","):
                key = fields["site"], mutation.strip()
                if key in entries:
                    raise Malformed(f"twice: {' '.join(key)}")
                entries[key] = Equivalent(*key, fields["reason"])
    return entries
