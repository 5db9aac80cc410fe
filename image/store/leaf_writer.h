// Writes whole leaves of a new generation: copied, summed, compared with the old ones and
// compressed by several threads, several in flight.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/result.h"
#include "image/format/space.h"
#include "image/format/tree.h"
#include "image/pipeline/buffer.h"
#include "image/pipeline/coder.h"
#include "image/pipeline/workers.h"
#include "image/store/patch_writer.h"
#include "os/file/block_io.h"
#include "os/file/file.h"

namespace morsel::pmem::image {

/// What leaves are written to, and how.
struct LeafTarget {
  const File& file;
  Space& space;                      ///< extents are claimed from it
  std::vector<FileExtent>& written;  ///< and remembered here
  uint64_t generation;               ///< the new one
  Codec codec;
};

/// Where the leaves of an image that is created come to lie depends on their order only, never on
/// the threads or the disk.
/// Ownership  the destructor waits for what is in flight.
/// Threads    one.
class LeafWriter {
 public:
  /// `old` is the published generation. Leaves are added to `tree`, which has its tables, pages
  /// that replace some of a leaf's own to `patches`. About expected_leaves will be.
  LeafWriter(const LeafTarget& target, const Tree& old, PatchWriter& patches, Tree& tree,
             uint64_t expected_leaves)
      : target_(target),
        old_(old),
        patches_(patches),
        tree_(tree),
        is_registered_(expected_leaves >= kRegisteredLeavesMin) {}
  ~LeafWriter();
  LeafWriter(const LeafWriter&) = delete;
  LeafWriter& operator=(const LeafWriter&) = delete;

  /// Sets the tree's leaf at `position` until Finish(): absent where the subtree is zero, the old
  /// one where that has its bytes, with some of its pages replaced where they differ by a few, else
  /// one that is written. `touched`: the pages that are read; the others are zero. `compacts`: the
  /// old one gets no more patches. Later positions come later.
  /// Errors  kNoSpace, kIo, of this leaf or an earlier one; kNoMemory; as BlockIo::Open().
  Status Add(SubtreePosition position, const char* subtree, const PageSet::Pages& touched,
             bool compacts);

  /// 2 MiB for the caller to fill with a leaf, nobody else's until AddTaken(). At most kTakenMax.
  /// Errors  as Add().
  Result<char*> Take();
  static constexpr size_t kTakenMax = 5;

  /// As Add(), all of it touched, of what was taken first. There is no old leaf.
  Status AddTaken(SubtreePosition position);

  /// Durability  none before a sync.
  /// Errors      as Add().
  Status Finish();

  /// What was written of leaves that were to get no more patches.
  uint64_t compacted_bytes() const { return compacted_bytes_; }

 private:
  /// Of fewer leaves the buffers are not registered: that takes longer than it saves.
  static constexpr uint64_t kRegisteredLeavesMin = 16;
  /// A bounce buffer: the pages, their sums. Behind it, where there is a codec, room for Encoded.
  struct Bounce {
    char pages[kSubtreeBytes];
    PageSums sums;
  };
  /// A compressed leaf; its sums follow its last block.
  struct Encoded {
    char bytes[kEncodedBytesMax + kPageSumsBytes];
  };
  enum class Fate { kUndecided, kDone, kWrite };
  struct Slot {
    SubtreePosition position;
    const char* subtree = nullptr;
    bool compacts = false;
    Entry old{};
    PageSet::Pages touched;
    Buffer memory;
    bool compares = false;  ///< old_sums are what the old leaf has, with what replaces its pages
    PageSums old_sums;
    bool is_zero = false;    ///< set by the workers
    Sum128 sum;              ///< the same
    PageSet::Pages changed;  ///< the same, where it compares
    bool is_copied = false;  ///< the same: the bounce buffer has its pages
    Fate fate = Fate::kUndecided;
    uint32_t encoded_bytes = 0;  ///< set by the workers; 0: it is stored as it is
    Bounce* bounce() const { return reinterpret_cast<Bounce*>(memory.get()); }
    char* encoded() const { return memory.get() + sizeof(Bounce); }
  };

  Status Begin();
  Status MakeSlots();
  Result<size_t> FreeSlot();
  void Work(Slot& slot, unsigned thread);
  static void Prepare(Slot& slot);
  static void Compare(Slot& slot);
  static void CopyAndSum(Slot& slot);
  static bool CopyWhole(const Slot& slot);
  Status Advance();
  Status Decide(size_t slot);
  Result<Fate> FateOf(Slot& slot);
  bool ReadOldSums(Slot& slot) const;
  void ForgetPatches(SubtreePosition position);
  Status Write(size_t slot);
  Status Reap();
  bool encodes() const { return target_.codec != Codec::kNone; }
  uint64_t slot_bytes() const { return sizeof(Bounce) + (encodes() ? sizeof(Encoded) : 0); }
  int BufferOf(size_t slot) const { return is_registered_ ? static_cast<int>(slot) : -1; }

  LeafTarget target_;
  const Tree& old_;
  PatchWriter& patches_;
  Tree& tree_;
  bool is_registered_;
  std::vector<Slot> slots_;
  std::deque<size_t> taken_;
  std::deque<size_t> prepared_;  // by the order of Add()
  std::deque<size_t> decided_;   // behind them, the same
  size_t decided_max_ = 1;       // as many as are compressed at a time
  std::vector<size_t> free_;
  std::vector<Encoder> encoders_;  // one for each thread
  uint64_t compacted_bytes_ = 0;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<BlockIo> io_;
};

}  // namespace morsel::pmem::image
