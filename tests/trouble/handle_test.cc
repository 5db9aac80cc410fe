// Handles that are opened twice, discarded or read-only; removing, listing and resizing open
// morsels.
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "morsel/memory_resource.hpp"
#include "morsel/tools.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

class HandleTest : public TroubleTest, public testing::WithParamInterface<bool> {
 protected:
  bool carved() const { return GetParam(); }
  const std::string& path() const { return carved() ? carved_ : directory_; }
  uint32_t fine() const { return carved() ? kFine : 0; }
  void MakeIt(const std::vector<std::string>& names = {"a"}) {
    Make(path(), carved() ? unsigned{MORSEL_CARVED} : 0u, names);
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, HandleTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

TEST_P(HandleTest, OpeningTwiceReturnsOneCountedHandle) {
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const morsel = Open(pool, "a");
  EXPECT_EQ(Open(pool, "a"), morsel);
  ExpectFailure(morsel_discard(morsel), MORSEL_BUSY, {"'a'", "2 times"});
  ExpectFailure(morsel_remove(pool, "a"), MORSEL_BUSY, {"'a'", "is open", "close"});
  ExpectFailure(morsel_pool_close(pool), MORSEL_BUSY, {"'" + path() + "'", "'a'", "close"});
  ExpectFailure(Try(pool, "a", MORSEL_CREATE | MORSEL_EXCLUSIVE | fine()), MORSEL_EXISTS,
                {"'a'", "MORSEL_EXCLUSIVE"});
  ExpectFailure(Try(pool, "a", MORSEL_CREATE | (kFine & ~fine())), MORSEL_INVALID_ARGUMENT,
                {"'a'", carved() ? "fine contract" : "snapshot contract"});
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(TextOf(morsel), "as it was");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_remove(pool, "a"), MORSEL_OK) << morsel_last_error();
  ExpectFailure(morsel_remove(pool, "a"), MORSEL_NOT_FOUND, {"'a'", "'" + path() + "'"});
  ExpectFailure(morsel_rename(pool, "a", "b"), MORSEL_NOT_FOUND, {"'a'", "'" + path() + "'"});
  ExpectFailure(Try(pool, "a"), MORSEL_NOT_FOUND, {"'a'", "'" + path() + "'"});
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_P(HandleTest, AMorselGetsAnotherNameThatNothingHas) {
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const other = Open(pool, "open", MORSEL_CREATE | fine());
  EXPECT_EQ(morsel_close(Open(pool, "closed", MORSEL_CREATE | fine())), MORSEL_OK);
  const Bytes before = AllBytes(path());
  ExpectFailure(morsel_rename(pool, "open", "b"), MORSEL_BUSY, {"'open'", "close it"});
  ExpectFailure(morsel_rename(pool, "a", "open"), MORSEL_EXISTS, {"'open'", "another name"});
  ExpectFailure(morsel_rename(pool, "a", "closed"), MORSEL_EXISTS, {"closed", "another name"});
  ExpectFailure(morsel_rename(pool, "a", "a"), MORSEL_INVALID_ARGUMENT, {"'a'", "another"});
  ExpectFailure(morsel_rename(pool, "a", "a/b"), MORSEL_INVALID_ARGUMENT, {"cannot name"});
  EXPECT_TRUE(AllBytes(path()) == before);
  morsel_info info = {};
  ASSERT_EQ(morsel_find(pool, "a", &info), MORSEL_OK);
  void* const base = info.base;
  const std::string longest(200, 'x');
  for (const auto& [from, to] : {std::pair(std::string("a"), longest), {longest, "b"}}) {
    EXPECT_EQ(morsel_rename(pool, from.c_str(), to.c_str()), MORSEL_OK) << morsel_last_error();
    ExpectFailure(Try(pool, from), MORSEL_NOT_FOUND, {"'" + path() + "'"});
    morsel_t* const morsel = Open(pool, to);
    EXPECT_EQ(morsel_base(morsel), base);
    EXPECT_EQ(TextOf(morsel), "as it was");
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
  }
  EXPECT_EQ(morsel_rename(pool, "closed", "a"), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_close(other), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_P(HandleTest, OpeningWithMoreRightsThanTheOpenHandleFails) {
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const morsel = Open(pool, "a", MORSEL_READ_ONLY);
  ExpectFailure(Try(pool, "a"), MORSEL_BUSY, {"'a'", "reading only", "close"});
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_close(Open(pool, "a")), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

// A reader in another process has no lock, and is not seen; one in this process is.
TEST_P(HandleTest, WhatAnotherHandleHasOpenForReadingIsNeitherRemovedNorRenamed) {
  MakeIt({"a", "b"});
  morsel_pool_t* const writer = OpenPool(path());
  morsel_pool_t* const reader = OpenPool(path(), MORSEL_READ_ONLY);
  morsel_t* const a = Open(reader, "a", MORSEL_READ_ONLY);
  const Bytes before = AllBytes(path());
  ExpectFailure(morsel_remove(writer, "a"), MORSEL_BUSY, {"'a'", "another handle", "removing"});
  ExpectFailure(morsel_rename(writer, "a", "c"), MORSEL_BUSY,
                {"'a'", "another handle", "renaming"});
  EXPECT_TRUE(AllBytes(path()) == before);
  EXPECT_EQ(TextOf(a), "as it was");
  EXPECT_EQ(morsel_remove(writer, "b"), MORSEL_OK) << morsel_last_error();
  InChild([&] {
    if (carved()) return;  // which has one writing process
    EXPECT_EQ(morsel_rename(OpenPool(path()), "a", "c"), MORSEL_OK) << morsel_last_error();
  });
  EXPECT_EQ(morsel_close(a), MORSEL_OK);
  EXPECT_EQ(morsel_remove(writer, carved() ? "a" : "c"), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_pool_close(reader), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(writer), MORSEL_OK);
}

TEST_P(HandleTest, AHandleThatIsClosedTwiceIsRefused) {
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const morsel = Open(pool, "a");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  ExpectFailure(morsel_close(morsel), MORSEL_INVALID_ARGUMENT, {"morsel_close", "not open"});
  ExpectFailure(morsel_discard(morsel), MORSEL_INVALID_ARGUMENT, {"morsel_discard", "not open"});
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  ExpectFailure(morsel_pool_close(pool), MORSEL_INVALID_ARGUMENT,
                {"morsel_pool_close", "not open"});
}

using HandleDeathTest = HandleTest;
INSTANTIATE_TEST_SUITE_P(Kinds, HandleDeathTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

// A container has no handle: it asks morsel_of(), which finds none after the close.
TEST_P(HandleDeathTest, ABlockWithoutAHandleIsNamedAndWhetherItsMorselIsOpen) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a forked child has no open morsels
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const morsel = Open(pool, "a");
  void* const block = morsel_malloc(morsel, 100);
  void* const base = morsel_base(morsel);
  const std::string of_block = " of 0x[0-9a-f]+ with a NULL handle:";
  EXPECT_DEATH(morsel_free(nullptr, block),
               "morsel_free" + of_block + " .*lies in an open morsel.*morsel_of");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  const std::string none = of_block + " .*no open morsel has this address.*closed before";
  EXPECT_DEATH(morsel_free(morsel_of(block), block), "morsel_free" + none);
  EXPECT_DEATH(morsel_realloc(morsel_of(block), block, 10), "morsel_realloc" + none);
  EXPECT_DEATH((void)morsel_usable_size(nullptr, block), "morsel_usable_size" + none);
  memory_resource resource(base);  // the library's own goes with the morsel
  EXPECT_DEATH(resource.deallocate(block, 100), "deallocate of 0x[0-9a-f]+: no open morsel has");
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_F(TroubleTest, ADiscardedSnapshotMorselIsUnchanged) {
  Make(directory_, 0, {"a"});
  const Bytes before = AllBytes(folder_);
  morsel_pool_t* const pool = OpenPool(directory_);
  morsel_t* const morsel = Open(pool, "a");
  std::strcpy(static_cast<char*>(morsel_root(morsel, "text")), "changed");
  EXPECT_EQ(morsel_set_root(morsel, "more", morsel_malloc(morsel, 64)), MORSEL_OK);
  EXPECT_EQ(morsel_discard(morsel), MORSEL_OK) << morsel_last_error();
  EXPECT_TRUE(AllBytes(folder_) == before);
  morsel_t* const again = Open(pool, "a");
  EXPECT_EQ(TextOf(again), "as it was");
  EXPECT_EQ(morsel_root(again, "more"), nullptr);
  EXPECT_EQ(morsel_discard(again), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_P(HandleTest, ReadOnlyHandlesChangeNothing) {
  MakeIt();
  const Bytes before = AllBytes(folder_);
  morsel_pool_t* const pool = OpenPool(path(), MORSEL_READ_ONLY);
  morsel_t* const morsel = Open(pool, "a", MORSEL_READ_ONLY);
  void* const text = morsel_root(morsel, "text");
  const auto forbidden = [](morsel_code code) {
    ExpectFailure(code, MORSEL_PERMISSION, {"'a'", "reading only"});
  };
  forbidden(morsel_checkpoint(morsel));
  forbidden(morsel_resize(morsel, 4 << 20));
  forbidden(morsel_set_root(morsel, "text", nullptr));
  forbidden(morsel_persist(morsel, text, 1));
  EXPECT_EQ(morsel_malloc(morsel, 1), nullptr);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(morsel_realloc(morsel, text, 1000), nullptr);
  EXPECT_EQ(errno, EACCES);
  morsel_free(morsel, text);
  EXPECT_EQ(TextOf(morsel), "as it was");
  morsel_info info{};
  EXPECT_EQ(morsel_stat(morsel, &info), MORSEL_OK);
  EXPECT_NE(info.flags & MORSEL_READ_ONLY, 0u);
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  ExpectFailure(Try(pool, "a"), MORSEL_PERMISSION, {"'a'", "'" + path() + "'", "reading only"});
  ExpectFailure(Try(pool, "b", MORSEL_CREATE | fine()), MORSEL_PERMISSION, {"'b'", "reading only"});
  ExpectFailure(morsel_remove(pool, "a"), MORSEL_PERMISSION, {"'a'", "reading only"});
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  EXPECT_TRUE(AllBytes(folder_) == before);
}

struct Listed {
  std::vector<std::string> names;
  uint64_t live_bytes = 0;
};
int Keep(const morsel_info* info, void* context) {
  auto* const listed = static_cast<Listed*>(context);
  listed->names.emplace_back(info->name);
  listed->live_bytes += info->live_bytes;
  return 0;
}

TEST_P(HandleTest, ListsOpenAndClosedMorsels) {
  MakeIt({"b", "a"});
  morsel_pool_t* const pool = OpenPool(path());
  Listed closed;
  EXPECT_EQ(morsel_list(pool, Keep, &closed), MORSEL_OK);
  EXPECT_EQ(closed.names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(closed.live_bytes, 2u * (64 + 64));  // the text and its root
  morsel_t* const morsel = Open(pool, "a");
  EXPECT_NE(morsel_malloc(morsel, 64), nullptr);
  Listed open;
  EXPECT_EQ(morsel_list(pool, Keep, &open), MORSEL_OK);
  EXPECT_EQ(open.names, closed.names);
  EXPECT_EQ(open.live_bytes, closed.live_bytes + 64);
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_P(HandleTest, GrowsAndShrinks) {
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* morsel = Open(pool, "a");
  void* const base = morsel_base(morsel);
  EXPECT_EQ(morsel_resize(morsel, (4 << 20) + 1), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_size(morsel), uint64_t{6} << 20);
  void* const large = morsel_malloc(morsel, 3 << 20);
  ASSERT_NE(large, nullptr) << morsel_last_error();
  std::memset(large, 7, 3 << 20);
  ExpectFailure(morsel_resize(morsel, 2 << 20), MORSEL_BUSY, {"'a'", "in use", "free it first"});
  ExpectFailure(morsel_resize(morsel, 0), MORSEL_INVALID_ARGUMENT, {"'a'"});
  ExpectFailure(morsel_resize(morsel, 65 << 20), MORSEL_ADDRESS_EXHAUSTED,
                {"'a'", "64 MiB", "larger capacity"});
  EXPECT_EQ(morsel_size(morsel), uint64_t{6} << 20);
  EXPECT_EQ(static_cast<char*>(large)[(3 << 20) - 1], 7);
  morsel_free(morsel, large);
  EXPECT_EQ(morsel_resize(morsel, 2 << 20), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_size(morsel), uint64_t{2} << 20);
  EXPECT_EQ(TextOf(morsel), "as it was");
  // What is new is zero, whatever was there.
  EXPECT_EQ(morsel_resize(morsel, 6 << 20), MORSEL_OK);
  EXPECT_EQ(static_cast<char*>(base)[5 << 20], 0);
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  morsel = Open(pool, "a");
  EXPECT_EQ(morsel_size(morsel), uint64_t{6} << 20);
  EXPECT_EQ(morsel_base(morsel), base);
  EXPECT_EQ(TextOf(morsel), "as it was");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_P(HandleTest, CallsOfTheOtherContractFail) {
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const morsel = Open(pool, "a");
  void* const text = morsel_root(morsel, "text");
  if (carved()) {
    EXPECT_EQ(morsel_persist(morsel, text, 64), MORSEL_OK);
    ExpectFailure(morsel_persist(morsel, &text, 8), MORSEL_INVALID_ARGUMENT, {"'a'", "8 bytes"});
  } else {
    for (const morsel_code code :
         {morsel_persist(morsel, text, 64), morsel_flush(morsel, text, 64), morsel_fence(morsel)}) {
      ExpectFailure(code, MORSEL_UNSUPPORTED, {"'a'", "snapshot contract", "morsel_checkpoint"});
    }
  }
  int elsewhere = 0;
  ExpectFailure(morsel_set_root(morsel, "text", &elsewhere), MORSEL_INVALID_ARGUMENT,
                {"'text'", "'a'", "no live block"});
  EXPECT_EQ(morsel_root(morsel, "nothing"), nullptr);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(TextOf(morsel), "as it was");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

}  // namespace
}  // namespace morsel::trouble
