// Damaged morsels that are opened for their intact parts. Each byte of each object is unchanged, or
// zero in a range that is reported as lost.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/units.h"
#include "image/image_file.h"
#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace {

namespace fs = std::filesystem;
namespace image = morsel::image;
using morsel::Code;
using morsel::kGiantBytes;
using morsel::kKiB;
using morsel::kPageBytes;
using morsel::kSubtreeBytes;
using morsel::SubtreePosition;

constexpr uint64_t kObjectBytes = 512 * kKiB;
constexpr uint64_t kObjects = 20;
/// Between the first half and the second lies more than a table leads to.
constexpr uint64_t kFarObjects = kObjects / 2;

/// In the first subtree, with the heap's header.
struct Index {
  char* objects[kObjects];
  char filler[1408 * kKiB];  ///< so much of it that it becomes a leaf where this is written over
};

// What an object holds, of which the far ones are written twice.
char ByteOf(uint64_t object, uint64_t i, bool again) {
  const bool is_changed = object == 1 && i == 77;
  return static_cast<char>((i * (object + 3) / 8 + 1) ^ (again && is_changed ? 1 : 0) ^
                           (again && object >= kFarObjects ? 2 : 0));
}

class SalvageTest : public testing::Test {
 protected:
  void SetUp() override {
    {
      auto pool = morsel::Pool::open(scratch_.At("one"), {.flags = MORSEL_CREATE});
      ASSERT_TRUE(pool) << morsel::last_error();
      auto m = morsel::Morsel::open(*pool, "m",
                                    {.flags = MORSEL_CREATE, .capacity_bytes = 2 * kGiantBytes});
      ASSERT_TRUE(m) << morsel::last_error();
      ASSERT_NO_FATAL_FAILURE(Fill(*m));
      ASSERT_TRUE(m->checkpoint().ok()) << morsel::last_error();
      index_->objects[1][77] ^= 1;  // a page that is replaced, of an older leaf
      ASSERT_TRUE(m->checkpoint().ok()) << morsel::last_error();
      std::memset(index_->filler, 2, sizeof index_->filler);  // leaves that are younger
      for (uint64_t object = kFarObjects; object < kObjects; ++object) Write(object, true);
      base_ = m->base();
      ASSERT_TRUE(Make("pool").ok());
      ASSERT_TRUE(pool->export_to("m", file_).ok()) << morsel::last_error();
      index_copy_ = *index_;
    }
    std::filesystem::permissions(file_, fs::perms::owner_read | fs::perms::owner_write);
    auto file =
        morsel::os::File::Open(morsel::os::KernelCalls(), AT_FDCWD, file_, O_RDONLY, 0, file_);
    ASSERT_TRUE(file) << morsel::last_error();
    const auto opened = image::ImageFile::Open(std::move(*file), true);
    ASSERT_TRUE(opened) << morsel::last_error();
    tree_ = opened->tree();
  }

  void Fill(morsel::Morsel& m) {
    index_ = m.make<Index>();
    ASSERT_TRUE(index_ != nullptr && m.set_root("index", index_).ok()) << morsel::last_error();
    ASSERT_EQ(PositionOf(m.base(), index_->filler + sizeof index_->filler - 1), 0u);
    for (uint64_t object = 0; object < kObjects; ++object) {
      char* bytes = nullptr;
      do {  // what lies between is not touched
        bytes = static_cast<char*>(m.malloc(kObjectBytes));
        ASSERT_NE(bytes, nullptr) << morsel::last_error();
      } while (object >= kFarObjects && PositionOf(m.base(), bytes) < morsel::kSubtreesPerGiant);
      index_->objects[object] = bytes;
      Write(object, false);
    }
  }
  void Write(uint64_t object, bool again) {
    char* const bytes = index_->objects[object];
    for (uint64_t i = 0; i < kObjectBytes; ++i) bytes[i] = ByteOf(object, i, again);
  }
  morsel::Status Make(const char* name) {
    return morsel::Pool::open(scratch_.At(name), {.flags = MORSEL_CREATE}).status();
  }
  morsel::Pool Open(uint32_t flags = MORSEL_READ_ONLY) {
    auto pool = morsel::Pool::open(scratch_.At("pool"), {.flags = flags});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }
  auto Salvage(morsel::Pool& pool) {
    told_.clear();
    return morsel::Morsel::open(
        pool, "m",
        {.flags = MORSEL_READ_ONLY | MORSEL_SALVAGE,
         .damaged =
             [](const char* sentence, void* told) {
               static_cast<std::vector<std::string>*>(told)->emplace_back(sentence);
             },
         .damaged_context = &told_});
  }

  static uint64_t PositionOf(const void* base, const void* address) {
    return static_cast<uint64_t>(static_cast<const char*>(address) -
                                 static_cast<const char*>(base)) /
           kSubtreeBytes;
  }
  uint64_t PositionOfObject(uint64_t object) const {
    return PositionOf(base_, index_copy_.objects[object] + kObjectBytes / 2);
  }
  void Damage(uint64_t offset) {
    std::fstream file(file_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 4));
    ASSERT_TRUE(file.good());
  }

  // Opens it for what is left, when the subtrees of `lost` are, and has each of `words` told.
  void ExpectLost(const std::set<uint64_t>& lost, const std::vector<std::string>& words) {
    morsel::Pool pool = Open();
    EXPECT_EQ(morsel::Morsel::open(pool, "m").error(), Code::kCorrupt) << morsel::last_error();
    auto m = Salvage(pool);
    ASSERT_TRUE(m) << morsel::last_error();
    EXPECT_EQ(m->base(), base_);
    ASSERT_EQ(told_.size(), words.size());
    for (size_t i = 0; i < words.size(); ++i) {
      EXPECT_NE(told_[i].find(words[i]), std::string::npos) << told_[i];
    }
    const Index* const index = m->root<Index>("index");
    ASSERT_NE(index, nullptr) << morsel::last_error();
    EXPECT_EQ(std::memcmp(index, &index_copy_, sizeof *index), 0);
    bool zero = false;
    bool intact = false;
    for (uint64_t object = 0; object < kObjects; ++object) {
      for (uint64_t page = 0; page < kObjectBytes; page += kPageBytes) {
        const char* const bytes = index->objects[object] + page;
        ASSERT_EQ(reinterpret_cast<uintptr_t>(bytes) % kPageBytes, 0u);
        const bool is_lost = lost.contains(PositionOf(base_, bytes));
        (is_lost ? zero : intact) = true;
        for (uint64_t i = 0; i < kPageBytes; ++i) {
          const char due = is_lost ? '\0' : ByteOf(object, page + i, true);
          if (bytes[i] != due) FAIL() << object << ", " << page + i;
        }
      }
    }
    EXPECT_TRUE(zero && intact);
    EXPECT_EQ(m->malloc(16), nullptr);
    // What the heap knows of blocks may be lost with them.
    const auto info = m->stat();
    EXPECT_TRUE(info ? (info->flags & MORSEL_READ_ONLY) != 0 : info.error() == Code::kCorrupt)
        << morsel::last_error();
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  std::string file_ = scratch_.At("pool/m");
  Index* index_ = nullptr;
  Index index_copy_;
  void* base_ = nullptr;
  image::Tree tree_;
  std::vector<std::string> told_;
};

TEST_F(SalvageTest, ADamagedLeafReadsAsZerosAndAllElseIsIntact) {
  const uint64_t position = PositionOfObject(5);
  Damage(tree_.leaf(SubtreePosition(position)).offset + 7);
  ExpectLost({position}, {"subtree " + std::to_string(position) + " (0x"});
}

// Which leaves it had pages of is not known any more; younger ones it had none of.
TEST_F(SalvageTest, ADamagedListLosesOnlyOlderLeaves) {
  ASSERT_FALSE(tree_.lists.empty());
  std::set<uint64_t> lost;
  for (uint64_t position = 0; position < 2 * morsel::kSubtreesPerGiant; ++position) {
    const image::Entry leaf = tree_.leaf(SubtreePosition(position));
    if (image::IsPresent(leaf) && leaf.generation < tree_.lists[0].generation) {
      lost.insert(position);
    }
  }
  ASSERT_FALSE(lost.contains(0));
  for (const image::PatchList& list : tree_.lists) Damage(list.offset);
  // The heap, too, is younger: so all that is lost are objects.
  ExpectLost(lost, {"the list of replaced pages at offset"});
}

TEST_F(SalvageTest, ADamagedTableLosesItsSubtrees) {
  ASSERT_EQ(tree_.tables.size(), 2u);
  std::set<uint64_t> lost;
  for (uint64_t i = 0; i < morsel::kSubtreesPerGiant; ++i) {
    lost.insert(morsel::kSubtreesPerGiant + i);
  }
  Damage(tree_.tables[1].entry.offset + 5);
  Damage(tree_.tables[1].entry.second + 5);
  ExpectLost(lost, {"the table of subtrees 512-"});
}

TEST_F(SalvageTest, OpenFailsWithoutTheHeapsHeader) {
  Damage(tree_.leaf(SubtreePosition(0)).offset + 7);
  morsel::Pool pool = Open();
  EXPECT_EQ(Salvage(pool).error(), Code::kCorrupt);
  EXPECT_NE(std::strstr(morsel::last_error(), "where its heap begins"), nullptr)
      << morsel::last_error();
  EXPECT_EQ(told_.size(), 1u);
  Damage(tree_.root.offset + 5);
  Damage(tree_.root.second + 5);
  EXPECT_EQ(Salvage(pool).error(), Code::kCorrupt);
  EXPECT_NE(std::strstr(morsel::last_error(), "the root table"), nullptr) << morsel::last_error();
}

TEST_F(SalvageTest, ASalvagedMorselIsNeitherOpenedOtherwiseNorExported) {
  Damage(tree_.leaf(SubtreePosition(PositionOfObject(5))).offset + 7);
  morsel::Pool pool = Open(0);
  {
    auto m = Salvage(pool);
    ASSERT_TRUE(m) << morsel::last_error();
    auto again = Salvage(pool);
    ASSERT_TRUE(again) << morsel::last_error();
    EXPECT_EQ(again->handle(), m->handle());
    EXPECT_EQ(morsel::Morsel::open(pool, "m", {.flags = MORSEL_READ_ONLY}).error(), Code::kBusy);
    EXPECT_NE(std::strstr(morsel::last_error(), "MORSEL_SALVAGE"), nullptr);
    EXPECT_EQ(pool.export_to("m", scratch_.At("x")).code(), Code::kBusy);
    EXPECT_EQ(pool.export_to("m", scratch_.At("x"), MORSEL_CODEC_LZ4).code(), Code::kBusy);
    EXPECT_FALSE(fs::exists(scratch_.At("x")));
  }
  EXPECT_EQ(morsel::Morsel::open(pool, "m").error(), Code::kCorrupt);
}

TEST_F(SalvageTest, AnUndamagedMorselOpensAsUsual) {
  morsel::Pool pool = Open();
  auto m = Salvage(pool);
  ASSERT_TRUE(m) << morsel::last_error();
  EXPECT_TRUE(told_.empty());
  EXPECT_TRUE(morsel::Morsel::open(pool, "m")) << morsel::last_error();
  EXPECT_TRUE(pool.export_to("m", scratch_.At("x")).ok()) << morsel::last_error();
}

TEST_F(SalvageTest, SalvageFailsWithoutReadOnlyOrAnImage) {
  morsel::Pool pool = Open(0);
  EXPECT_EQ(morsel::Morsel::open(pool, "m", {.flags = MORSEL_SALVAGE}).error(),
            Code::kInvalidArgument);
  const morsel::MorselOptions told_of_none = {.flags = MORSEL_READ_ONLY,
                                              .damaged = [](const char*, void*) {}};
  EXPECT_EQ(morsel::Morsel::open(pool, "m", told_of_none).error(), Code::kInvalidArgument);
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  auto fine = morsel::Morsel::open(pool, "f", {.flags = MORSEL_CREATE | MORSEL_FINE});
  ASSERT_TRUE(fine && fine->close().ok()) << morsel::last_error();
  EXPECT_EQ(morsel::Morsel::open(pool, "f", {.flags = MORSEL_READ_ONLY | MORSEL_SALVAGE}).error(),
            Code::kUnsupported);
}

}  // namespace
