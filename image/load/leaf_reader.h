// Reads leaves, several in flight. Several threads decompress them and hold them against their
// sums.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/format/tree.h"
#include "image/pipeline/buffer.h"
#include "image/pipeline/coder.h"
#include "image/pipeline/progress.h"
#include "image/pipeline/workers.h"
#include "os/file/block_io.h"
#include "os/file/file.h"

namespace morsel::image {

/// What Verify() looks at: all that is stored, or only what Load() reads. Load() does not read the
/// page sums of leaves.
enum class Verified { kAll, kLoadable };

/// Reads leaves of one generation. An object serves one Load(), LoadIntact() or Verify(), or else
/// one BeginSingly() and the calls that follow it.
///
/// Ownership  the file outlives it. The destructor waits for what is in flight.
/// Threads    one.
class LeafReader {
 public:
  /// `base` is the morsel's; messages name addresses. What a leaf has in the places of `unsettled`
  /// is not looked at: a settle may have been cut off there.
  LeafReader(const os::File& file, uint64_t base, const UnsettledPages& unsettled)
      : file_(file), base_(base), unsettled_(unsettled) {}
  ~LeafReader();
  LeafReader(const LeafReader&) = delete;
  LeafReader& operator=(const LeafReader&) = delete;

  /// Reads all leaves into `frames`, zeroed memory that is as long as the morsel.
  /// Leaves that are not compressed are read straight into it.
  /// Errors  kCorrupt, naming the subtree, its address range and the offset; kIo; kNoMemory; as
  ///         BlockIo::Open().
  Status Load(const Tree& tree, char* frames, const Progress& progress = {});

  /// As Load(), but goes on where a leaf cannot be read or fails its sum. `report` is
  /// called for each, with LastError(); what `frames` has of such a subtree may be anything.
  /// Errors  kNoMemory; as BlockIo::Open(); what `report` returns.
  Status LoadIntact(const Tree& tree, char* frames,
                    const std::function<Status(SubtreePosition position, Status status)>& report,
                    const Progress& progress = {});

  /// Reads all leaves and keeps none. At the end, `report` is called with a message for
  /// each subtree that is damaged or cannot be read, in the order of their positions.
  /// Errors  kNoMemory; as BlockIo::Open().
  Status Verify(const Tree& tree, Verified what,
                const std::function<void(SubtreePosition position, const char* message)>& report,
                const Progress& progress = {});

  /// Prepares to read leaves one by one into the caller's memory, in place of Load().
  /// Ownership  `tree` outlives the reader.
  /// Errors     kNoMemory; as BlockIo::Open().
  Status BeginSingly(const Tree& tree);
  /// Begins to read the leaf at `position`, which is present, into the 2 MiB at `leaf`. The caller
  /// does not touch them before Await() of this leaf or Drain(). At most kAheadMax leaves may be
  /// begun and not awaited.
  /// Errors  none of this leaf: Await() returns them.
  Status Start(SubtreePosition position, char* leaf);
  /// Waits until the leaf is read and verified.
  /// Errors  kCorrupt, as Load(), and kIo: the 2 MiB may hold anything. Other leaves can be awaited
  ///         all the same.
  Status Await(SubtreePosition position);
  /// Waits for the leaves that were begun, and forgets them.
  void Drain();
  static constexpr size_t kAheadMax = 5;

 private:
  /// A leaf, or its page sums.
  struct Piece {
    SubtreePosition position;
    char* frame;            ///< where its bytes are to be; nullptr: it is verified only
    uint64_t offset;        ///< in the file
    uint64_t sums_offset;   ///< likewise, of a leaf's page sums
    uint64_t stored_bytes;  ///< of sums kPageSumsBytes, of a leaf see Entry
    Codec codec;
    Sum128 sum;
    bool is_sums() const { return codec == Codec::kNone && stored_bytes == kPageSumsBytes; }
    uint64_t frame_bytes() const { return is_sums() ? 0 : kSubtreeBytes; }
  };
  /// A piece that is being read or verified.
  struct Slot {
    Piece piece{};
    char* stored = nullptr;  ///< where its bytes are read to
    char* memory = nullptr;  ///< the same, if that is a part of memory_; nullptr: it is the frame
    bool is_sound = false;   ///< set by the workers: its sum is right
  };
  /// A leaf that Start() has begun.
  struct Single {
    char* leaf;
    bool is_done = false;
    Code code = Code::kOk;
    std::string message;  ///< of the first failure
  };
  /// Called when a piece is done, with its failure if there was one. If it returns success, reading
  /// goes on.
  using Ended = std::function<Status(SubtreePosition position, Status status)>;

  static Piece PieceOf(SubtreePosition position, const Entry& leaf, char* frame);
  Status Begin(size_t memories, uint64_t memory_bytes);
  Status BeginMemory(size_t memories, uint64_t memory_bytes, unsigned threads);
  Status LoadAll(const Tree& tree, char* frames, const Ended& ended, const Progress& progress);
  Status ReadAll(const Tree& tree, char* frames, const Ended& ended);
  Status ReadAllSums(const Tree& tree, const Ended& ended);
  Status Read(const Piece& piece, const Ended& ended);
  Status Finish(const Ended& ended);
  Ended EndedSingly();
  void Look(Slot& slot, unsigned thread);
  Status Advance(const Ended& ended);
  Status End(size_t slot, const Status& status, const Ended& ended);
  Status Judge(const Slot& slot) const;
  bool IsSoundElsewhere(const Slot& slot) const;

  const os::File& file_;
  uint64_t base_;
  const UnsettledPages& unsettled_;
  bool verifies_ = false;                      // what is read is verified and not kept
  const Tree* tree_ = nullptr;                 // of leaves that are read one by one
  std::map<SubtreePosition, Single> singles_;  // leaves that were begun and not awaited
  ProgressMeter* meter_ = nullptr;             // nullptr while leaves are read one by one
  uint64_t memory_bytes_ = 0;                  // size of each part of memory_
  Buffer memory_;                              // for what is not read straight into frames
  std::vector<char*> free_memory_;             // the parts of memory_ that no slot has
  std::vector<os::IoBuffer> buffers_;          // all parts of memory_, to be registered
  Buffer decoded_;                             // when verifying: a leaf for each thread
  std::vector<Decoder> decoders_;              // one for each thread, if there is memory_
  std::vector<PageSums> sums_;                 // of the leaf that a thread verifies, by thread
  std::vector<Slot> slots_;
  std::vector<size_t> free_;       // slots
  std::vector<size_t> verifying_;  // slots that the workers have, in the order of their reads
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<os::BlockIo> io_;
};

}  // namespace morsel::image
