#!/usr/bin/env python3
"""A branch on which medium it is, outside of pmem/media, is found."""

import sys
import unittest

sys.dont_write_bytecode = True

import media
from rule_case import RuleCase

MEDIA = {
    "pmem/media/media.h": "extern const Medium& kTape;  ///< slow\n",
    "pmem/media/tape.cc": 'const char* name() const override { return "tape"; }\nf(&kTape);\n',
}


class Media(RuleCase):
    rules = (media.check_media,)

    def test_rooms_do_not_ask_which_medium_it_is(self):
        for line in (
            "if (&medium == &pmem::kTape) {}",
            'if (info.medium == "tape") {}',
            'if (name != "tape") {}',
            'if (std::strcmp(info.medium, "tape") == 0) {}',
        ):
            files = {**MEDIA, "morsel/carved/a.cc": f"\n{line}\n"}
            self.assert_reports(files, "morsel/carved/a.cc:2", "asks whether")

    def test_what_is_no_question(self):
        line = 'value.Set("tape", f(medium.name()));\n'
        self.assert_tidy({**MEDIA, "morsel/carved/a.cc": line})
        self.assert_tidy({**MEDIA, "pmem/media/a_test.cc": "EXPECT_EQ(&m, &pmem::kTape);\n"})
        self.assert_tidy({**MEDIA, "tests/vm/a.cc": "EXPECT_EQ(&m, &pmem::kTape);\n"})


if __name__ == "__main__":
    unittest.main()
