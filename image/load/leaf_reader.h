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
/// page sums behind leaves.
enum class Verified { kAll, kLoadable };

/// Reads leaves of one generation. An object serves one Load(), LoadIntact() or Verify(), or else
/// one BeginSingly() and the calls that follow it.
///
/// Ownership  the file outlives it. The destructor waits for what is in flight.
/// Threads    one.
class LeafReader {
 public:
  /// `base` is the morsel's; messages name addresses.
  LeafReader(const os::File& file, uint64_t base) : file_(file), base_(base) {}
  ~LeafReader();
  LeafReader(const LeafReader&) = delete;
  LeafReader& operator=(const LeafReader&) = delete;

  /// Reads all leaves and patches into `frames`, zeroed memory that is as long as the morsel.
  /// Leaves that are not compressed are read straight into it.
  /// Errors  kCorrupt, naming the subtree, its address range and the offset; kIo; kNoMemory; as
  ///         BlockIo::Open().
  Status Load(const Tree& tree, char* frames, const Progress& progress = {});

  /// As Load(), but goes on where a leaf or a patch cannot be read or fails its sum. `report` is
  /// called for each, with LastError(); what `frames` has of such a subtree may be anything.
  /// Errors  kNoMemory; as BlockIo::Open(); what `report` returns.
  Status LoadIntact(const Tree& tree, char* frames,
                    const std::function<Status(SubtreePosition position, Status status)>& report,
                    const Progress& progress = {});

  /// Reads all leaves and patches and keeps none. At the end, `report` is called with a message for
  /// each subtree that is damaged or cannot be read, in the order of their positions.
  /// Errors  kNoMemory; as BlockIo::Open().
  Status Verify(const Tree& tree, Verified what,
                const std::function<void(const char* message)>& report,
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
  /// Waits until the leaf is read and verified, and its patches are in place.
  /// Errors  kCorrupt, as Load(), and kIo: the 2 MiB may hold anything. Other leaves can be awaited
  ///         all the same.
  Status Await(SubtreePosition position);
  /// Waits for the leaves that were begun, and forgets them.
  void Drain();
  static constexpr size_t kAheadMax = 5;

 private:
  /// A leaf, or a page that replaces one of its own.
  struct Piece {
    SubtreePosition position;
    char* frame;            ///< where its bytes are to be; nullptr: it is verified only
    uint64_t offset;        ///< in the file
    uint64_t stored_bytes;  ///< of a page kPageBytes, of a leaf see Entry
    Codec codec;
    Sum128 sum;
    bool is_page() const { return codec == Codec::kNone && stored_bytes == kPageBytes; }
  };
  /// A piece that is being read or verified.
  struct Slot {
    Piece piece{};
    char* stored = nullptr;  ///< where its bytes are read to
    char* memory = nullptr;  ///< the same, if that is a part of memory_; nullptr: it is the frame
    bool is_sound = false;   ///< set by the workers: its sum is right
    bool has_sums = true;    ///< set by the workers: the sums behind the leaf are its pages'
  };
  /// A leaf that Start() has begun.
  struct Single {
    char* leaf;
    unsigned pieces = 0;  ///< number of its pieces that are not done yet
    Code code = Code::kOk;
    std::string message;  ///< of the first failure
  };
  /// Called when a piece is done, with its failure if there was one. If it returns success, reading
  /// goes on.
  using Ended = std::function<Status(SubtreePosition position, Status status)>;

  static Piece PieceOf(SubtreePosition position, const Entry& leaf, char* frame);
  static Piece PieceOf(SubtreePosition position, const LivePatch& patch, char* frame);
  Status Begin(size_t memories, uint64_t memory_bytes);
  Status BeginMemory(size_t memories, uint64_t memory_bytes, unsigned threads);
  Status LoadAll(const Tree& tree, char* frames, const Ended& ended, const Progress& progress);
  Status ReadAll(const Tree& tree, char* frames, const Ended& ended);
  Status Read(const Piece& piece, const Ended& ended);
  Status Finish(const Ended& ended);
  Status ReadSingle(SubtreePosition position, Single& single);
  Ended EndedSingly();
  void Look(Slot& slot, unsigned thread);
  Status Advance(const Ended& ended);
  Status End(size_t slot, const Status& status, const Ended& ended);
  Status Judge(const Slot& slot) const;

  const os::File& file_;
  uint64_t base_;
  bool verifies_sums_ = false;                 // the sums behind leaves are read and verified, too
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
