#include "os/file/file_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "os/testing/scratch_testing.h"

namespace morsel::os {
namespace {

constexpr uint64_t kEnd = uint64_t{1} << 40;

std::vector<std::pair<uint64_t, uint64_t>> Pairs(const std::vector<ByteSpan>& spans) {
  std::vector<std::pair<uint64_t, uint64_t>> pairs;
  for (const ByteSpan& span : spans) pairs.emplace_back(span.begin, span.end);
  return pairs;
}

class FileLockTest : public testing::Test {
 protected:
  File Open() const {
    Result<File> file = File::Open(KernelCalls(), AT_FDCWD, path_, O_RDWR | O_CREAT, 0600, path_);
    EXPECT_TRUE(file.has_value()) << LastError();
    return std::move(*file);
  }
  Scratch scratch_ = Scratch::OnDisk();
  std::string path_ = scratch_.At("a");
  File own_ = Open();
};

TEST_F(FileLockTest, WhatOthersMapIsFoundInOrder) {
  const File one = Open();
  const File other = Open();
  EXPECT_TRUE(MappedByOthers(own_, kEnd).empty());
  ASSERT_TRUE(LockMapped(one, {{100, 200}, {1000, 2000}}));
  ASSERT_TRUE(LockMapped(other, {{150, 300}, {700, 800}}));
  using List = std::vector<std::pair<uint64_t, uint64_t>>;
  const List found = Pairs(MappedByOthers(own_, kEnd));
  // Where two overlap either may be found first.
  const bool is_it = found == List{{100, 200}, {200, 300}, {700, 800}, {1000, 2000}} ||
                     found == List{{100, 150}, {150, 300}, {700, 800}, {1000, 2000}};
  EXPECT_TRUE(is_it) << testing::PrintToString(found);
  EXPECT_EQ(Pairs(MappedByOthers(own_, 1500)).back(), (std::pair<uint64_t, uint64_t>(1000, 1500)));
  UnlockMapped(other);
  EXPECT_EQ(Pairs(MappedByOthers(own_, kEnd)), (List{{100, 200}, {1000, 2000}}));
  // One's own are none of others.
  EXPECT_TRUE(MappedByOthers(one, kEnd).empty());
}

TEST_F(FileLockTest, WhoMakesVeryManyLocksCountsAsHavingAll) {
  const File other = Open();
  std::vector<ByteSpan> spans;
  for (uint64_t at = 0; at < 3000; ++at) spans.push_back({2 * at, 2 * at + 1});
  ASSERT_TRUE(LockMapped(other, spans));
  const auto found = MappedByOthers(own_, kEnd);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].begin, 0U);
  EXPECT_EQ(found[0].end, kEnd);
}

TEST_F(FileLockTest, NobodyIsInTheWayOfAnother) {
  const File reader = Open();
  ASSERT_TRUE(LockMapped(reader, {{0, kEnd}}));
  EXPECT_FALSE(MayBeWritten(reader));
  ASSERT_TRUE(LockForWriting(own_, "it").ok()) << LastError();
  EXPECT_TRUE(MayBeWritten(reader));
  EXPECT_FALSE(MayBeWritten(own_)) << "by others";
  const File second = Open();
  EXPECT_TRUE(LockMapped(second, {{0, kEnd}}));
}

TEST_F(FileLockTest, OfWhichOneIsRefusedNoneIsLocked) {
  const File other = Open();
  const File reader = Open();
  constexpr uint64_t kFar = (uint64_t{1} << 60) + 500;
  ASSERT_FALSE(LockSpan(other, {kFar, kFar + 1}).value().has_value());
  EXPECT_FALSE(LockMapped(reader, {{0, 100}, {400, 600}}));
  UnlockSpan(other, {kFar, kFar + 1});
  EXPECT_TRUE(MappedByOthers(own_, kEnd).empty());
}

TEST_F(FileLockTest, AMappingKeepsTheLocksOfAClosedDescriptor) {
  File reader = Open();
  ASSERT_TRUE(reader.Resize(4096).ok());
  ASSERT_TRUE(LockMapped(reader, {{0, 4096}}));
  void* const memory = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, reader.descriptor(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  reader.Close();
  EXPECT_EQ(MappedByOthers(own_, kEnd).size(), 1U);
  munmap(memory, 4096);
  EXPECT_TRUE(MappedByOthers(own_, kEnd).empty());
}

}  // namespace
}  // namespace morsel::os
