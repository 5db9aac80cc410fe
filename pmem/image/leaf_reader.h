// Reads leaves, several in flight, and holds them against their sums on several threads.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "pmem/block_io.h"
#include "pmem/file.h"
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
  Status Load(const Tree& tree, char* frames);

  /// Reports each leaf that is damaged or cannot be read, in a sentence, by position.
  /// Errors  kNoMemory.
  Status Verify(const Tree& tree, const std::function<void(const char* sentence)>& report);

 private:
  /// A leaf, or a replaced page of one.
  struct Piece {
    SubtreePosition position;
    uint64_t in_leaf;  ///< offset
    uint64_t offset;   ///< in the file
    uint64_t size_bytes;
    Sum128 sum;
  };
  struct Slot {
    Piece piece{};
    char* to = nullptr;
    bool is_sound = false;  ///< set by the workers
  };
  using Place = std::function<char*(const Piece& piece, size_t slot)>;
  /// What becomes of a failure: success, and the others are read.
  using Failed = std::function<Status(SubtreePosition position, Status status)>;

  Status Begin(std::span<const IoBuffer> buffers);
  Status ReadAll(const Tree& tree, const Place& place, const Failed& failed);
  Status Read(const Piece& piece, const Place& place, const Failed& failed);
  Status Finish(const Failed& failed);
  bool IsSound(const Slot& slot) const;
  Status Advance(const Failed& failed);
  Status Judge(const Slot& slot) const;

  const File& file_;
  uint64_t base_;
  bool has_buffers_ = false;  // where the sums behind a leaf are read, too
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
  std::deque<size_t> verifying_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<BlockIo> io_;
};

}  // namespace morsel::pmem::image
