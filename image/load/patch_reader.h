// Reads the pages that replace those of leaves: as they lie in the file, many with one read.
//
// They were written many at a time, and of many leaves: by leaf each would be a read of its own.
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

namespace morsel::pmem::image {

/// Ownership  waits for what is in flight when destroyed.
/// Threads    one.
class PatchReader {
 public:
  /// What becomes of a page, a failure included (LastError() says which): success, and the others
  /// are read.
  using Ended = std::function<Status(SubtreePosition position, Status status)>;

  /// `base` is the morsel's, for sentences.
  PatchReader(const File& file, uint64_t base) : file_(file), base_(base) {}
  ~PatchReader();
  PatchReader(const PatchReader&) = delete;
  PatchReader& operator=(const PatchReader&) = delete;

  /// Verifies all that count, and puts them into `frames`, where their leaves are; nullptr: they
  /// are verified only. A page that fails its sum is not put there.
  /// Errors  kNoMemory; what `ended` answers.
  Status Read(const Tree& tree, char* frames, const Ended& ended);

 private:
  static constexpr uint64_t kRunBytes = 256 * kKiB;
  static constexpr uint64_t kPagesPerRun = kRunBytes / kPageBytes;
  struct Page {
    uint64_t offset;  ///< in the file
    SubtreePosition position;
    const LivePatch* patch;
  };
  /// Pages [first, past) of pages_, and what lies between them.
  struct Run {
    size_t first = 0;
    size_t past = 0;
    char* memory = nullptr;
    std::bitset<kPagesPerRun> sound;  ///< by their order; set by the workers
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

  const File& file_;
  uint64_t base_;
  char* frames_ = nullptr;
  std::vector<Page> pages_;  // by offset
  Buffer memory_;
  std::vector<Run> runs_;
  std::vector<size_t> free_;
  std::deque<size_t> verifying_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<BlockIo> io_;
};

}  // namespace morsel::pmem::image
