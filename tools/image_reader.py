#!/usr/bin/env python3
"""Lists a morsel's image and holds every byte of it against its checksums.

usage: image_reader.py FILE

Written from docs/format.md alone, so that the text, and no library, is what says how an image lies.
Prints one JSON value: "verdict" is clean, damaged (some subtrees, or the roots, are), corrupt or
version (nothing can be believed), then what the superblock says, of each subtree that is not absent
where it lies, the XXH3-128 of its memory, and what is wrong with it, and the roots of a heap whose
subtrees are all whole; "doubts" names superblocks and copies of tables that are damaged while the
other serves. Exits with 0 where it is clean.
"""

import json
import os
import struct
import sys

import lz4.block
import xxhash
import zstandard

from image_format import (
    ABSENT, BLOCK, CODECS, ENTRY, LZ4, MAGIC, NONE, PAGE, PAGES, PATCH, PATCHES_MAX,
    PER_TABLE, SLOTS, SUBTREE, VERSION, ZSTD, Entry, Log, Patch, Refused, Superblock, corrupt,
    padded, sum_of,
)
HEAP_MAGIC = b"mrslHeap"
HEAP = struct.Struct("<8sII16sQQQQQQQQ")
HEAP_VERSIONS = (2, 3)
ROOT_TOP = 2048  # where the header's words of roots lie
ROOT_TOP_BITS = 8
ROOT_NODE_BITS = 4
ROOT_DEPTH_MAX = 14
ROOT_CHAIN_MAX = 64
ROOT_NAME_MAX = 255
ROOT_TYPE_MAX = 1024
ROOT_TYPED, ROOT_MANGLED = 1, 2
RECORD = struct.Struct("<QQQIIHHHH")
TABLE_ENTRY = struct.Struct("<112sQQ")


class RootsRefused(Exception):
    """The roots of a heap are not as they must be."""


class Image:
    """The current generation of the image in `file`. Raises Refused."""

    def __init__(self, file):
        self.file = file
        self.file_size = os.fstat(file.fileno()).st_size
        self.extents = {}
        self.doubts = []  # what is damaged where another copy serves
        self.superblock = self.choose()
        self.superblock.check()
        if self.superblock.version > 4:
            self.take(SLOTS[self.superblock.version][1], BLOCK, "a superblock")
        self.leaves = {}  # by subtree
        self.patches = {}  # likewise: by page of the subtree
        self.read_tables()
        self.read_lists()
        if self.superblock.has_log:
            self.take(self.superblock.log, self.superblock.log_size, "the log")
        extents = sorted(self.extents.items())
        for (offset, size), (following, _) in zip(extents, extents[1:]):
            if offset + size > following:
                raise corrupt(f"extents meet at offset {following}")
        self.log = Log(self) if self.superblock.has_log else None
        self.generation = self.log.generation if self.log else self.superblock.generation
        self.live = self.log.live if self.log else self.superblock.live

    def read(self, offset, size):
        self.file.seek(offset)
        data = self.file.read(size)
        if len(data) != size:
            raise corrupt(f"the file ends before offset {offset + size}")
        return data

    def choose(self):
        if self.file_size < 2 * BLOCK:
            raise corrupt("foreign or truncated")
        slots = [Superblock(self.read(offset, BLOCK)) for offset in SLOTS[4]]
        is_of_4 = slots[1].magic == MAGIC or (slots[0].is_valid(0) and slots[0].version < VERSION)
        if not is_of_4:
            if self.file_size < SLOTS[VERSION][1] + BLOCK:
                raise corrupt("foreign or truncated")
            slots = [Superblock(self.read(offset, BLOCK)) for offset in SLOTS[VERSION]]
        valid = [s for slot, s in enumerate(slots) if s.is_valid(slot)]
        if valid:
            if len(valid) < 2 and not is_of_4:
                self.doubts.append("a superblock is not valid")
            return max(valid, key=lambda s: s.sequence)
        if any(s.magic == MAGIC and s.version > VERSION for s in slots):
            raise Refused("version", "of a later version, or damaged")
        raise corrupt("no superblock is valid")

    def take(self, offset, size, what):
        """Remembers an extent, which must lie between the first two blocks and the file's end."""
        if offset % BLOCK or offset < 2 * BLOCK or offset + size > self.file_size:
            raise corrupt(f"{what} lies at offset {offset}, {size} bytes long")
        # At once, lest one table that is led to often be read as often.
        if offset in self.extents:
            raise corrupt(f"extents meet at offset {offset}")
        self.extents[offset] = size

    def check_generation(self, entry, what):
        if entry.generation > self.superblock.generation:
            raise corrupt(f"{what} is of a generation to come")

    def read_table(self, entry, entries_max, what):
        if entry.kind == ABSENT:
            if not entry.is_zero:
                raise corrupt(f"{what} is absent and yet has an extent")
            return []
        entry.check(False, entries_max, what)
        self.check_generation(entry, what)
        for offset in entry.copies:
            self.take(offset, padded(entry.stored), what)
        copies = [self.read(offset, entry.stored) for offset in entry.copies]
        sound = [data for data in copies if sum_of(data) == entry.sum]
        if not sound:
            raise corrupt(f"{what} fails its checksum")
        if len(sound) < len(copies):
            self.doubts.append(f"a copy of {what} is damaged")
        data = sound[0]
        entries = [Entry(data[i:i + ENTRY.size], entry.version)
                   for i in range(0, len(data), ENTRY.size)]
        if entries[-1].kind == ABSENT:
            raise corrupt(f"{what} ends with an absent entry")
        return entries

    def read_tables(self):
        subtrees = self.superblock.size // SUBTREE
        giants = -(-subtrees // PER_TABLE)
        for giant, node in enumerate(
            self.read_table(self.superblock.root, giants, "the root table")
        ):
            first = giant * PER_TABLE
            here = min(PER_TABLE, subtrees - first)
            for i, leaf in enumerate(self.read_table(node, here, f"the table of GiB {giant}")):
                self.take_leaf(first + i, leaf)

    def take_leaf(self, subtree, leaf):
        what = f"subtree {subtree}"
        if leaf.kind == ABSENT:
            if not leaf.is_zero:
                raise corrupt(f"{what} is absent and yet has an extent")
            return
        leaf.check(True, 0, what)
        self.check_generation(leaf, what)
        self.take(leaf.offset, padded(leaf.stored), what)
        self.take(leaf.sums, 16 * PAGES, what)
        self.leaves[subtree] = leaf

    def read_lists(self):
        """Which pages count in place of leaves' own: those of later lists first."""
        groups = []  # of copies of one list
        for one in self.superblock.lists:
            if groups and groups[-1][-1].is_copy_of(one):
                groups[-1].append(one)
            else:
                groups.append([one])
            before = groups[-2][-1].generation if len(groups) > 1 else 0
            is_later = before < one.generation <= self.superblock.generation
            if not is_later or not 0 < one.count <= PATCHES_MAX:
                raise corrupt("a list of replaced pages cannot be")
            self.take(one.offset, padded(one.count * PATCH.size), "a list of replaced pages")
        for copies in reversed(groups):
            self.read_list(copies)
        if sum(map(len, self.patches.values())) > PATCHES_MAX:
            raise corrupt("too many pages are replaced")

    def read_list(self, copies):
        sound = []
        for one in copies:
            data = self.read(one.offset, one.count * PATCH.size)
            patches = [Patch(data[i:i + PATCH.size]) for i in range(0, len(data), PATCH.size)]
            pages = [patch.page for patch in patches]
            if sum_of(data) == one.sum and pages == sorted(set(pages)):
                sound.append(patches)
        if not sound:
            raise corrupt("a list of replaced pages fails its checksum")
        if len(sound) < len(copies):
            self.doubts.append("a copy of a list of replaced pages is damaged")
        for patch in sound[0]:
            subtree, page = divmod(patch.page, PAGES)
            leaf = self.leaves.get(subtree)
            later = self.patches.setdefault(subtree, {})
            if leaf is not None and leaf.generation < copies[0].generation and page not in later:
                self.take(patch.offset, PAGE, f"a page of subtree {subtree}")
                later[page] = patch

    def decoded(self, leaf):
        """The leaf's 2 MiB of memory, or nothing where its bytes are not what its codec made."""
        data = self.read(leaf.offset, leaf.stored)
        try:
            if leaf.codec == LZ4:
                data = lz4.block.decompress(data, uncompressed_size=SUBTREE)
            elif leaf.codec == ZSTD:
                decoder = zstandard.ZstdDecompressor().decompressobj()
                data = decoder.decompress(data)
                if decoder.unused_data:
                    return b""
        except (lz4.block.LZ4BlockError, zstandard.ZstdError):
            return b""
        return data if len(data) == SUBTREE else b""

    def elsewhere(self, subtree):
        """Where pages of the subtree lie, and their sums, by their number in it."""
        found = {number: (patch.offset, patch.sum)
                 for number, patch in self.patches.get(subtree, {}).items()}
        for number, place in (self.log.pages.items() if self.log else ()):
            if number // PAGES == subtree:
                found[number % PAGES] = place
        return found

    def memory(self, subtree):
        """The subtree's 2 MiB, and what is wrong with them."""
        leaf = self.leaves[subtree]
        data = bytearray(self.decoded(leaf))
        if not data:
            return data, [f"its bytes at offset {leaf.offset} do not decompress"]
        elsewhere = self.elsewhere(subtree)
        stored_sums = self.read(leaf.sums, 16 * PAGES)
        sums = [sum_of(data[i:i + PAGE]) for i in range(0, SUBTREE, PAGE)]
        has_sums = sum_of(stored_sums) == leaf.sum
        if has_sums and leaf.codec == NONE:
            # What a leaf has in the places of pages that lie elsewhere means nothing.
            for number in elsewhere:
                sums[number] = stored_sums[16 * number:16 * number + 16]
        wrong = []
        if sum_of(b"".join(sums)) != leaf.sum:
            wrong.append(f"its bytes at offset {leaf.offset} fail their checksum")
        if not has_sums:
            wrong.append("its pages' sums are damaged")
        for number, (offset, total) in sorted(elsewhere.items()):
            page = self.read(offset, PAGE)
            if sum_of(page) != total:
                wrong.append(f"page {number} at offset {offset} fails its checksum")
            data[number * PAGE:(number + 1) * PAGE] = page
        return data, wrong


class Memory:
    """The memory of a morsel whose image is whole. What is read of it is decoded then."""

    def __init__(self, image):
        self.image = image
        self.subtrees = {}

    def read(self, offset, size):
        if offset + size > self.image.superblock.size:
            raise RootsRefused(f"the roots lead to offset {offset}, behind the morsel's end")
        data = b""
        while len(data) < size:
            subtree, at = divmod(offset + len(data), SUBTREE)
            data += self.subtree(subtree)[at:at + size - len(data)]
        return data

    def subtree(self, number):
        if number not in self.subtrees:
            is_there = number in self.image.leaves
            self.subtrees[number] = bytes(
                self.image.memory(number)[0] if is_there else SUBTREE
            )
        return self.subtrees[number]

    def words(self, offset, count):
        return struct.unpack(f"<{count}Q", self.read(offset, 8 * count))


class Roots:
    """The named roots of the heap in `image`: `found`, by name. Raises RootsRefused."""

    def __init__(self, image):
        self.image = image
        self.memory = Memory(image)
        self.found = {}
        if image.superblock.size == 0:
            return
        magic, version, *rest = HEAP.unpack(self.memory.read(0, HEAP.size))
        if magic != HEAP_MAGIC:
            return  # whoever made the image stored something else in it
        self.check_header(version, rest)
        for index, word in enumerate(self.memory.words(ROOT_TOP, 1 << ROOT_TOP_BITS)):
            self.walk(word, 0, index)
        self.read_table(*rest[4:6])

    def check_header(self, version, rest):
        _unit, identity, base, capacity, *_, checksum = rest
        as_of_2 = HEAP_MAGIC + struct.pack("<I", 2) + self.memory.read(12, HEAP.size - 20)
        if version not in HEAP_VERSIONS or checksum != xxhash.xxh3_64_intdigest(as_of_2):
            raise RootsRefused(f"the heap's header, of version {version}, fails its checksum")
        superblock = self.image.superblock
        if (identity, base, capacity) != (superblock.id, superblock.base, superblock.capacity):
            raise RootsRefused("the heap is another morsel's")

    def walk(self, word, depth, path):
        """Takes all roots below a word. `path` is what the words down to it say of the hash."""
        if word == 0:
            return
        if word & 1:
            self.take_chain(word, depth, path)
            return
        if depth == ROOT_DEPTH_MAX or word % 16:
            raise RootsRefused(f"a node of the roots lies at offset {word}, {depth} deep")
        shift = ROOT_TOP_BITS + ROOT_NODE_BITS * depth
        for index, below in enumerate(self.memory.words(word, 1 << ROOT_NODE_BITS)):
            self.walk(below, depth + 1, path | index << shift)

    def take_chain(self, word, depth, path):
        mask = (1 << ROOT_TOP_BITS + ROOT_NODE_BITS * depth) - 1
        hashes = set()
        for _ in range(ROOT_CHAIN_MAX):
            word, name_hash = self.take_record(word)
            hashes.add(name_hash)
            if name_hash & mask != path or len(hashes) > 1:
                raise RootsRefused("a root lies where the hash of its name does not lead")
            if word == 0:
                return
        raise RootsRefused(f"more than {ROOT_CHAIN_MAX} roots have one hash")

    def take_record(self, word):
        """Returns the record's `next` and the hash of its name."""
        offset = word - 1
        if not word & 1 or offset % 16:
            raise RootsRefused(f"a root's record lies at offset {offset}")
        (following, target, size, alignment, layout, flags, name_bytes, type_bytes,
         zero) = RECORD.unpack(self.memory.read(offset, RECORD.size))
        is_sane = 0 < name_bytes <= ROOT_NAME_MAX and type_bytes <= ROOT_TYPE_MAX and zero == 0
        names = self.memory.read(offset + RECORD.size, name_bytes + type_bytes) if is_sane else b""
        name, type_name = names[:name_bytes], names[name_bytes:]
        is_typed = flags & ROOT_TYPED != 0
        if not is_sane or (not is_typed and (size or alignment or layout or type_name)):
            raise RootsRefused(f"the root's record at offset {offset} cannot be")
        entry = {"address": f"{target:#x}"}
        if is_typed:
            entry |= {"type": text(type_name), "is_mangled": flags & ROOT_MANGLED != 0,
                      "size": size, "alignment": alignment, "layout": layout}
        self.take(name, target, entry)
        return following, xxhash.xxh3_64_intdigest(name)

    def take(self, name, target, entry):
        begin = self.image.superblock.base
        if not begin <= target < begin + self.image.superblock.size:
            raise RootsRefused(f"root {text(name)!r} leads outside of the morsel")
        if text(name) in self.found:
            raise RootsRefused(f"there are two roots {text(name)!r}")
        self.found[text(name)] = entry

    def read_table(self, offset, size):
        """Of a heap that was made in version 2. What the trie has counts."""
        data = self.memory.read(offset, size)
        for name, target, _ in TABLE_ENTRY.iter_unpack(data):
            name = name.rstrip(b"\0")
            if target != 0 and text(name) not in self.found:
                self.take(name, target, {"address": f"{target:#x}"})


def text(data):
    return data.decode("utf-8", "backslashreplace")


def roots_report(image):
    """The roots, and what is wrong with them."""
    try:
        return Roots(image).found, ""
    except RootsRefused as refused:
        return {}, str(refused)


def subtree_report(image, subtree):
    leaf = image.leaves[subtree]
    memory, wrong = image.memory(subtree)
    begin = image.superblock.base + subtree * SUBTREE
    return {
        "subtree": subtree,
        "range": [f"{begin:#x}", f"{begin + SUBTREE:#x}"],
        "offset": leaf.offset,
        "stored_bytes": leaf.stored,
        "codec": CODECS[leaf.codec],
        "replaced_pages": len(image.patches.get(subtree, {})),
        "memory": xxhash.xxh3_128_hexdigest(bytes(memory)),
        "wrong": wrong,
    }


def report(path):
    with open(path, "rb") as file:
        try:
            image = Image(file)
        except Refused as refused:
            return {"file": path, "verdict": refused.verdict, "why": str(refused)}
        subtrees = [subtree_report(image, subtree) for subtree in sorted(image.leaves)]
        is_whole = not any(s["wrong"] for s in subtrees)
        roots, wrong = roots_report(image) if is_whole else ({}, "")
    superblock = image.superblock
    return {
        "file": path,
        "verdict": "clean" if is_whole and not wrong else "damaged",
        "name": text(superblock.carried_name),
        "generation": image.generation,
        "id": superblock.id.hex(),
        "base": f"{superblock.base:#x}",
        "capacity_bytes": superblock.capacity,
        "size_bytes": superblock.size,
        "live_bytes": image.live,
        "contract": ["snapshot", "fine"][superblock.contract],
        "flags": superblock.flags,
        "codec": CODECS[superblock.codec],
        "doubts": image.doubts,
        "subtrees": subtrees,
        "roots": roots,
        "roots_wrong": wrong,
    }


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = report(sys.argv[1])
    print(json.dumps(found, indent=1))
    return 0 if found["verdict"] == "clean" else 1


if __name__ == "__main__":
    sys.exit(main())
