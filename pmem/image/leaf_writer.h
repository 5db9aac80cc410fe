// Writes leaves of a new generation, whole or as patches: copied, summed and compressed by several
// threads, several in flight.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/result.h"
#include "pmem/block_io.h"
#include "pmem/file.h"
#include "pmem/image/buffer.h"
#include "pmem/image/coder.h"
#include "pmem/image/space.h"
#include "pmem/image/tree.h"
#include "pmem/image/workers.h"
#include "pmem/page_set.h"

namespace morsel::pmem::image {

/// Where leaves come to lie depends on their order only, never on the threads or the disk.
/// Ownership  the destructor waits for what is in flight.
/// Threads    one.
class LeafWriter {
 public:
  /// `old` is the published generation; whole leaves are stored by `codec`. Extents are claimed
  /// from `space` and remembered in `written`.
  LeafWriter(const File& file, Space& space, const Tree& old, Codec codec,
             std::vector<Extent>& written)
      : file_(file), space_(space), old_(old), codec_(codec), written_(written) {}
  ~LeafWriter();
  LeafWriter(const LeafWriter&) = delete;
  LeafWriter& operator=(const LeafWriter&) = delete;

  /// At most `leaves` will be added to `tree`, whose rows have their length. `mostly_patches`:
  /// buffers are not made ready for large writes, which takes longer than a few small ones. Errors
  /// kNoMemory; as BlockIo::Open().
  Status Begin(uint64_t leaves, bool mostly_patches, Tree* tree);

  /// Sets the tree's leaf at `position` until Finish(): absent where the subtree is zero, the old
  /// one where that has its bytes, else one that is written. `dirty`: the pages that may have
  /// changed; nullptr: any. `touched`: the pages that are read; the others are zero. Later
  /// positions come later. Errors  kNoSpace, kIo, of this leaf or an earlier one.
  Status Add(SubtreePosition position, const char* subtree, const PageSet::Pages* dirty,
             const PageSet::Pages& touched);

  /// Durability  none before a sync.
  /// Errors      as Add().
  Status Finish();

 private:
  /// A bounce buffer: the list of patches, the pages, their sums. Behind it, where there is a
  /// codec, room for Encoded.
  struct Bounce {
    Patch list[kPatchesMax];
    char pages[kSubtreeBytes];
    PageSums sums;
  };
  /// A compressed leaf; its sums follow its last block.
  struct Encoded {
    char bytes[kEncodedBytesMax + kPageSumsBytes];
  };
  /// What is written of a slot.
  enum class Fate { kUndecided, kNothing, kPatches, kLeaf };
  struct Slot {
    SubtreePosition position;
    const char* subtree = nullptr;
    Entry old{};
    PageSet::Pages touched;
    std::vector<uint32_t> dirty;  ///< the pages that alone are copied, packed; none: all are
    Buffer memory;
    bool is_zero = false;  ///< set by the workers, of a whole leaf
    Sum128 sum;            ///< the same
    Fate fate = Fate::kUndecided;
    uint32_t encoded_bytes = 0;  ///< set by the workers, of a leaf that is to be; 0: as it is
    std::vector<Patch> merged;   ///< of patches that are to be
    Bounce* bounce() const { return reinterpret_cast<Bounce*>(memory.get()); }
    char* encoded() const { return memory.get() + sizeof(Bounce); }
  };

  Status MakeSlots(uint64_t leaves);
  void Work(Slot& slot, unsigned thread);
  static void Prepare(Slot& slot);
  static bool CopyWhole(const Slot& slot);
  Status Advance();
  void Decide(size_t slot);
  Fate FateOf(Slot& slot);
  Status Commit(size_t slot);
  Status WriteLeaf(size_t slot);
  Status WritePatches(size_t slot);
  bool FindChanged(Slot& slot) const;
  std::vector<Patch> Merged(const Slot& slot) const;
  Status Reap();
  Entry& EntryOf(SubtreePosition position);

  const File& file_;
  Space& space_;
  const Tree& old_;
  Codec codec_;
  std::vector<Extent>& written_;
  int BufferOf(size_t slot) const { return is_registered_ ? static_cast<int>(slot) : -1; }

  Tree* tree_ = nullptr;
  bool is_registered_ = false;
  std::vector<Slot> slots_;
  std::deque<size_t> prepared_;    // by the order of Add()
  std::deque<size_t> decided_;     // behind them, the same
  size_t decided_max_ = 1;         // as many as are compressed at a time
  std::vector<Encoder> encoders_;  // one for each thread
  std::vector<size_t> free_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<BlockIo> io_;
};

}  // namespace morsel::pmem::image
