"""Units: a header with the sources that define what it declares.

x.cc belongs to x.h. A source without a header of its own name belongs to the header beside it
that declares most of what it defines, as heap_validate.cc does to heap.h; else it is alone.
"""

import posixpath


def units(tree):
    """The unit of each C and C++ file: the path of its header, or of the source that is alone."""
    headers = {str(source.path): source for source in tree.cpp_sources if source.is_header}
    declared = {header: _what_sources_define_of(header) for header in headers.values()}
    unit_of = {}
    for source in tree.cpp_sources:
        namesakes = [str(source.path.with_suffix(suffix)) for suffix in (".h", ".hpp")]
        owner = next((headers[name] for name in namesakes if name in headers), None)
        if source.is_header:
            owner = source
        elif owner is None and not source.is_test:
            owner = _owner(tree, source, declared)
        unit_of[source] = str((owner or source).path)
    return unit_of


def _what_sources_define_of(header):
    """The classes that it declares, and the functions outside of them."""
    types = {d.name for d in header.declarations if d.kind == "type"}
    functions = {d.name for d in header.declarations if d.kind == "function" and not d.scope}
    return types | functions


def _owner(tree, source, declared):
    """The header beside `source` that declares most of what it defines; None if there is none.

    Of several, the one with whose name its own has most in common.
    """
    defined = [
        d.name.partition("::")[0]
        for d in source.declarations
        if d.kind == "function" and not d.scope and not d.is_local
    ]
    best, most = None, (0, 0)
    for header, _ in tree.included_sources(source):
        if header.folder == source.folder and header in declared:
            votes = sum(name in declared[header] for name in defined)
            weight = (votes, _in_common(source, header))
            if votes and weight > most:
                best, most = header, weight
    return best


def _in_common(source, header):
    return len(posixpath.commonprefix([source.path.stem, header.path.stem]))
