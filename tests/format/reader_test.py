#!/usr/bin/env python3
"""The library's images, read by tools/image_reader.py, which was written from docs/format.md.

Whole ones have to hold the same memory, damaged ones to be damaged in the same subtrees.
MORSEL_SEED deals other images.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import zstandard

ORACLE = pathlib.Path("tests/format/image_oracle")
TOOL = pathlib.Path("cli/morselctl")
READER = pathlib.Path("tools/image_reader.py")
SEED = int(os.environ.get("MORSEL_SEED", "1"))
IMAGES = 8
DAMAGES = 8


def told(*command):
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    return json.loads(ran.stdout)


def read(path):
    return told(sys.executable, READER, path)


class ReaderTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def make(self, seed):
        name = f"image{seed}"
        made = told(ORACLE, "make", str(seed), self.folder.name, name)
        return f"{self.folder.name}/{name}", made

    def test_whole_images_hold_the_same_memory(self):
        patched = 0
        codecs = set()
        for seed in range(SEED * IMAGES, (SEED + 1) * IMAGES):
            with self.subTest(seed=seed):
                path, made = self.make(seed)
                found = read(path)
                self.assertEqual(found["verdict"], "clean", found)
                for name in made.keys() - {"subtrees"}:
                    self.assertEqual(found[name], made[name], name)
                memory = {str(s["subtree"]): s["memory"] for s in found["subtrees"]}
                self.assertEqual(memory, made["subtrees"])
                codecs |= {s["codec"] for s in found["subtrees"]}
                patched += sum(s["replaced_pages"] for s in found["subtrees"])
        self.assertGreater(patched, 0)
        self.assertEqual(codecs, set(told(ORACLE, "codecs")))

    def test_exports_by_each_codec_hold_the_same_memory(self):
        codecs = told(ORACLE, "codecs")
        for own in codecs:
            pool = f"{self.folder.name}/{own}"
            subprocess.run([TOOL, "create", pool], check=True)
            subprocess.run([TOOL, "create", pool, "m", "--codec", own], check=True)
            due = read(f"{pool}/m")
            self.assertTrue(due["subtrees"])
            for codec in codecs:
                with self.subTest(own=own, codec=codec):
                    image = f"{pool}.{codec}"
                    subprocess.run([TOOL, "export", pool, "m", image, "--codec", codec],
                                   check=True)
                    found = read(image)
                    self.assertEqual(found["verdict"], "clean", found)
                    self.assertEqual(found["codec"], codec)
                    self.assertEqual(found["id"], due["id"])
                    self.assertEqual([(s["codec"], s["memory"]) for s in found["subtrees"]],
                                     [(codec, s["memory"]) for s in due["subtrees"]])

    def test_roots_are_those_that_were_set(self):
        pool = f"{self.folder.name}/roots"
        set_ones = told(ORACLE, "roots", pool)
        self.assertGreater(len(set_ones), 1000)
        found = read(f"{pool}/m")
        self.assertEqual(found["verdict"], "clean", found["roots_wrong"])
        self.assertEqual(found["roots"], set_ones)

    def test_roots_of_version_2_are_found(self):
        image = f"{self.folder.name}/version2"
        packed = pathlib.Path("tests/format/heap_version_2.image.zst").read_bytes()
        pathlib.Path(image).write_bytes(zstandard.ZstdDecompressor().decompress(packed))
        found = read(image)
        names = {f"account {i}" for i in range(255) if i != 7} | {"z" * 111}
        self.assertEqual(found["verdict"], "clean", found["roots_wrong"])
        self.assertEqual(set(found["roots"]), names)

    def test_a_damaged_trie_of_roots_is_told(self):
        pool = f"{self.folder.name}/roots"
        told(ORACLE, "roots", pool)
        other = f"{self.folder.name}/damaged"
        told(ORACLE, "damage-roots", f"{pool}/m", other)
        found = read(other)
        self.assertEqual(found["verdict"], "damaged")
        self.assertIn("hash", found["roots_wrong"])

    def test_an_export_carries_its_name_in_208_bytes_at_1160(self):
        pool = f"{self.folder.name}/pool"
        subprocess.run([TOOL, "create", pool], check=True)
        for name in ["m", "ü" * 100]:
            with self.subTest(name=name):
                image = f"{self.folder.name}/exported"
                subprocess.run([TOOL, "create", pool, name], check=True)
                subprocess.run([TOOL, "export", pool, name, image], check=True)
                carried = name.encode().ljust(208, b"\0")
                data = pathlib.Path(image).read_bytes()
                slots = [data[at:at + 4096] for at in (0, 1 << 20)]
                self.assertEqual([slot[1160:1368] for slot in slots], [carried, carried])
                self.assertEqual(read(image)["name"], name)
                # In a pool the file's name counts.
                self.assertEqual(read(f"{pool}/{name}")["name"], "")
                subprocess.run([TOOL, "rm", "--yes", pool, name], check=True)
                subprocess.run([TOOL, "import", pool, image], check=True)
                self.assertEqual(read(f"{pool}/{name}")["name"], "")
                os.remove(image)

    def test_damaged_images_are_damaged_for_both(self):
        rolls = random.Random(SEED)
        verdicts = set()
        for seed in range(3):
            path, _ = self.make(SEED * IMAGES + seed)
            size = os.path.getsize(path)
            places = self.places_of(path)
            for damage in range(DAMAGES):
                with self.subTest(seed=seed, damage=damage):
                    # Most of a file is leaves: tables and lists are hit on purpose.
                    place = rolls.choice([rolls.choice(places), rolls.randrange(size)])
                    with open(path, "r+b") as file:
                        file.seek(place)
                        before = file.read(1)
                        file.seek(place)
                        file.write(bytes([before[0] ^ 1 << rolls.randrange(8)]))
                    verdicts.add(self.compare(path))
                    with open(path, "r+b") as file:
                        file.seek(place)
                        file.write(before)
            for _ in range(3):
                size = rolls.randrange(size)
                os.truncate(path, size)
                verdicts.add(self.compare(path))
        self.assertEqual(verdicts, {"clean", "damaged", "corrupt"})

    def places_of(self, path):
        """Bytes of the superblocks, and of the other blocks that are led to."""
        leaves = [s["offset"] for s in read(path)["subtrees"]]
        places = [100, 4196, 130, (1 << 20) + 130, (1 << 20) + 4096]
        places += [8192 + 4096 * i for i in range(8)] + leaves
        return [place for place in places if place < os.path.getsize(path)]

    def compare(self, path):
        found, due = read(path), told(ORACLE, "check", path)
        self.assertEqual(bool(found.get("doubts")), due.get("has_doubts", False), (found, due))
        self.assertEqual(found["verdict"], due["verdict"], (found, due))
        if found["verdict"] in ("clean", "damaged"):
            damaged = [s["subtree"] for s in found["subtrees"] if s["wrong"]]
            self.assertEqual(damaged, due["damaged"], (found, due))
        return found["verdict"]


if __name__ == "__main__":
    unittest.main()
