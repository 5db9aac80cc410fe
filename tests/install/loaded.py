"""Loads the library by ctypes, and uses it in threads.
usage: loaded.py LIBRARY POOL"""

import ctypes
import sys
import threading


class PoolOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("size_bytes", ctypes.c_uint64),
    ]


CREATE = 1
library = ctypes.CDLL(sys.argv[1])
library.morsel_last_error.restype = ctypes.c_char_p
library.morsel_code_name.restype = ctypes.c_char_p


def must(code):
    if code != 0:
        raise SystemExit(library.morsel_last_error().decode())


def ask_for_nothing(messages):
    found = ctypes.c_void_p()
    code = library.morsel_open(pool, b"none", None, ctypes.byref(found))
    messages.append((library.morsel_code_name(code), library.morsel_last_error()))


pool = ctypes.c_void_p()
options = PoolOptions(flags=CREATE)
must(library.morsel_pool_open(sys.argv[2].encode(), ctypes.byref(options), ctypes.byref(pool)))
messages = []
threads = [threading.Thread(target=ask_for_nothing, args=(messages,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
must(library.morsel_pool_close(pool))
assert len(messages) == 4, messages
for name, message in messages:
    assert name == b"MORSEL_NOT_FOUND" and b"'none'" in message, (name, message)
