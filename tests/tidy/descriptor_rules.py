"""No descriptor of the library is below 3: see base/descriptor_floor.h."""

import re

import cpp_scanner
import rooms

# Calls that make descriptors.
_MAKERS = re.compile(
    r"(?:^\s*|=\s|\breturn\s|[(!])(?:std::|::)?"
    r"(?:open|openat|openat2|creat|fopen|opendir|memfd_create|eventfd|"
    r"timerfd_create|signalfd|epoll_create1|inotify_init1|pipe|pipe2|socket|socketpair|accept4?|"
    r"dup|dup2|dup3|mkstemp|mkostemp|tmpfile|pidfd_open|io_uring_queue_init(?:_params)?|"
    r"pmem2_map_new)\("
    r"|\bSYS_userfaultfd\b|\bF_DUPFD|\bstd::[io]?fstream\b"
)
_FLOOR = "const DescriptorFloor floor;"
# The floor itself, and the tool, whose main() sees to it that 0, 1 and 2 are open.
_FREE = ("base/descriptor_floor.cc", "cli/")


def check_descriptors(tree):
    for source in tree.cpp_sources:
        room = rooms.room_of(source.path)
        if room is None or room.for_tests or source.is_for_tests:
            continue
        if str(source.path).startswith(_FREE):
            continue
        lines = source.blanked.splitlines()
        try:
            functions = source.scan.functions
        except cpp_scanner.Unbalanced:
            continue
        for number, line in enumerate(lines, 1):
            found = _MAKERS.search(line)
            if not found:
                continue
            around = [f for f in functions if f.line <= number < f.line + f.length]
            first = max((f.line for f in around), default=number)
            if not any(_FLOOR in before for before in lines[first - 1 : number - 1]):
                call = found.group().split()[-1].strip("(!")
                text = f"'{call}' may make a descriptor below 3, which is the "
                yield source.violation(number, text + f"program's: put '{_FLOOR}' before it")
