// A carved pool that one process writes while others read it.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/units.h"
#include "image/image_file.h"
#include "morsel/carved/carved_pool_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

class CarvedPoolSharingTest : public CarvedPoolFixture {
 protected:
  static std::vector<std::string> NamesIn(impl::Pool& pool) {
    std::vector<std::string> names;
    for (const CatalogRecord& record : Listed(pool)) names.push_back(record.name);
    return names;
  }
};

using Names = std::vector<std::string>;

TEST_F(CarvedPoolSharingTest, AReaderSeesEachThingThatAWriterHasDone) {
  const auto writer = MakePool();
  const auto reader = OpenPool(true);
  EXPECT_EQ(NamesIn(*reader), Names());
  auto a = Make(*writer, "a", 2);
  const auto b = Make(*writer, "b");
  EXPECT_EQ(NamesIn(*reader), (Names{"a", "b"}));
  ASSERT_TRUE(a->Resize(kSubtreeBytes).ok()) << LastError();
  EXPECT_EQ(reader->Find("a")->size_bytes, kSubtreeBytes);
  ASSERT_TRUE(a->Checkpoint(77).ok()) << LastError();
  EXPECT_EQ(reader->Find("a")->live_bytes, 77u);
  EXPECT_EQ(reader->Facts()->free_bytes, writer->Facts()->free_bytes);
  ExpectWhole(*reader);
  a.reset();
  ASSERT_TRUE(writer->Remove("a").ok()) << LastError();
  EXPECT_EQ(NamesIn(*reader), Names{"b"});
  EXPECT_EQ(reader->Find("a").error(), Code::kNotFound);
  EXPECT_EQ(reader->Open("a", true).error(), Code::kNotFound);
}

TEST_F(CarvedPoolSharingTest, AReaderMapsWhatAWriterHasStored) {
  const auto writer = MakePool();
  { *At(*Make(*writer, "a"), 64) = 5; }
  const auto reader = OpenPool(true);
  const auto a = OpenMorsel(*reader, "a", true);
  EXPECT_EQ(*At(*a, 64), 5u);
  // It keeps its subtrees, and they may be another's now. It asks about those that it has.
  ASSERT_TRUE(writer->Remove("a").ok()) << LastError();
  const os::Directory to = *os::Directory::Open(os::KernelCalls(), scratch_.path());
  EXPECT_TRUE(a->Export(to, "image", {}).ok()) << LastError();
}

// After each of the reader's calls the writer shrinks a morsel, and grows it again at the next one.
// So large a pool has its catalog and its map in different pieces of what is read.
TEST_F(CarvedPoolSharingTest, AReaderWhoIsOvertakenSeesOneMoment) {
  const auto writer = MakePool(4 * kGiB);
  const auto a = Make(*writer, "a", 3);
  const auto resize = [&](uint64_t subtrees) {
    ASSERT_TRUE(a->Resize(subtrees * kSubtreeBytes).ok()) << LastError();
  };
  int overtaken = 0;
  for (int64_t call = 0;; ++call) {
    resize(3);
    os::ScriptedCalls calls;
    calls.AfterEach([&](const os::Call& made) {
      if (made.number != call) return;
      const OutsideCall another_process;
      resize(1);
      ++overtaken;
    });
    const auto reader = CarvedPool::Open(path_, true, calls);
    ASSERT_TRUE(reader.has_value()) << "call " << call << ": " << LastError();
    const int64_t until_open = calls.count();
    SCOPED_TRACE(testing::Message() << "call " << call);
    ExpectWhole(**reader);
    // If that comes while he looks for it, he may have looked before.
    const uint64_t before = a->record().size_bytes;
    const uint64_t found = (*reader)->Find("a")->size_bytes;
    EXPECT_TRUE(found == before || found == a->record().size_bytes) << found;
    if (call >= 2 * until_open) break;
  }
  EXPECT_GT(overtaken, 10);
}

// A pool of 4 GiB has metadata of several pieces.
TEST_F(CarvedPoolSharingTest, AReaderReadsTheMetadataOnceAndAgainWhenTheyHaveChanged) {
  const auto writer = MakePool(4 * kGiB);
  const auto a = Make(*writer, "a", 3);
  os::ScriptedCalls calls;
  const auto opened = CarvedPool::Open(path_, true, calls);
  ASSERT_TRUE(opened.has_value()) << LastError();
  impl::Pool& reader = **opened;
  const uint64_t metadata_bytes = static_cast<CarvedPool&>(reader).superblock().metadata_bytes;
  constexpr uint64_t kHeadBytes = sizeof(pmem::JournalHead);
  const auto read_bytes = [&] { return calls.size_bytes(os::Call::kRead); };
  EXPECT_LE(read_bytes(), metadata_bytes + kSuperblocks * kSuperblockBytes + 2 * kHeadBytes);
  uint64_t before = read_bytes();
  EXPECT_EQ(reader.Find("a")->size_bytes, 3 * kSubtreeBytes);
  EXPECT_EQ(NamesIn(reader), Names{"a"});
  EXPECT_EQ(read_bytes() - before, 2 * kHeadBytes);
  ASSERT_TRUE(a->Resize(kSubtreeBytes).ok()) << LastError();
  before = read_bytes();
  EXPECT_EQ(reader.Find("a")->size_bytes, kSubtreeBytes);
  EXPECT_LE(read_bytes() - before, metadata_bytes + 3 * kHeadBytes);
  EXPECT_GT(read_bytes() - before, kSuperblockBytes);
}

// Without a name and a slot: the addresses of what is being imported are taken all the same.
TEST_F(CarvedPoolSharingTest, WhatIsBeingImportedHasItsAddresses) {
  const auto pool = MakePool();
  const os::Directory to = *os::Directory::Open(os::KernelCalls(), scratch_.path());
  {
    const auto a = Make(*pool, "a");
    *At(*a, 64) = 5;
    ASSERT_TRUE(a->Export(to, "image", {}).ok()) << LastError();
  }
  ASSERT_TRUE(pool->Remove("a").ok());
  const auto import = [&](const std::string& name, const image::Progress& progress) {
    auto image = image::ImageFile::Open(*to.OpenFile("image", 0), true);
    image->set_progress(progress);
    return pool->Import(name, *image, false).code();
  };
  int others = 0;
  const Code code = import("b", [&](const image::ProgressNow&) {
    if (others++ > 0) return;
    const OutsideCall another_thread;
    EXPECT_EQ(import("c", {}), Code::kAddressTaken) << LastError();
    EXPECT_NE(Make(*pool, "d"), nullptr);  // nor is the pool waited for
  });
  EXPECT_EQ(code, Code::kOk) << LastError();
  EXPECT_GT(others, 0);
  EXPECT_EQ(NamesIn(*pool), (Names{"b", "d"}));
  ExpectWhole(*pool);
}

}  // namespace
}  // namespace morsel
