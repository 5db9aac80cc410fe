// Reads leaves, several in flight; decompresses them and holds them against their sums on several
// threads.
#pragma once

#include <deque>
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

namespace morsel::pmem::image {

/// All that is stored, or what Load() would refuse: without the sums behind leaves.
enum class Verified { kAll, kLoadable };

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
  /// what is in its frames is anything.
  /// Errors  kNoMemory; what the report answers.
  Status LoadIntact(const Tree& tree, char* frames,
                    const std::function<Status(SubtreePosition position, Status status)>& report,
                    const Progress& progress = {});

  /// Reports each leaf that is damaged or cannot be read, in a sentence, by position.
  /// Errors  kNoMemory.
  Status Verify(const Tree& tree, Verified what,
                const std::function<void(const char* message)>& report,
                const Progress& progress = {});

  /// Instead of all that: leaves one at a time, in memory of the caller's. The tree outlives it.
  /// Errors  kNoMemory.
  Status BeginSingly(const Tree& tree);
  /// Begins to read the leaf at `position`, which is present, into the 2 MiB at `leaf`: nobody
  /// else's until Await() of it, or Drain(). At most kAheadMax are begun.
  /// Errors  none of this
  /// leaf's: Await() tells them.
  Status Start(SubtreePosition position, char* leaf);
  /// Until the leaf is there, verified, with the pages that replace its own.
  /// Errors  kCorrupt, as Load(), and kIo: its 2 MiB are anything. Others can be awaited all the
  /// same.
  Status Await(SubtreePosition position);
  /// Nothing is begun any more.
  void Drain();
  static constexpr size_t kAheadMax = 5;

 private:
  /// A leaf, or a replaced page of one.
  struct Piece {
    SubtreePosition position;
    char* frame;            ///< where it is to be; nullptr: it is verified only
    uint64_t offset;        ///< in the file
    uint64_t stored_bytes;  ///< of a page its own, of a leaf see Entry
    Codec codec;
    Sum128 sum;
    bool is_page() const { return codec == Codec::kNone && stored_bytes == kPageBytes; }
  };
  struct Slot {
    Piece piece{};
    char* stored = nullptr;  ///< where it is read to
    char* memory = nullptr;  ///< that, where it is not the frame
    bool is_sound = false;   ///< set by the workers
    bool has_sums = true;    ///< the same: those behind the leaf are its own
  };
  /// A leaf that was begun singly.
  struct Single {
    char* leaf;
    unsigned pieces = 0;  ///< that are not there yet
    Code code = Code::kOk;
    std::string message;  ///< of the first failure
  };
  /// What becomes of a piece, a failure included: success, and the others are read.
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

  const File& file_;
  uint64_t base_;
  bool verifies_sums_ = false;
  bool verifies_ = false;       // what is read is verified only, the sums behind leaves, too
  const Tree* tree_ = nullptr;  // of leaves that are read singly
  std::map<SubtreePosition, Single> singles_;  // those that were begun
  ProgressMeter* meter_ = nullptr;             // of whoever is told
  uint64_t memory_bytes_ = 0;                  // of each piece of memory_
  Buffer memory_;                              // where what is not read into frames is read to
  std::vector<char*> free_memory_;             // of it
  std::vector<IoBuffer> buffers_;              // the same, as they are registered
  Buffer decoded_;                             // when verifying: a leaf for each thread
  std::vector<Decoder> decoders_;              // one for each thread, where there is memory
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
  std::deque<size_t> verifying_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<BlockIo> io_;
};

}  // namespace morsel::pmem::image
