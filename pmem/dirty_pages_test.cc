// Both ways against what was really written.
#include "pmem/dirty_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <string>

#include "base/error.h"

namespace morsel::pmem {
namespace {

constexpr uint64_t kBytes = 16 * kSubtreeBytes;

// Sets MORSEL_DIRTY and puts back what was there.
class ChosenWay {
 public:
  explicit ChosenWay(const char* way) {
    const char* const before = std::getenv("MORSEL_DIRTY");
    had_ = before != nullptr;
    if (had_) before_ = before;
    setenv("MORSEL_DIRTY", way, 1);
  }
  ~ChosenWay() { had_ ? setenv("MORSEL_DIRTY", before_.c_str(), 1) : unsetenv("MORSEL_DIRTY"); }
  ChosenWay(const ChosenWay&) = delete;
  ChosenWay& operator=(const ChosenWay&) = delete;

 private:
  bool had_ = false;
  std::string before_;
};

// Frames of small pages, or of huge ones where the host gives them.
class DirtyPagesTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    memory_ = static_cast<char*>(
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory_, MAP_FAILED);
    (void)madvise(memory_, kBytes, GetParam());
    // The second half is never touched before it is tracked.
    std::memset(memory_, 1, kBytes / 2);
  }
  void TearDown() override { munmap(memory_, kBytes); }

  static std::set<uint64_t> PagesOf(const PageSet& set) {
    std::set<uint64_t> pages;
    for (const auto& [position, bits] : set.subtrees()) {
      for (uint64_t page = 0; page < kPagesPerSubtree; ++page) {
        if (bits.test(page)) pages.insert(position.value() * kPagesPerSubtree + page);
      }
    }
    return pages;
  }

  char* memory_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Frames, DirtyPagesTest, testing::Values(MADV_NOHUGEPAGE, MADV_HUGEPAGE));

// Where this kernel cannot, forcing it says so; else each written page is told, once.
TEST_P(DirtyPagesTest, ScanningTellsWhatWasWritten) {
  const ChosenWay way("scan");
  Result<std::unique_ptr<DirtyPages>> dirty = DirtyPages::Open();
  if (!dirty) {
    EXPECT_EQ(dirty.error(), Code::kUnsupported);
    EXPECT_NE(std::strstr(LastError(), "MORSEL_DIRTY=compare"), nullptr) << LastError();
    return;
  }
  ASSERT_TRUE((*dirty)->Track(memory_, kBytes).ok()) << LastError();
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  std::mt19937_64 random(1);
  for (int round = 0; round < 20; ++round) {
    std::set<uint64_t> written;
    for (int i = 0; i < 50; ++i) {
      const uint64_t at = random() % kBytes;
      written.insert(at / kPageBytes);
      if (i % 5 != 0) {
        memory_[at] = static_cast<char>(round);
      } else {
        ASSERT_EQ(write(pipe_ends[1], "x", 1), 1);
        ASSERT_EQ(read(pipe_ends[0], memory_ + at, 1), 1);  // the kernel's stores count, too
      }
    }
    PageSet set;
    const Result<bool> known = (*dirty)->Collect(memory_, kBytes, set);
    ASSERT_TRUE(known.has_value()) << LastError();
    ASSERT_TRUE(*known);
    const std::set<uint64_t> found = PagesOf(set);
    for (const uint64_t page : written) ASSERT_TRUE(found.count(page) == 1) << page;
    // Of small pages nothing else; of huge ones the page's huge one at most.
    if (GetParam() == MADV_NOHUGEPAGE) {
      EXPECT_EQ(found, written);
    }
  }
  PageSet none;
  ASSERT_TRUE((*dirty)->Collect(memory_, kBytes, none).has_value());
  EXPECT_TRUE(PagesOf(none).empty());
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_P(DirtyPagesTest, MemoryThatIsNotTrackedIsNotToldToBeClean) {
  Result<std::unique_ptr<DirtyPages>> dirty = DirtyPages::Open();
  ASSERT_TRUE(dirty.has_value()) << LastError();
  ASSERT_TRUE((*dirty)->Track(memory_, kBytes / 2).ok()) << LastError();
  PageSet set;
  const Result<bool> known = (*dirty)->Collect(memory_, kBytes, set);
  EXPECT_TRUE(!known.has_value() || !*known);
}

TEST_P(DirtyPagesTest, ComparingKnowsNothing) {
  const ChosenWay way("compare");
  Result<std::unique_ptr<DirtyPages>> dirty = DirtyPages::Open();
  ASSERT_TRUE(dirty.has_value()) << LastError();
  EXPECT_STREQ((*dirty)->way(), "compare");
  ASSERT_TRUE((*dirty)->Track(memory_, kBytes).ok());
  PageSet set;
  EXPECT_FALSE(*(*dirty)->Collect(memory_, kBytes, set));
}

TEST_P(DirtyPagesTest, AnUnknownWayIsRefused) {
  const ChosenWay way("guess");
  EXPECT_EQ(DirtyPages::Open().error(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace morsel::pmem
