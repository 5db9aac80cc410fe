"""The rooms of the house: which folders hold the code, and what each may include.

A file includes from its own room and from the rooms that are listed before it. A folder of
code below one of these top folders is a room of its own, and has its line here.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Room:
    folder: str
    for_tests: bool = False  # what users run has nothing of it; tests of any room may include it
    headers: tuple = ()  # the room's, that lie elsewhere: where users include them from
    is_program: bool = False  # it stands outside of the library, and includes what any program may


# Lowest first.
ROOMS = [
    Room("base"),
    Room("base/hook"),
    Room("os/file"),
    Room("os/memory"),
    Room("os/testing", for_tests=True),
    Room("pmem/persist"),
    Room("pmem/media"),
    Room("sim/model", for_tests=True),
    Room("sim/stores", for_tests=True),
    Room("sim/disk", for_tests=True),
    Room("sim/cut", for_tests=True),
    Room("image/codecs"),
    Room("image/format"),
    Room("image/pipeline"),
    Room("image/log"),
    Room("image/load"),
    Room("image/store"),
    Room("image/settle"),
    Room("image"),
    Room("alloc/heap/layout"),
    Room("alloc/heap/segments"),
    Room("alloc/heap/threads"),
    Room("alloc/heap/guard"),
    Room("alloc/heap/supply"),
    Room("alloc/heap"),
    Room("alloc/subtrees"),
    Room("morsel"),
    Room("morsel/pool"),
    Room("morsel/registry"),
    Room("morsel/carved"),
    Room("morsel/directory"),
    Room("morsel/roots"),
    Room("morsel/rebase"),
    Room("morsel/sections"),
    Room("morsel/open"),
    Room("morsel/check"),
    Room("morsel/api"),
    Room("morsel/sim", for_tests=True, headers=("morsel/sim.hpp",)),
    Room("cli", is_program=True),
]

# Rooms that know nothing of each other, though one of them is listed first. A top folder
# stands for all rooms in it.
APART = [
    ("pmem", "image"),
    ("alloc", "image"),
    ("alloc/heap", "alloc/subtrees"),
    ("os/file", "os/memory"),
    ("sim/stores", "sim/disk"),
    ("sim/stores", "sim/cut"),
    ("sim/disk", "sim/cut"),
]

# Beside the rooms: these may include from all of them, but for examples, which are as a
# user's programs are. No room includes from any of these.
BESIDE = ["bench", "examples", "packaging", "tests", "tools"]

# What a program outside the tree may include.
PUBLIC_HEADERS = {
    "morsel/images.h",
    "morsel/morsel.h",
    "morsel/morsel.hpp",
    "morsel/rebase.h",
    "morsel/roots.h",
    "morsel/sim.hpp",
    "morsel/tools.h",
    "morsel/types.h",
    "morsel/update.hpp",
    "morsel/updates.h",
}

# Libraries whose headers take seconds to compile, by how an include begins, and the one file of all
# rooms that includes each.
INCLUDED_ONCE = {"CLI/": "cli/command_line.cc", "nlohmann/": "cli/printer.cc"}

_BY_FOLDER = {room.folder: room for room in ROOMS}
_BY_HEADER = {header: room for room in ROOMS for header in room.headers}
TOP_FOLDERS = list(dict.fromkeys(room.folder.partition("/")[0] for room in ROOMS))


def room_of(path):
    """The room that the file is in; None if it is in none."""
    return _BY_HEADER.get(str(path)) or _BY_FOLDER.get(str(path).rpartition("/")[0])


def is_within(folder, outer):
    return f"{folder}/".startswith(f"{outer}/")


def are_apart(room, other):
    for pair in APART:
        for one, another in (pair, pair[::-1]):
            if is_within(room.folder, one) and is_within(other.folder, another):
                return True
    return False


def is_below(room, other):
    return ROOMS.index(room) < ROOMS.index(other)
