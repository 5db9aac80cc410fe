// Large reads and writes of one file, several of them in flight.
//
// There are two engines. `uring` uses io_uring, bypasses the page cache and registers its buffers.
// `plain` makes one pread(2) or pwrite(2) after the other. `uring` is used where the kernel and the
// file system allow it, and `plain` elsewhere; MORSEL_IO=uring or MORSEL_IO=plain chooses one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::os {

/// How many requests are in flight at most: large ones, of which a few keep a disk busy, and single
/// pages, of which it takes more.
inline constexpr unsigned kIoDepth = 8;
inline constexpr unsigned kPageIoDepth = 32;

/// Memory that is registered with the kernel, so that requests with bytes in it cost less.
struct IoBuffer {
  char* bytes = nullptr;
  uint64_t size_bytes = 0;
};

/// Reads and writes of one file. A request begins with Start*() and ends when Wait() returns its
/// tag, or with Drain().
///
/// Ownership  the destructor waits for all requests in flight. The file outlives this object. The
///            memory of a request must not be touched until the request has ended.
/// Units      offsets, lengths and addresses are multiples of 4096.
/// Threads    one.
class BlockIo {
 public:
  /// Opens the engine that MORSEL_IO names, or the best that works. `buffers` is the memory that
  /// most requests will use. At most `depth` requests are in flight.
  /// Errors  kInvalidArgument: MORSEL_IO names no engine; kUnsupported: it names uring, which does
  ///         not work for this process or this file.
  static Result<std::unique_ptr<BlockIo>> Open(const File& file, bool writes,
                                               std::span<const IoBuffer> buffers,
                                               unsigned depth = kIoDepth);
  /// Opens the plain engine, whatever MORSEL_IO says: for a few blocks a ring costs more than it
  /// saves.
  /// Errors  kInvalidArgument: MORSEL_IO names no engine.
  static Result<std::unique_ptr<BlockIo>> OpenForFew(const File& file, unsigned depth);
  virtual ~BlockIo() = default;
  BlockIo(const BlockIo&) = delete;
  BlockIo& operator=(const BlockIo&) = delete;

  /// The engine's name: "uring" or "plain".
  virtual const char* engine() const = 0;

  /// Begins to write. Fewer than depth() requests may be in flight. `buffer` is the index of the
  /// buffer that the bytes lie in; negative if they lie in none.
  /// Durability  none before a sync that comes after the request's Wait().
  /// Errors      kNoSpace, kIo: the request is not in flight.
  virtual Status StartWrite(const char* bytes, uint64_t size_bytes, uint64_t offset, int buffer,
                            uint64_t tag) = 0;
  /// Begins to read. Fewer than depth() requests may be in flight. `buffer` is as for StartWrite().
  /// Errors  kCorrupt: the file ends before the bytes do (with uring an error of Wait()); kIo. The
  ///         request is not in flight.
  virtual Status StartRead(char* bytes, uint64_t size_bytes, uint64_t offset, int buffer,
                           uint64_t tag) = 0;

  unsigned in_flight() const { return in_flight_; }
  unsigned depth() const { return depth_; }

  /// A request that has ended.
  struct Done {
    uint64_t tag;
    Status status;  ///< a failure is kNoSpace, kCorrupt or kIo, as of File
  };
  /// Waits until one of the requests in flight is over, whichever that is, and returns it. At least
  /// one must be in flight.
  virtual Done Wait() = 0;

  /// Whether a request in flight is over, so that Wait() returns at once.
  virtual bool HasDone() const = 0;

  /// Waits for all requests in flight and ignores their failures. LastError() stays as it is.
  void Drain();

 protected:
  explicit BlockIo(unsigned depth) : depth_(depth) {}
  unsigned in_flight_ = 0;

 private:
  unsigned depth_;
};

}  // namespace morsel::os
