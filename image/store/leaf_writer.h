// Writes whole leaves of a new generation, several in flight. Several threads copy and sum them,
// compare them with the old ones, and compress them.
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
#include "image/store/sums_writer.h"
#include "os/file/block_io.h"
#include "os/file/file.h"

namespace morsel::image {

/// Where leaves are written to, and how.
struct LeafTarget {
  const os::File& file;
  Space& space;                      ///< extents are claimed from it
  std::vector<FileExtent>& written;  ///< extents that were claimed are added here
  uint64_t generation;               ///< the new one
  Codec codec;
};

/// Writes leaves in the order in which they are added. Where the leaves of a new image lie depends
/// on that order only, not on the threads or the disk.
/// Ownership  all that it is made with outlives it. The destructor waits for what is in flight.
/// Threads    one.
class LeafWriter {
 public:
  /// `old` is the published generation. Leaves are added to `tree`, which has its tables already.
  /// Where only some pages of a leaf differ, they are added to `patches`. expected_leaves says
  /// about how many calls of Add() or AddTaken() will come.
  LeafWriter(const LeafTarget& target, const Tree& old, PatchWriter& patches, Tree& tree,
             uint64_t expected_leaves)
      : target_(target),
        old_(old),
        patches_(patches),
        tree_(tree),
        expected_(expected_leaves),
        sums_(target.file, target.space, target.written) {}
  ~LeafWriter();
  LeafWriter(const LeafWriter&) = delete;
  LeafWriter& operator=(const LeafWriter&) = delete;

  /// Adds the subtree at `position`; positions ascend from call to call. `touched` says which pages
  /// of it are read; the others are zero. After Finish() the tree has at `position`:
  ///   no leaf            if the subtree is zero
  ///   the old leaf       if it has the same bytes
  ///   the same, with listed pages   if a few pages differ, and `compares` is set
  ///   a new leaf         otherwise
  /// Ownership  `subtree` is read until Finish().
  /// Errors     kNoSpace, kIo, of this leaf or an earlier one; kNoMemory; as BlockIo::Open().
  Status Add(SubtreePosition position, const char* subtree, const os::PageSet::Pages& touched,
             bool compares);

  /// Returns 2 MiB for the caller to fill with a leaf. Nobody else touches them before AddTaken().
  /// At most kTakenMax may be taken and not added.
  /// Errors  as Add().
  Result<char*> Take();
  static constexpr size_t kTakenMax = 5;

  /// Adds the leaf that was taken first, as Add() does, with all pages touched. The old generation
  /// has no leaf at `position`.
  Status AddTaken(SubtreePosition position);

  /// Writes what is left, and waits until all is written.
  /// Durability  none before a sync.
  /// Errors      as Add().
  Status Finish();

 private:
  /// For fewer leaves the buffers are not registered, which would take longer than it saves.
  static constexpr uint64_t kRegisteredLeavesMin = 16;
  /// A bounce buffer: the pages and their sums. If there is a codec, an Encoded lies behind it.
  struct Bounce {
    char pages[kSubtreeBytes];
    PageSums sums;
  };
  /// Room for a compressed leaf.
  struct Encoded {
    char bytes[kEncodedBytesMax];
  };
  /// kDone: nothing is to be written.
  enum class Fate { kUndecided, kDone, kWrite };
  /// A leaf on its way: prepared by the workers, then decided, compressed and written.
  struct Slot {
    SubtreePosition position;
    const char* subtree = nullptr;
    Entry old{};
    os::PageSet::Pages touched;
    Buffer memory;
    bool compares = false;       ///< old_sums are known
    PageSums old_sums;           ///< of the old leaf's pages, or of those that replace them
    bool is_zero = false;        ///< set by the workers
    Sum128 sum;                  ///< set by the workers
    os::PageSet::Pages changed;  ///< set by the workers if it compares
    bool is_copied = false;      ///< set by the workers: the bounce buffer has its pages
    Fate fate = Fate::kUndecided;
    uint32_t encoded_bytes = 0;  ///< set by the workers; 0: it is stored as it is
    size_t writes_left = 0;      ///< requests that are to end before it is free
    Bounce* bounce() const { return reinterpret_cast<Bounce*>(memory.get()); }
    char* encoded() const { return memory.get() + sizeof(Bounce); }
  };

  Status Begin();
  Status BeginWriting();
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
  Status Write(size_t slot);
  Status WriteWithHoles(size_t slot, uint64_t offset);
  Status Reap();
  bool encodes() const { return target_.codec != Codec::kNone; }
  uint64_t slot_bytes() const { return sizeof(Bounce) + (encodes() ? sizeof(Encoded) : 0); }
  bool is_registered() const { return expected_ >= kRegisteredLeavesMin; }
  int BufferOf(size_t slot) const { return is_registered() ? static_cast<int>(slot) : -1; }
  unsigned in_flight() const { return io_ != nullptr ? io_->in_flight() : 0; }

  LeafTarget target_;
  const Tree& old_;
  PatchWriter& patches_;
  Tree& tree_;
  uint64_t expected_;  // leaves
  std::vector<Slot> slots_;
  std::deque<size_t> taken_;       // slots that the caller fills, in the order of Take()
  std::deque<size_t> prepared_;    // slots whose fate is not decided, in the order of Add()
  std::deque<size_t> decided_;     // slots that are to be written, added before those of prepared_
  size_t decided_max_ = 1;         // how many are compressed at a time
  std::vector<size_t> free_;       // slots
  std::vector<Encoder> encoders_;  // one for each thread
  SumsWriter sums_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<os::BlockIo> io_;  // from the first write on
  /// From here on the file had no bytes before the first write, so that what is not written is
  /// zero.
  uint64_t fresh_from_ = 0;
};

}  // namespace morsel::image
