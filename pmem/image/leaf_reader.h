// Reads leaves, several in flight; decompresses them and holds them against their sums on several
// threads.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "pmem/block_io.h"
#include "pmem/file.h"
#include "pmem/image/buffer.h"
#include "pmem/image/coder.h"
#include "pmem/image/progress.h"
#include "pmem/image/tree.h"
#include "pmem/image/workers.h"

namespace morsel::pmem::image {

/// Ownership  waits for what is in flight when destroyed.
/// Threads    one.
class LeafReader {
 public:
  /// `base` is the morsel's, for sentences.
  LeafReader(const File& file, uint64_t base) : file_(file), base_(base) {}
  ~LeafReader();
  LeafReader(const LeafReader&) = delete;
  LeafReader& operator=(const LeafReader&) = delete;

  /// Straight into zeroed memory, as long as the morsel.
  /// Errors  kCorrupt, naming the subtree, its address range and the offset; kIo; kNoMemory.
  Status Load(const Tree& tree, char* frames, const Progress& progress = {});

  /// Goes on where a leaf cannot be read or fails its sum: it is reported, with LastError(), and
  /// what is in its frames is anything. Errors  kNoMemory; what the report answers.
  Status LoadIntact(const Tree& tree, char* frames,
                    const std::function<Status(SubtreePosition position, Status status)>& report);

  /// Reports each leaf that is damaged or cannot be read, in a sentence, by position.
  /// Errors  kNoMemory.
  Status Verify(const Tree& tree, const std::function<void(const char* sentence)>& report,
                const Progress& progress = {});

 private:
  /// A leaf, or a replaced page of one.
  struct Piece {
    SubtreePosition position;
    uint64_t in_leaf;       ///< offset
    uint64_t offset;        ///< in the file
    uint64_t stored_bytes;  ///< of a page its own, of a leaf see Entry
    Codec codec;
    Sum128 sum;
    bool is_page() const { return codec == Codec::kNone && stored_bytes == kPageBytes; }
  };
  struct Slot {
    Piece piece{};
    char* stored = nullptr;  ///< where it is read to
    char* frame = nullptr;   ///< where it is to be; nullptr: it is verified only
    bool is_sound = false;   ///< set by the workers
  };
  /// What becomes of a failure: success, and the others are read.
  using Failed = std::function<Status(SubtreePosition position, Status status)>;

  Status Begin(uint64_t slot_bytes);
  Status ReadAll(const Tree& tree, const Failed& failed);
  Status Read(const Piece& piece, const Failed& failed);
  Status Finish(const Failed& failed);
  bool IsSound(const Slot& slot, unsigned thread);
  Status Advance(const Failed& failed);
  Status Judge(const Slot& slot) const;
  bool verifies() const { return frames_ == nullptr; }

  const File& file_;
  uint64_t base_;
  char* frames_ = nullptr;  // nullptr: what is read is verified only, the sums behind leaves, too
  ProgressMeter* meter_ = nullptr;  // of whoever is told
  uint64_t slot_bytes_ = 0;         // of memory_
  Buffer memory_;                   // where what is not read into frames is read to
  Buffer decoded_;                  // when verifying: a leaf for each thread
  std::vector<Decoder> decoders_;   // the same
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
  std::deque<size_t> verifying_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<BlockIo> io_;
};

}  // namespace morsel::pmem::image
