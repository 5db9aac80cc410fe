"""How long and wide files, functions and folders may be."""

import collections
import re

import cpp_scanner

FILE_LINES_MAX = 500
BUILD_LINES_MAX = 250
README_LINES_MAX = 50
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
FOLDER_FILES_MAX = 35  # of each kind
# Fronts, which leave the work to parts: in these headers, these classes have at most so many
# functions, constructors, destructors and operators aside.
FRONTS = {"alloc/heap/heap.h": ("Heap", 24)}


def check_file_lengths(tree):
    for source in tree.sources:
        most = BUILD_LINES_MAX if source.path.name == "BUILD" else FILE_LINES_MAX
        length = len(source.lines)
        if length > most:
            text = f"{length} lines, more than {most}: it has two jobs, find them"
            yield source.violation(most + 1, text)


def check_function_lengths(tree):
    for source in tree.cpp_sources:
        try:
            functions = source.scan.functions
        except cpp_scanner.Unbalanced as error:
            yield source.violation(1, str(error))
            continue
        for function in functions:
            if function.length > FUNCTION_LINES_MAX:
                length = f"{function.length} lines, more than {FUNCTION_LINES_MAX}"
                text = f"{function.name} has {length}: split it"
                yield source.violation(function.line, text)


def _is_counted(declaration):
    name = declaration.name.rsplit("::", 1)[-1]
    is_special = name.lstrip("~") == declaration.scope or name.startswith("operator")
    return declaration.kind == "function" and not is_special


def check_fronts(tree):
    for source in tree.cpp_sources:
        front, most = FRONTS.get(str(source.path), (None, None))
        if front is None:
            continue
        members = [one for one in source.declarations if one.scope == front and _is_counted(one)]
        if not members:
            yield source.violation(1, f"it has no class {front} with functions")
        if len(members) > most:
            text = f"{front} has {len(members)} functions, more than {most}: what is not a front's"
            text += " work is a part's"
            yield source.violation(members[most].line, text)


def check_columns(tree):
    for source in tree.sources:
        for number, line in enumerate(source.lines, 1):
            if len(line) > COLUMNS_MAX:
                text = f"{len(line)} columns, more than {COLUMNS_MAX}: break the line"
                yield source.violation(number, text)


def _kind(source):
    for kind in ("test", "testing"):
        if source.path.stem.endswith(f"_{kind}"):
            return f"*_{kind} files"
    return "C and C++ files"


def check_folders(tree):
    counts = collections.Counter((source.folder, _kind(source)) for source in tree.cpp_sources)
    for (folder, kind), count in sorted(counts.items()):
        if count > FOLDER_FILES_MAX:
            yield (
                f"{folder}/:1: {count} {kind}, more than {FOLDER_FILES_MAX}: "
                "make rooms in it, each with one job"
            )


def check_readmes(tree):
    pages = {str(page.path): page for page in tree.documents}
    for top, folders in sorted(_rooms_within(tree).items()):
        page = pages.get(f"{top}/README.md")
        if page is None:
            yield f"{top}/:1: it has no README.md that says what it and each room in it is for"
            continue
        if len(page.lines) > README_LINES_MAX:
            text = f"{len(page.lines)} lines, more than {README_LINES_MAX}: one sentence a room"
            yield page.violation(README_LINES_MAX + 1, text)
        for folder in sorted(folders):
            if not re.search(rf"(?<![\w-]){re.escape(folder)}(?![\w-])", page.text):
                yield page.violation(1, f"it does not say what {top}/{folder}/ is for")


def _rooms_within(tree):
    """The top folders that have C or C++ sources, each with the names of the folders in it."""
    within = {source.path.parts[0]: set() for source in tree.cpp_sources}
    for source in tree.sources:
        top, *rest = source.path.parts[:-1] or [""]
        if top in within:
            within[top].update(rest[:1])
    return within
