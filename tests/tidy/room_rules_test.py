#!/usr/bin/env python3
"""The rooms' order is held, by what lies in them and by tests."""

import sys
import unittest

sys.dont_write_bytecode = True

import room_rules
import rooms
from rule_case import RuleCase


class RoomOrder(RuleCase):
    rules = (room_rules.check_rooms,)

    def assert_reports_include(self, name, include, *what):
        files = {name: f"\n#  include {include}\n", "tests/b.h": "", "morsel/b.h": ""}
        self.assert_reports(files, f"{name}:2", *what)

    def test_own_room_and_rooms_below(self):
        self.assert_tidy(
            {
                "base/a.h": "#include <vector>\n#include <sys/mman.h>\n",
                "os/file/a.cc": '#include "base/a.h"\n#include "gtest/gtest.h"\n',
                "alloc/heap/b.cc": '#include "alloc/heap/threads/c.h"\n#include "alloc/heap/b.h"\n',
                "morsel/open/d.cc": '#include "morsel/carved/e.h"\n#include "pmem/persist/f.h"\n',
                "cli/g.cc": '#include <morsel/tools.h>\n#include "cli/h.h"\n',
            }
        )

    def test_rooms_above(self):
        for name, include, place in (
            ("base/a.h", '"os/file/b.h"', "os/file/b.h"),
            ("os/file/a.h", '"os/memory/b.h"', "os/memory/b.h"),
            ("pmem/media/a.cc", "<morsel/morsel.h>", "morsel/morsel.h"),
            ("alloc/heap/segments/a.cc", '"alloc/heap/heap.h"', "alloc/heap/heap.h"),
            ("alloc/heap/a.cc", '"../../morsel/b.h"', "morsel/b.h"),
            ("morsel/pool/a.cc", '"morsel/open/b.h"', "morsel/open/b.h"),
            ("morsel/a.cc", '"cli/b.h"', "cli/b.h"),
        ):
            self.assert_reports_include(name, include, place, "not below it")

    def test_rooms_that_are_in_no_order(self):
        self.assert_reports_include("image/store/a.cc", '"pmem/persist/b.h"', "know nothing")
        self.assert_reports_include("alloc/subtrees/a.cc", '"alloc/heap/b.h"', "know nothing")

    def test_a_program_includes_what_any_program_may(self):
        for name in ("cli/a.cc", "cli/a_test.cc"):
            for include in ('"base/b.h"', '"morsel/open/b.h"', '"tests/b.h"'):
                self.assert_reports_include(name, include, "no program outside")

    def test_what_is_in_no_room(self):
        self.assert_reports_include("image/a.cc", '"tests/b.h"', "tests/b.h", "in no room")
        self.assert_reports_include("pmem/persist/a.h", '"pmem/b.h"', "pmem/b.h", "in no room")

    def test_production_has_nothing_of_tests(self):
        for include in ('"sim/model/b.h"', '"os/testing/b.h"', '"alloc/heap/heap_testing.h"'):
            self.assert_reports_include("alloc/heap/a.cc", include, "is for tests")
            for name in ("alloc/heap/a_test.cc", "alloc/heap/a_testing.h"):
                self.assert_tidy({name: f"#include {include}\n"})
        self.assert_tidy({"alloc/heap/a_test.cc": '#include "morsel/sim/a.h"\n'})
        self.assert_reports_include("alloc/heap/a_test.cc", '"morsel/open/b.h"', "not below it")

    def test_the_simulator_stands_on_what_it_simulates(self):
        self.assert_tidy({"sim/disk/a.cc": '#include "os/testing/b.h"\n#include "pmem/media/c.h"'})
        self.assert_reports_include("sim/stores/a.cc", '"sim/disk/b.h"', "not below it")
        self.assert_reports_include("sim/disk/a.cc", '"image/b.h"', "not below it")

    def test_a_header_may_lie_where_users_have_it(self):
        self.assert_tidy({"morsel/sim.hpp": '#include "sim/model/log.h"\n'})
        self.assert_reports_include("morsel/a.hpp", '"morsel/sim.hpp"', "is for tests")

    def test_beside_the_rooms(self):
        self.assert_tidy({"tests/a.cc": '#include "cli/b.h"\n#include "sim/model/c.h"\n'})
        self.assert_tidy({"bench/a.cc": '#include "morsel/open/b.h"\n'})

    def test_examples_are_as_users_programs_are(self):
        own = '#include <morsel/morsel.hpp>\n#include "examples/e/g.h"\n#include "h.h"\n'
        self.assert_tidy({"examples/e/f.cc": own, "examples/e/h.h": ""})
        for include, place in (
            ('"base/b.h"', "base/b.h"),
            ('"morsel/morsel.h"', "morsel/morsel.h"),
            ("<morsel/pool/pool.h>", "morsel/pool/pool.h"),
            ('"examples/other/b.h"', "examples/other/b.h"),
        ):
            self.assert_reports_include("examples/e/a.cc", include, place, "not public")


class CostlyIncludes(RuleCase):
    rules = (room_rules.check_includes_that_cost,)

    def test_each_has_its_one_file(self):
        for include, place in (("CLI/CLI.hpp", "command_line"), ("nlohmann/json.hpp", "printer")):
            for name in ("cli/a.cc", "cli/a_test.cc", "morsel/open/a.h"):
                self.assert_reports({name: f"#include <{include}>\n"}, f"{name}:1", place)
            self.assert_tidy({f"cli/{place}.cc": f"#include <{include}>\n"})
            self.assert_tidy({"tests/cli/a.cc": f"#include <{include}>\n"})


class RoomPlaces(RuleCase):
    rules = (room_rules.check_rooms_are_placed,)

    def test_every_folder_of_code_is_a_room(self):
        placed = {f"{room.folder}/a.cc": "" for room in rooms.ROOMS}
        self.assert_tidy({**placed, "tests/crash/a.cc": "", "bench/adapters/b.h": ""})
        attic = {"alloc/attic/a.cc": "", "alloc/attic/b.cc": ""}
        self.assert_reports(attic, "alloc/attic/a.cc:1", "nobody placed")
        self.assert_reports({"pmem/a.h": ""}, "pmem/a.h:1", "nobody placed")
        self.assert_reports({"attic/a.h": "", "attic/b/c.h": ""}, "attic/a.h:1", "neither a room")

    def test_the_table_is_whole(self):
        folders = [room.folder for room in rooms.ROOMS]
        self.assertEqual(len(folders), len(set(folders)))
        self.assertFalse(set(rooms.TOP_FOLDERS) & set(rooms.BESIDE))
        for pair in rooms.APART:
            for folder in pair:
                self.assertTrue(any(rooms.is_within(other, folder) for other in folders), folder)


if __name__ == "__main__":
    unittest.main()
