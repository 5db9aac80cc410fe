// A morsel at another address, or of another capacity, is the same one: what containers and
// programs have stored in it leads where it led before.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_set>
#include <vector>

#include "morsel/containers.hpp"
#include "morsel/morsel.hpp"
#include "morsel/tools.h"
#include "os/testing/scratch_testing.h"

struct Linked {
  uint64_t number;
  Linked* next;
};
template <>
struct morsel::Pointers<Linked> {
  static constexpr size_t offsets[] = {offsetof(Linked, next)};
};

namespace {

// Set before main(), so that libpmem2 finds it whenever it looks.
const bool kGranularityIsForced = setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1) == 0;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

using Names = morsel::map<morsel::string, morsel::vector<morsel::string>>;
using Index = morsel::unordered_map<morsel::string, morsel::list<Names>>;

std::string LongText(int number) {
  return "a text that is too long to lie in the string itself, number " + std::to_string(number);
}

void FillIndex(Index& index) {
  for (int i = 0; i < 40; ++i) {
    Names& names = index[morsel::string(LongText(i), index.get_allocator())].emplace_back();
    for (int n = 0; n < 10; ++n) {
      auto& texts = names[morsel::string(std::to_string(n), index.get_allocator())];
      for (int t = 0; t <= n; ++t) texts.emplace_back(LongText(t));
    }
  }
}

// Looks everything up, and changes each container.
void CheckIndex(Index& index) {
  ASSERT_EQ(index.size(), 40u);
  for (int i = 0; i < 40; ++i) {
    const auto found = index.find(morsel::string(LongText(i)));
    ASSERT_NE(found, index.end());
    ASSERT_EQ(found->second.size(), 1u);
    Names& names = found->second.front();
    ASSERT_EQ(names.size(), 10u);
    for (int n = 0; n < 10; ++n) {
      const auto texts = names.find(morsel::string(std::to_string(n)));
      ASSERT_NE(texts, names.end());
      ASSERT_EQ(texts->second.size(), static_cast<size_t>(n) + 1);
      for (int t = 0; t <= n; ++t) ASSERT_EQ(std::string(texts->second[t]), LongText(t));
      texts->second.emplace_back("one more");
      texts->second.pop_back();
    }
    names.erase(morsel::string("7"));
    names.try_emplace(morsel::string("7", index.get_allocator()));
    for (int t = 0; t <= 7; ++t) names[morsel::string("7")].emplace_back(LongText(t));
  }
}

class RebaseTest : public testing::Test {
 protected:
  morsel::Pool OpenPool(const std::string& path, uint32_t flags, uint64_t size_bytes = 0) {
    auto pool = morsel::Pool::open(path, {.flags = flags, .size_bytes = size_bytes});
    EXPECT_TRUE(pool) << morsel_last_error();
    return std::move(*pool);
  }
  morsel::Morsel Open(morsel::Pool& pool, const std::string& name,
                      const morsel::MorselOptions& options = {}) {
    auto m = morsel::Morsel::open(pool, name, options);
    EXPECT_TRUE(m) << morsel_last_error();
    return std::move(*m);
  }
  // Makes a morsel that has an index, and closes it.
  void MakeIndex(morsel::Pool& pool, const std::string& name, uint64_t capacity_bytes = 0,
                 uint32_t flags = 0) {
    morsel::Morsel m =
        Open(pool, name, {.flags = MORSEL_CREATE | flags, .capacity_bytes = capacity_bytes});
    Index* const index = m.make<Index>();
    ASSERT_NE(index, nullptr);
    FillIndex(*index);
    ASSERT_TRUE(m.set_root("index", index).ok());
    ASSERT_TRUE(m.close().ok());
  }
  void CheckIt(morsel::Pool& pool, const std::string& name) {
    {
      morsel::Morsel m = Open(pool, name);
      Index* const index = m.root<Index>("index");
      ASSERT_NE(index, nullptr) << morsel_last_error();
      CheckIndex(*index);
      ASSERT_TRUE(m.close().ok()) << morsel_last_error();
    }
    ExpectSound(pool);
  }
  static void ExpectSound(morsel::Pool& pool) {
    morsel_check_info info{};
    EXPECT_EQ(morsel_check(
                  pool.handle(), nullptr,
                  [](const morsel_finding* finding, void*) { ADD_FAILURE() << finding->message; },
                  nullptr, &info),
              MORSEL_OK);
    EXPECT_EQ(info.damages, 0u);
    EXPECT_EQ(info.obstacle, 0u);
  }
  struct Moved {
    morsel_code code;
    morsel_rebase_info info{};
    std::vector<std::string> doubts{};
  };
  static Moved Rebase(morsel::Pool& pool, const std::string& name,
                      morsel_rebase_options options = {}) {
    Moved moved{};
    options.struct_size = sizeof options;
    options.doubtful = [](const morsel_doubt* doubt, void* all) {
      EXPECT_EQ(doubt->struct_size, sizeof *doubt);
      static_cast<Moved*>(all)->doubts.emplace_back(doubt->message);
    };
    options.doubtful_context = &moved;
    moved.info.struct_size = sizeof moved.info;
    moved.code = morsel_rebase(pool.handle(), name.c_str(), &options, &moved.info);
    return moved;
  }
  static void* BaseOf(morsel::Pool& pool, const std::string& name) {
    morsel_info info{};
    info.struct_size = sizeof info;
    EXPECT_EQ(morsel_find(pool.handle(), name.c_str(), &info), MORSEL_OK) << morsel_last_error();
    return info.base;
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  morsel::Pool pool_ = OpenPool(scratch_.At("pool"), MORSEL_CREATE);
};

TEST_F(RebaseTest, ContainersAreTheSameAtAnotherAddress) {
  MakeIndex(pool_, "m");
  void* const before = BaseOf(pool_, "m");
  const Moved moved = Rebase(pool_, "m");
  ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(moved.info.base_before, before);
  EXPECT_NE(moved.info.base, before);
  EXPECT_EQ(BaseOf(pool_, "m"), moved.info.base);
  EXPECT_GT(moved.info.words, 1000u);
  EXPECT_STREQ(moved.info.name, "m");
  CheckIt(pool_, "m");
}

TEST_F(RebaseTest, ItsOwnAddressIsFreeForAnotherAfterwards) {
  MakeIndex(pool_, "m");
  morsel_rebase_options back{};
  back.base = BaseOf(pool_, "m");
  ASSERT_EQ(Rebase(pool_, "m").code, MORSEL_OK) << morsel_last_error();
  ASSERT_EQ(Rebase(pool_, "m", back).code, MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(BaseOf(pool_, "m"), back.base);
  CheckIt(pool_, "m");
}

// The heap's tables take more units then, so that the blocks move inside of the morsel, too.
TEST_F(RebaseTest, ACapacityGrowsFromLessThanAGiB) {
  MakeIndex(pool_, "m", 64 * kMiB);
  morsel_rebase_options options{};
  options.capacity_bytes = 16 * kGiB;
  const Moved moved = Rebase(pool_, "m", options);
  ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(moved.info.capacity_before, 64 * kMiB);
  EXPECT_EQ(moved.info.capacity_bytes, 16 * kGiB);
  CheckIt(pool_, "m");
  // It can be used to its new end.
  morsel::Morsel m = Open(pool_, "m");
  EXPECT_EQ(m.capacity(), 16 * kGiB);
  EXPECT_NE(m.malloc(2 * kGiB), nullptr) << morsel_last_error();
  ASSERT_TRUE(m.discard().ok());
}

TEST_F(RebaseTest, ACapacityGrowsAndShrinksAtTheSameAddress) {
  MakeIndex(pool_, "m", 4 * kGiB);
  morsel_rebase_options options{};
  options.base = BaseOf(pool_, "m");
  options.capacity_bytes = 10000 * kGiB;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_UNSUPPORTED);
  for (const uint64_t capacity_bytes : {1000 * kGiB, 100 * kMiB}) {
    options.capacity_bytes = capacity_bytes;
    const Moved moved = Rebase(pool_, "m", options);
    ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(moved.info.base, options.base);
    CheckIt(pool_, "m");
  }
  {
    morsel::Morsel m = Open(pool_, "m");
    ASSERT_TRUE(m.resize(8 * kMiB).ok());
  }
  options.capacity_bytes = 4 * kMiB;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
}

// Of each size class a slab and of each size some blocks, with their address in them.
TEST_F(RebaseTest, EveryBlockKeepsItsBytes) {
  std::vector<uint64_t> offsets;
  {
    morsel::Morsel m = Open(pool_, "m", {.flags = MORSEL_CREATE, .capacity_bytes = 512 * kMiB});
    for (size_t size = 16; size <= 3 * kMiB; size += size / 8 + 8) {
      auto* const block = static_cast<void**>(m.malloc(size));
      auto* const freed = m.malloc(size);
      ASSERT_NE(block, nullptr);
      block[0] = block;
      block[1] = reinterpret_cast<void*>(size);
      m.free(freed);
      offsets.push_back(
          static_cast<uint64_t>(reinterpret_cast<char*>(block) - static_cast<char*>(m.base())));
    }
    ASSERT_TRUE(m.close().ok());
  }
  for (const uint64_t capacity_bytes : {kGiB, 3 * kGiB}) {
    morsel_rebase_options options{};
    options.capacity_bytes = capacity_bytes;
    const Moved moved = Rebase(pool_, "m", options);
    ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
    EXPECT_GE(moved.info.words, offsets.size());
    ExpectSound(pool_);
    morsel::Morsel m = Open(pool_, "m");
    const uint64_t shift = capacity_bytes == kGiB ? 2 * kMiB : 0;
    for (uint64_t& offset : offsets) {
      offset += shift;
      auto* const block = reinterpret_cast<void**>(static_cast<char*>(m.base()) + offset);
      ASSERT_EQ(block[0], block);
      ASSERT_GE(m.usable_size(block), reinterpret_cast<size_t>(block[1]));
    }
    ASSERT_TRUE(m.discard().ok());
  }
  morsel::Morsel m = Open(pool_, "m");
  for (const uint64_t offset : offsets) m.free(static_cast<char*>(m.base()) + offset);
  EXPECT_EQ(m.stat()->live_bytes, 0u);
}

// What lies beside a small number, in padding that nobody writes, may be half of an address. The
// pools have no registry here, so that addresses depend on random ids.
TEST_F(RebaseTest, ANumberInALowerHalfStaysWhatItIs) {
  constexpr uint32_t kNumbers = 1000;
  int each = 0;
  for (const uint64_t capacity_bytes : {64 * kMiB, kGiB, 16 * kGiB}) {
    for (int morsels = 0; morsels < 4; ++morsels) {
      const std::string name = std::to_string(each++);
      {
        morsel::Morsel m =
            Open(pool_, name, {.flags = MORSEL_CREATE, .capacity_bytes = capacity_bytes});
        auto* const words = static_cast<uint64_t*>(m.malloc(kNumbers * sizeof(uint64_t)));
        ASSERT_NE(words, nullptr);
        const uint64_t base = reinterpret_cast<uint64_t>(m.base());
        for (uint32_t i = 0; i < kNumbers; ++i) {
          const uint64_t in_it = (base + capacity_bytes / 2) >> 32 << 32;
          words[i] = (i % 2 == 0 ? base >> 32 << 32 : in_it) | i;
        }
        ASSERT_TRUE(m.set_root("words", words).ok());
        ASSERT_TRUE(m.close().ok());
      }
      const Moved moved = Rebase(pool_, name);
      ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
      morsel::Morsel m = Open(pool_, name);
      const auto* const words = static_cast<const uint64_t*>(m.root("words"));
      ASSERT_NE(words, nullptr);
      for (uint32_t i = 0; i < kNumbers; ++i) ASSERT_EQ(static_cast<uint32_t>(words[i]), i);
      ASSERT_TRUE(m.discard().ok());
    }
  }
}

TEST_F(RebaseTest, ExactlyThePointersOfAKnownTypeChange) {
  uint64_t number = 0;
  {
    morsel::Morsel m = Open(pool_, "m", {.flags = MORSEL_CREATE});
    Linked* const first = m.make<Linked>();
    Linked* const second = m.make<Linked>();
    number = reinterpret_cast<uint64_t>(second);  // it looks like a pointer, and is none
    *first = {number, second};
    *second = {number, nullptr};
    ASSERT_TRUE(m.set_root("first", first).ok());
    ASSERT_TRUE(m.close().ok());
  }
  const auto info = morsel::rebase<Linked>(pool_, "m");
  ASSERT_TRUE(info) << morsel_last_error();
  EXPECT_EQ(info->exact, 1u);
  morsel::Morsel m = Open(pool_, "m");
  const Linked* const first = m.root<Linked>("first");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->number, number);
  EXPECT_EQ(reinterpret_cast<uint64_t>(first->next) - reinterpret_cast<uint64_t>(m.base()),
            number - reinterpret_cast<uint64_t>(info->base_before));
  // No root says what the second one is.
  EXPECT_EQ(first->next->number, reinterpret_cast<uint64_t>(first->next));
}

TEST_F(RebaseTest, WhatMayBeNoPointerIsTold) {
  {
    morsel::Morsel m = Open(pool_, "m", {.flags = MORSEL_CREATE});
    auto** const words = static_cast<char**>(m.malloc(6 * sizeof(char*)));
    char* const base = static_cast<char*>(m.base());
    words[0] = base;                                   // of an Allocator
    words[1] = reinterpret_cast<char*>(m.resource());  // of std::pmr
    words[2] = reinterpret_cast<char*>(words + 6);     // the end of a vector
    words[3] = base + 100;                             // into the heap's own tables
    words[4] = base + m.size() + 4096;                 // behind the end
    words[5] = reinterpret_cast<char*>(words) + 1;     // with a tag
    ASSERT_TRUE(m.set_root("words", words).ok());
    auto* const hashed = m.make<morsel::unordered_set<char*>>();
    hashed->insert(reinterpret_cast<char*>(words));
    ASSERT_TRUE(m.set_root("hashed", hashed).ok());
    auto* const sorted = m.make<morsel::set<char*>>();
    sorted->insert(reinterpret_cast<char*>(words));
    ASSERT_TRUE(m.set_root("sorted", sorted).ok());
    ASSERT_TRUE(m.close().ok());
  }
  morsel_rebase_options dry{};
  dry.flags = MORSEL_DRY_RUN;
  const std::string before = morsel::os::BytesOf(scratch_.At("pool/m"));
  const Moved would_be = Rebase(pool_, "m", dry);
  EXPECT_EQ(would_be.info.base, nullptr);
  EXPECT_EQ(morsel::os::BytesOf(scratch_.At("pool/m")), before);
  const Moved moved = Rebase(pool_, "m");
  EXPECT_EQ(moved.doubts, would_be.doubts);
  EXPECT_EQ(moved.info.words, would_be.info.words);
  ASSERT_EQ(moved.doubts.size(), 3u);
  EXPECT_EQ(moved.info.doubtful, 3u);
  EXPECT_NE(moved.doubts[0].find("'hashed'"), std::string::npos) << moved.doubts[0];
  EXPECT_NE(moved.doubts[0].find("std::hash<char*>"), std::string::npos) << moved.doubts[0];
  EXPECT_NE(moved.doubts[1].find("offset 24 "), std::string::npos) << moved.doubts[1];
  EXPECT_NE(moved.doubts[2].find("offset 32 "), std::string::npos) << moved.doubts[2];
  morsel::Morsel m = Open(pool_, "m");
  auto** const words = m.root<char*>("words");
  EXPECT_EQ(words[0], m.base());
  EXPECT_EQ(words[1], reinterpret_cast<char*>(m.resource()));
  EXPECT_EQ(words[2], reinterpret_cast<char*>(words + 6));
  EXPECT_EQ(words[5], reinterpret_cast<char*>(words) + 1);
  EXPECT_EQ(m.root<morsel::set<char*>>("sorted")->count(reinterpret_cast<char*>(words)), 1u);
}

TEST_F(RebaseTest, WhatIsOpenIsBusyAndWhatIsTakenIsToldOf) {
  MakeIndex(pool_, "m", kGiB);
  MakeIndex(pool_, "n", kGiB);
  morsel_rebase_options options{};
  options.base = BaseOf(pool_, "n");
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_ADDRESS_TAKEN);
  EXPECT_NE(std::string(morsel_last_error()).find("'n'"), std::string::npos);
  options.base = reinterpret_cast<void*>(0x1000);
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  {
    morsel::Morsel m = Open(pool_, "m");
    EXPECT_EQ(Rebase(pool_, "m").code, MORSEL_BUSY);
    morsel::Pool other = OpenPool(scratch_.At("pool"), 0);
    EXPECT_EQ(Rebase(other, "m").code, MORSEL_BUSY);
    EXPECT_NE(std::string(morsel_last_error()).find("another handle"), std::string::npos)
        << morsel_last_error();
    ASSERT_TRUE(m.discard().ok());
  }
  morsel::Pool reading = OpenPool(scratch_.At("pool"), MORSEL_READ_ONLY);
  EXPECT_EQ(Rebase(reading, "m").code, MORSEL_PERMISSION);
  morsel_rebase_options dry{};
  dry.flags = MORSEL_DRY_RUN;
  EXPECT_EQ(Rebase(reading, "m", dry).code, MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(Rebase(pool_, "o").code, MORSEL_NOT_FOUND);
  dry.flags = MORSEL_CREATE;
  EXPECT_EQ(Rebase(pool_, "m", dry).code, MORSEL_INVALID_ARGUMENT);
}

TEST_F(RebaseTest, ACopyIsAMorselOfItsOwn) {
  MakeIndex(pool_, "m");
  ASSERT_EQ(morsel_copy(pool_.handle(), "m", "copy", nullptr, nullptr), MORSEL_OK)
      << morsel_last_error();
  EXPECT_EQ(morsel_copy(pool_.handle(), "m", "copy", nullptr, nullptr), MORSEL_EXISTS);
  {
    // Both at once.
    morsel::Morsel m = Open(pool_, "m");
    morsel::Morsel copy = Open(pool_, "copy");
    EXPECT_NE(m.base(), copy.base());
    EXPECT_NE(std::memcmp(m.stat()->id, copy.stat()->id, sizeof m.stat()->id), 0);
    copy.root<Index>("index")->clear();
  }
  CheckIt(pool_, "m");
  morsel::Morsel copy = Open(pool_, "copy");
  EXPECT_TRUE(copy.root<Index>("index")->empty());
}

TEST_F(RebaseTest, AnImageIsImportedBesideTheOriginalAndInItsPlace) {
  MakeIndex(pool_, "m");
  const std::string image = scratch_.At("backup");
  ASSERT_TRUE(pool_.export_to("m", image).ok());
  {
    morsel::Morsel m = Open(pool_, "m");
    m.root<Index>("index")->clear();
  }
  morsel_import_options options{};
  options.struct_size = sizeof options;
  options.name = "beside";
  morsel_rebase_info info{};
  info.struct_size = sizeof info;
  const auto import = [&] {
    return morsel_import_with(pool_.handle(), image.c_str(), &options, &info);
  };
  EXPECT_EQ(import(), MORSEL_ADDRESS_TAKEN);
  options.flags = MORSEL_REBASE;
  ASSERT_EQ(import(), MORSEL_OK) << morsel_last_error();
  EXPECT_NE(info.base, info.base_before);
  CheckIt(pool_, "beside");
  // Without a name it has the one that it had.
  options = {};
  EXPECT_EQ(import(), MORSEL_EXISTS);
  options.flags = MORSEL_REPLACE;
  {
    const morsel::Morsel m = Open(pool_, "m");
    EXPECT_EQ(import(), MORSEL_BUSY);
  }
  ASSERT_EQ(import(), MORSEL_OK) << morsel_last_error();
  EXPECT_STREQ(info.name, "m");
  EXPECT_EQ(info.base, info.base_before);
  CheckIt(pool_, "m");
  // In place of one at another address, and of none.
  options.name = "beside";
  EXPECT_EQ(import(), MORSEL_ADDRESS_TAKEN);
  options.flags = MORSEL_REPLACE | MORSEL_REBASE;
  ASSERT_EQ(import(), MORSEL_OK) << morsel_last_error();
  options.name = "new";
  ASSERT_EQ(import(), MORSEL_OK) << morsel_last_error();
  CheckIt(pool_, "beside");
  CheckIt(pool_, "new");
}

// Both kinds of fine morsels.
class FineRebaseTest : public RebaseTest, public testing::WithParamInterface<bool> {
 protected:
  morsel::Pool fine_ =
      GetParam() ? OpenPool(scratch_.At("carved"), MORSEL_CREATE | MORSEL_CARVED, 64 * kMiB)
                 : OpenPool(scratch_.At("fine"), MORSEL_CREATE);
};

INSTANTIATE_TEST_SUITE_P(Pools, FineRebaseTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Carved" : "Directory"; });

TEST_P(FineRebaseTest, AFineMorselMoves) {
  ASSERT_TRUE(kGranularityIsForced);
  MakeIndex(fine_, "m", 64 * kMiB, MORSEL_FINE);
  const Moved moved = Rebase(fine_, "m");
  ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
  EXPECT_NE(moved.info.base, moved.info.base_before);
  CheckIt(fine_, "m");
  morsel_rebase_options options{};
  // It is no multiple of 1 GiB.
  options.base = reinterpret_cast<void*>((uint64_t{0x1700} << 32) + 2 * kMiB);
  options.capacity_bytes = 2 * kGiB;
  EXPECT_EQ(Rebase(fine_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  options.base = nullptr;
  ASSERT_EQ(Rebase(fine_, "m", options).code, MORSEL_OK) << morsel_last_error();
  CheckIt(fine_, "m");
  ASSERT_EQ(morsel_copy(fine_.handle(), "m", "copy", nullptr, nullptr), MORSEL_OK)
      << morsel_last_error();
  CheckIt(fine_, "copy");
  const std::string image = scratch_.At("image");
  ASSERT_TRUE(fine_.export_to("m", image).ok());
  morsel_import_options import{};
  import.flags = MORSEL_REPLACE;
  ASSERT_EQ(morsel_import_with(fine_.handle(), image.c_str(), &import, nullptr), MORSEL_OK)
      << morsel_last_error();
  CheckIt(fine_, "m");
}

TEST_F(RebaseTest, WithoutSpaceForTwoNothingHasChanged) {
  morsel::Pool carved = OpenPool(scratch_.At("small"), MORSEL_CREATE | MORSEL_CARVED, 6 * kMiB);
  {
    morsel::Morsel m =
        Open(carved, "m", {.flags = MORSEL_CREATE | MORSEL_FINE, .size_bytes = 4 * kMiB});
  }
  void* const before = BaseOf(carved, "m");
  EXPECT_EQ(Rebase(carved, "m").code, MORSEL_NO_SPACE);
  EXPECT_EQ(BaseOf(carved, "m"), before);
  ExpectSound(carved);
}

TEST_F(RebaseTest, WrongPointersAreRefused) {
  MakeIndex(pool_, "m");
  morsel_type type{};
  type.struct_size = sizeof type;
  type.size = 16;
  type.alignment = 8;
  size_t offset = 12;
  morsel_pointers pointers = {sizeof pointers, 0, &type, &offset, 1};
  const morsel_pointers* all[] = {&pointers};
  morsel_rebase_options options{};
  options.pointers = all;
  options.pointers_count = 1;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  offset = 16;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  offset = 8;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_OK) << morsel_last_error();
  pointers.type = nullptr;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  options.pointers = nullptr;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
}

}  // namespace
