// The method `fault` reads the page tables of what is in use, however large the frames are.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "os/memory/frames.h"
#include "os/memory/open_dirty_tracker.h"
#include "os/testing/call_log_testing.h"
#include "os/testing/frames_testing.h"

namespace morsel::os {
namespace {

constexpr uint64_t kBytes = uint64_t{1} << 40;
/// Whoever touches a byte has so much looked at.
constexpr uint64_t kPartBytes = uint64_t{256} << 20;

// Returns how many reads a Collect() makes, or less than 0.
int64_t ReadsOfACollect(const std::vector<uint64_t>& stored) {
  const Setting kind("MORSEL_FRAMES", "anonymous");
  const Setting way("MORSEL_DIRTY", "fault");
  AddressRange range = ReserveAnywhere(kBytes);
  Frames frames = *Frames::Open(false);
  if (!frames.Resize(range, kBytes).ok()) return -1;
  Result<std::unique_ptr<DirtyTracker>> dirty = OpenDirtyTracker();
  if (!dirty || !(*dirty)->Track(frames, 0).ok()) return -2;
  for (const uint64_t offset : stored) {
    reinterpret_cast<std::atomic<char>*>(frames.at(offset))->store(1);
  }
  if (!LogCallsOfThisThread()) return -3;
  PageSet pages;
  const Result<bool> known = (*dirty)->Collect(frames, pages);
  const std::vector<std::string> calls = TakeLoggedCalls();
  if (!known || !*known || pages.subtrees().size() != stored.size()) return -4;
  return std::count(calls.begin(), calls.end(), "pread64");
}

// [DRT-2] Three parts of 1 TiB are in use. To read the page tables of all would be 524,288 reads.
// What traps calls cannot be ended, so that it is a child that makes them.
TEST(DirtyCalls, OnlyPageTablesOfWhatIsInUseAreRead) {
  const std::vector<uint64_t> stored = {kGiantBytes, 500 * kGiantBytes, 1000 * kGiantBytes};
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int64_t reads = ReadsOfACollect(stored);
    _exit(write(ends[1], &reads, sizeof reads) == sizeof reads ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  int64_t reads = 0;
  ASSERT_EQ(read(ends[0], &reads, sizeof reads), static_cast<ssize_t>(sizeof reads));
  close(ends[0]);
  close(ends[1]);
  EXPECT_GE(reads, 3) << "below 0: see ReadsOfACollect()";
  EXPECT_LE(reads, static_cast<int64_t>(stored.size() * kPartBytes / kSubtreeBytes));
}

}  // namespace
}  // namespace morsel::os
