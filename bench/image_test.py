#!/usr/bin/env python3
"""Images are timed with tiny inputs, and what is written is told."""

import csv
import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import image
import image_rivals
import machine


class Image(unittest.TestCase):
    def test_every_round_is_told(self):
        with tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"]) as folder:
            arguments = ["--size-mib=16", "--pages=5", "--checkpoints=3", "--rounds=2"]
            arguments += [f"--folder={folder}", f"--out={folder}", f"--memory={folder}"]
            arguments += [
                "--rivals-mib=4", "--rivals-rounds=2", "--index=examples/pkggraph/small_index.txt"
            ]
            self.assertEqual(image.main(arguments), 0)
            with open(pathlib.Path(folder) / "image.csv", newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.assertEqual(list(rows[0]), [*machine.facts(), *image.COLUMNS])
            self.assertEqual([row["round"] for row in rows], ["1", "2"])
            for row in rows:
                for column in (
                    "fio_write_s",
                    "store_s",
                    "fio_read_s",
                    "anonymous_load_s",
                    "anonymous-compare_store_s",
                    "worn_again_s",
                ):
                    self.assertGreater(float(row[column]), 0, column)
                self.assertGreater(int(row["anonymous-compare_file_bytes"]), 16 << 20)
                self.assertLess(int(row["anonymous-compare_file_bytes"]), 32 << 20)
            with open(
                pathlib.Path(folder) / "image-codecs.csv", newline="", encoding="utf-8"
            ) as file:
                rows = list(csv.DictReader(file))
            kinds = [
                (data, codec)
                for data in ("halves", "half zero")
                for codec in ("none", "lz4", "zstd")
            ]
            self.assertEqual([(row["data"], row["codec"]) for row in rows], 2 * kinds)
            for row in rows:
                expected = 1 if (row["data"], row["codec"]) == ("halves", "none") else 0.6
                self.assertLess(int(row["file_bytes"]), expected * (16 << 20) + (1 << 20), row)
            for name, columns, ways in (
                ("image-rivals", image_rivals.COLUMNS, image_rivals.WAYS),
                ("image-graph", image_rivals.GRAPH_COLUMNS, image_rivals.GRAPH_WAYS),
            ):
                self.check_rivals(pathlib.Path(folder), name, columns, list(ways))
            names = [
                "image-codecs.csv",
                "image-graph.csv",
                "image-graph.svg",
                "image-rivals.csv",
                "image-rivals.svg",
            ]
            names.append("image.csv")
            self.assertEqual(sorted(os.listdir(folder)), names)

    def check_rivals(self, folder, name, columns, ways):
        with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), [*machine.facts(), *columns])
        self.assertEqual([row["way"] for row in rows], 2 * ways)
        for row in rows:
            for column in columns[2:]:
                if column != "cached_bytes":
                    self.assertGreater(float(row[column]), 0, column)
        picture = (folder / f"{name}.svg").read_text(encoding="utf-8")
        self.assertIn("</svg>", picture)
        self.assertIn("store", picture)


if __name__ == "__main__":
    unittest.main()
