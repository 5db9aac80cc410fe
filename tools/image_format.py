"""The bytes of an image, as docs/format.md says how they lie: superblocks, tables, the log.

What tools/image_reader.py is made of; written from that page alone, as that is.
"""

import struct

import xxhash

BLOCK = 4096
PAGE = 4096
SUBTREE = 2 << 20
PAGES = SUBTREE // PAGE
GIANT = 1 << 30
PER_TABLE = GIANT // SUBTREE
ADDRESS_END = 1 << 47
MAGIC = b"MRSLIMG1"
VERSION = 5
SLOTS = {5: (0, 1 << 20), 4: (0, 4096)}  # by version
PATCHES_MAX = 1048576
LISTS_MAX = 24
FEATURE_LOG = 1
LOG_MAX = 256 << 20
RECORD_MAGIC = b"MRSLLOG1"
RECORD_PAGES_MAX = 256
NUMBERS_END = 1 << 63

NONE, LZ4, ZSTD = range(3)
CODECS = ["none", "lz4", "zstd"]

SUPERBLOCK = struct.Struct("<8sQIIQQQ16sQQQQIHHQQQ64sQ960s208sQ2720s")
SUPERBLOCK_4 = struct.Struct("<8sQIIQQQ16sQQQQIHHQQQ64s960s208sQ2728s")
RECORD = struct.Struct("<8sQ16sQIIQQQ56s")
RECORD_PAGE = struct.Struct("<QQ16s")
START = struct.Struct("<16s5Q")
ENTRY = struct.Struct("<QQIHH16sQ16s")
ENTRY_4 = struct.Struct("<QIHH16sQ24s")
LIST = struct.Struct("<QQQ16s")
PATCH = struct.Struct("<QQ16s")
ABSENT, PRESENT = range(2)


class Refused(Exception):
    """Nothing of the image can be believed; `verdict` is corrupt or version."""

    def __init__(self, verdict, sentence):
        super().__init__(sentence)
        self.verdict = verdict


def corrupt(sentence):
    return Refused("corrupt", sentence)


def sum_of(data):
    """XXH3-128 as it lies in a file: the low half first."""
    return xxhash.xxh3_128(data).digest()[::-1]


def padded(size):
    return -(-size // BLOCK) * BLOCK


class Superblock:
    def __init__(self, data):
        self.version = SUPERBLOCK.unpack(data)[2]
        fields = list((SUPERBLOCK_4 if self.version < 5 else SUPERBLOCK).unpack(data))
        # Before version 5 superblocks had no number of their own.
        self.sequence = fields[6] if self.version < 5 else fields.pop(19)
        (self.magic, self.checksum, _version, self.flags, self.read_features, _write_features,
         self.generation, self.id, self.base, self.capacity, self.size, self.live, self.contract,
         self.codec, _, self.log, self.log_position, self.log_size, root, lists, name,
         self.log_whole, _) = fields
        self.carried_name = name.rstrip(b"\0")
        self.has_log = self.read_features & FEATURE_LOG != 0
        self.start = START.pack(self.id, self.log_position, self.log, self.size,
                                xxhash.xxh3_64_intdigest(root), xxhash.xxh3_64_intdigest(lists))
        self.root = Entry(root, self.version)
        self.lists = [List(lists[i:i + LIST.size]) for i in range(0, len(lists), LIST.size)]
        while self.lists and self.lists[-1].is_zero:
            self.lists.pop()
        zeroed = data[:8] + bytes(8) + data[16:]
        self.is_whole = self.checksum == xxhash.xxh3_64_intdigest(zeroed)

    def is_valid(self, slot):
        # Slot A (0) has the odd ones.
        belongs = self.version > VERSION or (
            self.sequence > 0 and self.sequence % 2 == 1 - slot)
        return self.magic == MAGIC and self.is_whole and belongs

    def check(self):
        is_known = self.contract <= 1 and self.codec <= ZSTD
        if self.version not in SLOTS or self.read_features & ~FEATURE_LOG or not is_known:
            raise Refused("version", f"version {self.version}, features {self.read_features:#x}")
        sane = (
            0 < self.base < ADDRESS_END and self.base % SUBTREE == 0
            and self.capacity > 0 and self.capacity % SUBTREE == 0
            and self.base + self.capacity <= ADDRESS_END
            and self.size % SUBTREE == 0 and self.size <= self.capacity and self.live <= self.size
            and 0 < self.generation < NUMBERS_END and self.sequence < NUMBERS_END
        )
        if not sane:
            raise corrupt("the superblock has fields that cannot be")
        blocks = self.log_size // BLOCK
        if self.log_position >= NUMBERS_END or self.has_log and not (
            self.log % BLOCK == 0 and self.log_size % BLOCK == 0
            and 0 < self.log_size <= LOG_MAX and self.log_whole <= self.log_position + blocks
        ):
            raise corrupt("the superblock has a log that cannot be")


class Entry:
    def __init__(self, data, version):
        self.version = version
        self.is_zero = not any(data)
        if version < 5:
            (self.offset, self.stored, self.kind, self.codec, self.sum, self.generation,
             _) = ENTRY_4.unpack(data)
            self.second = None
        else:
            (self.offset, self.second, self.stored, self.kind, self.codec, self.sum,
             self.generation, _) = ENTRY.unpack(data)

    def check(self, is_leaf, entries_max, what):
        if self.kind != PRESENT or self.codec > (ZSTD if is_leaf else NONE):
            raise Refused("version", f"{what} is of kind {self.kind}, codec {self.codec}")
        if is_leaf and self.codec == NONE:
            length_is_right = self.stored == SUBTREE
        elif is_leaf:
            length_is_right = 0 < self.stored <= SUBTREE - BLOCK
        else:
            length_is_right = self.stored % ENTRY.size == 0 and (
                0 < self.stored // ENTRY.size <= entries_max)
        if not length_is_right:
            raise corrupt(f"{what} has a length that cannot be")
        if self.version >= 5 and is_leaf and self.codec == NONE and self.offset % SUBTREE:
            raise corrupt(f"{what} lies at offset {self.offset}")

    @property
    def sums(self):
        """Where a leaf's page sums lie."""
        return self.offset + padded(self.stored) if self.version < 5 else self.second

    @property
    def copies(self):
        """Where the copies of a table lie."""
        return [self.offset] if self.version < 5 else [self.offset, self.second]


class List:
    def __init__(self, data):
        self.offset, self.count, self.generation, self.sum = LIST.unpack(data)
        self.is_zero = not any(data)

    def is_copy_of(self, other):
        return (self.generation, self.count, self.sum) == (
            other.generation, other.count, other.sum)


class Patch:
    def __init__(self, data):
        self.offset, self.page, self.sum = PATCH.unpack(data)


class Log:
    """The records of an image's log, up to its end. Raises Refused."""

    def __init__(self, image):
        self.image = image
        self.superblock = image.superblock
        self.data = image.read(self.superblock.log, self.superblock.log_size)
        self.pages = {}  # by number: where the newest one lies, and its sum
        self.end = self.superblock.log_position
        self.previous = xxhash.xxh3_64_intdigest(self.superblock.start)
        self.generation = self.superblock.generation
        self.last_generation = 0
        self.live = self.superblock.live
        while self.offset_of(self.end) < len(self.data) and self.take():
            pass

    def offset_of(self, position):
        return (position - self.superblock.log_position) * BLOCK

    def head_at(self, position):
        """The head and the table that stand there, in their place; or nothing."""
        at = self.offset_of(position)
        (magic, checksum, image_id, own, blocks, count, generation, live, previous,
         _) = RECORD.unpack_from(self.data, at)
        head_size = padded(RECORD.size + count * RECORD_PAGE.size)
        if (magic != RECORD_MAGIC or image_id != self.superblock.id or own != position
                or count > RECORD_PAGES_MAX or blocks != head_size // BLOCK + count
                or at + blocks * BLOCK > len(self.data)):
            return None
        summed = self.data[at:at + 8] + bytes(8) + self.data[at + 16:at + head_size]
        if xxhash.xxh3_64_intdigest(summed) != checksum:
            return None
        table = [RECORD_PAGE.unpack_from(self.data, at + RECORD.size + i * RECORD_PAGE.size)
                 for i in range(count)]
        return {"sum": checksum, "blocks": blocks, "generation": generation, "live": live,
                "previous": previous, "pages": [(page, total) for page, _, total in table],
                "first_page": at + head_size}

    def check(self, head):
        pages = [page for page, _ in head["pages"]]
        if (not self.last_generation < head["generation"] < NUMBERS_END
                or head["live"] > self.superblock.size or pages != sorted(set(pages))
                or any(page >= self.superblock.size // PAGE for page in pages)
                or any(page // PAGES not in self.image.leaves for page in pages)):
            raise corrupt("a record of the log says what cannot be")

    def take(self):
        """Takes the next record. Returns false at the log's end."""
        head = self.head_at(self.end)
        if head is not None and head["previous"] != self.previous:
            head = None
        is_whole = False
        if head is not None:
            self.check(head)
            is_whole = all(
                sum_of(self.data[at:at + PAGE]) == total
                for at, (_, total) in self.placed(head))
        if not is_whole and not self.is_damage(head):
            return False
        if head is None:
            raise corrupt("a record of the log is damaged")
        for at, (page, total) in self.placed(head):
            self.pages[page] = (self.superblock.log + at, total)
        self.end += head["blocks"]
        self.previous = head["sum"]
        self.last_generation = head["generation"]
        self.generation = max(self.generation, self.last_generation)
        self.live = head["live"]
        return True

    def placed(self, head):
        return [(head["first_page"] + i * PAGE, page) for i, page in enumerate(head["pages"])]

    def is_damage(self, head):
        """Whether what is no whole record is no end either: something stands behind it."""
        if self.end < self.superblock.log_whole:
            return True
        first = self.end + (head["blocks"] if head is not None else 1)
        last = self.superblock.log_position + len(self.data) // BLOCK
        return any(self.head_at(position) is not None for position in range(first, last))
