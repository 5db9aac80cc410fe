// Large reads and writes of one file, several in flight.
//
// Two engines: `uring`, io_uring past the page cache with registered buffers, and `plain`,
// pread(2) and pwrite(2) one after the other. The first is used where the kernel and the file
// system have it, the second elsewhere; MORSEL_IO=uring or MORSEL_IO=plain chooses one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::pmem {

/// Requests in flight at most: of large ones, which keep a disk busy, and of single pages, for
/// which it takes more.
inline constexpr unsigned kIoDepth = 8;
inline constexpr unsigned kPageIoDepth = 32;

/// Memory that requests may lie in.
struct IoBuffer {
  char* bytes = nullptr;
  uint64_t size_bytes = 0;
};

/// Offsets, lengths and addresses are multiples of 4096.
/// Ownership  waits for what is in flight when destroyed. The file outlives it; memory is not to be
///            touched from Start*() until Wait() has named its tag, or until Drain().
/// Threads    one.
class BlockIo {
 public:
  /// `buffers`: where the bytes of most requests lie. At most `depth` are in flight.
  /// Errors  kInvalidArgument: MORSEL_IO has no such engine; kUnsupported: it has to be uring,
  ///         which is not to be had; kNoMemory.
  static Result<std::unique_ptr<BlockIo>> Open(const File& file, bool writes,
                                               std::span<const IoBuffer> buffers,
                                               unsigned depth = kIoDepth);
  virtual ~BlockIo() = default;
  BlockIo(const BlockIo&) = delete;
  BlockIo& operator=(const BlockIo&) = delete;

  /// "uring" or "plain".
  virtual const char* engine() const = 0;

  /// Begins to write; fewer than depth() are in flight. `buffer`: which of the buffers; negative:
  /// none.
  /// Durability  none before a sync that follows its Wait().
  /// Errors      kNoSpace, kIo: it is not in flight.
  virtual Status StartWrite(const char* bytes, uint64_t size_bytes, uint64_t offset, int buffer,
                            uint64_t tag) = 0;
  /// Begins to read.
  /// Errors  kCorrupt where the file ends before; kIo: it is not in flight.
  virtual Status StartRead(char* bytes, uint64_t size_bytes, uint64_t offset, int buffer,
                           uint64_t tag) = 0;

  unsigned in_flight() const { return in_flight_; }
  unsigned depth() const { return depth_; }

  struct Done {
    uint64_t tag;
    Status status;  ///< kNoSpace, kCorrupt, kIo, as of File
  };
  /// Waits for one of those in flight, in any order. There is one.
  virtual Done Wait() = 0;

  /// One of those in flight is over: Wait() does not wait.
  virtual bool HasDone() const = 0;

  /// Waits for all that is in flight, whatever becomes of it.
  void Drain();

 protected:
  explicit BlockIo(unsigned depth) : depth_(depth) {}
  unsigned in_flight_ = 0;

 private:
  unsigned depth_;
};

}  // namespace morsel::pmem
