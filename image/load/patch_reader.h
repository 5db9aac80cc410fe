// Reads the pages that replace pages of leaves, in the order of the file, many with one read.
//
// A checkpoint writes the pages of many leaves next to each other. Reading them leaf by leaf would
// take a read for nearly each of them.
#pragma once

#include <bitset>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "image/format/tree.h"
#include "image/pipeline/buffer.h"
#include "image/pipeline/workers.h"
#include "os/file/block_io.h"
#include "os/file/file.h"

namespace morsel::image {

/// Reads the patches of one generation. An object serves one Read().
///
/// Ownership  the file outlives it. The destructor waits for what is in flight.
/// Threads    one.
class PatchReader {
 public:
  /// Called when a page of the leaf at `position` is done, with its failure if there was one, which
  /// LastError() explains. If it returns success, the others are read.
  using Ended = std::function<Status(SubtreePosition position, Status status)>;

  /// `base` is the morsel's; messages name addresses.
  PatchReader(const os::File& file, uint64_t base) : file_(file), base_(base) {}
  ~PatchReader();
  PatchReader(const PatchReader&) = delete;
  PatchReader& operator=(const PatchReader&) = delete;

  /// Reads and verifies all patches that count, and copies them into `frames`, which has their
  /// leaves already. If `frames` is nullptr, they are verified only. A page that fails its sum is
  /// not copied.
  /// Errors  kNoMemory; as BlockIo::Open(); what `ended` returns.
  Status Read(const Tree& tree, char* frames, const Ended& ended);

 private:
  static constexpr uint64_t kRunBytes = 256 * kKiB;
  static constexpr uint64_t kPagesPerRun = kRunBytes / kPageBytes;
  struct Page {
    uint64_t offset;  ///< in the file
    SubtreePosition position;
    const LivePatch* patch;
  };
  /// Pages [first, past) of pages_, which are read at once, with what lies between them.
  struct Run {
    size_t first = 0;
    size_t past = 0;
    char* memory = nullptr;
    std::bitset<kPagesPerRun> sound;  ///< set by the workers: bit i is about page first + i
  };

  void Collect(const Tree& tree);
  Status Begin();
  size_t EndOfRun(size_t first) const;
  Status Start(size_t first, size_t past);
  Status Advance(const Ended& ended);
  Status End(size_t run, const Ended& ended);
  void Verify(Run& run) const;
  Status ReadSingly(Run& run, const Ended& ended);
  Status Judge(const Page& page, bool is_sound) const;

  const os::File& file_;
  uint64_t base_;
  char* frames_ = nullptr;
  std::vector<Page> pages_;  // sorted by offset
  Buffer memory_;
  std::vector<Run> runs_;
  std::vector<size_t> free_;      // runs
  std::deque<size_t> verifying_;  // runs that the workers have, in the order of their reads
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<os::BlockIo> io_;
};

}  // namespace morsel::image
