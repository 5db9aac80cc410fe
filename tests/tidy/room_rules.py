"""What includes what: the order of the rooms, and what is for tests only."""

import rooms


def check_rooms(tree):
    known = tree.places | set(rooms.TOP_FOLDERS) | set(rooms.BESIDE)
    for source in tree.cpp_sources:
        for include in source.includes:
            path = tree.included_path(source, include.name)
            place = path.partition("/")[0]
            if place == ".." or "/" not in path or place not in known:
                continue
            problem = _problem(source, include, path)
            if problem:
                yield source.violation(include.line, problem)


def _problem(source, include, path):
    if source.path.parts[0] == "examples":
        if not _example_may_include(source, include, path):
            return f"an example includes {path}, which is not public: include <morsel/morsel.hpp>"
        return None
    room = rooms.room_of(source.path)
    if room:
        return _problem_of_room(source, room, path)
    return None


def _example_may_include(source, include, path):
    if include.bracket == "<":
        return path in rooms.PUBLIC_HEADERS
    return path.split("/")[:2] == list(source.path.parts[:2])


def _problem_of_room(source, room, path):
    other = rooms.room_of(path)
    if room.is_program and other != room and path not in rooms.PUBLIC_HEADERS:
        return f"{room.folder} includes {path}, which no program outside the tree could include"
    for_tests = source.is_for_tests or room.for_tests
    if not for_tests and _is_for_tests(path, other):
        return f"includes {path}, which is for tests: move what is needed out of it"
    if other is None:
        top = path.partition("/")[0]
        if top in rooms.BESIDE or top in rooms.TOP_FOLDERS:
            return f"{room.folder} includes {path}, which is in no room below it"
        return None
    if source.is_for_tests and other.for_tests:
        return None
    if rooms.is_below(room, other):
        return f"{room.folder} includes {path}, which is not below it: see tests/tidy/rooms.py"
    if rooms.are_apart(room, other):
        return f"{room.folder} includes {path}; the two rooms know nothing of each other"
    return None


def _is_for_tests(path, room):
    stem = path.rpartition("/")[2].partition(".")[0]
    return stem.endswith(("_test", "_testing")) or (room is not None and room.for_tests)


def check_includes_that_cost(tree):
    for source in tree.cpp_sources:
        if not rooms.room_of(source.path):
            continue
        for include in source.includes:
            for beginning, place in rooms.INCLUDED_ONCE.items():
                if include.name.startswith(beginning) and str(source.path) != place:
                    text = f"includes {include.name}, which only {place} may: it is slow to build"
                    yield source.violation(include.line, text)


def check_rooms_are_placed(tree):
    seen = set()
    for source in tree.cpp_sources:
        folder, top = source.folder, source.path.parts[0]
        if top in rooms.TOP_FOLDERS and not rooms.room_of(source.path) and folder not in seen:
            seen.add(folder)
            text = f"{folder}/ is a room that nobody placed: give it a line in tests/tidy/rooms.py"
            yield source.violation(1, text)
        elif top not in rooms.TOP_FOLDERS and top not in rooms.BESIDE and top not in seen:
            seen.add(top)
            text = f"{top}/ is neither a room nor beside them: see tests/tidy/rooms.py"
            yield source.violation(1, text)
