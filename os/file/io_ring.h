// A ring: several reads and writes of one file in flight, by io_uring or by what a test puts in its
// place.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>

namespace morsel::os {

/// Ownership  destroyed only when nothing is in flight.
/// Threads    one.
class IoRing {
 public:
  struct Request {
    bool writes;
    void* bytes;
    uint32_t size_bytes;
    int64_t offset;
    uint64_t tag;  ///< repeated in the completion
    int buffer;    ///< index of the registered buffer that `bytes` lies in; negative: none
  };
  struct Completion {
    uint64_t tag;
    int64_t result;  ///< bytes read or written, or -errno
  };
  virtual ~IoRing() = default;

  /// Starts a request. Fewer requests than the ring's depth may be in flight.
  /// Errors  -errno if the request was not started; else 0.
  virtual int Submit(const Request& request) = 0;

  /// Waits until one of the requests in flight is over, whichever that is. At least one must be in
  /// flight.
  /// Durability  none. A sync covers only the writes that were waited for.
  virtual Completion Wait() = 0;

  /// Whether a request in flight is over, so that Wait() returns at once.
  virtual bool HasCompletion() const = 0;
};

/// What a ring is opened for.
struct IoRingSetup {
  int file;
  bool writes;  ///< false: the ring only reads
  unsigned depth;
  const iovec* buffers;  ///< registered with the kernel if it agrees; the ring works without
  unsigned buffer_count;
};

/// Opens an io_uring that bypasses the page cache (O_DIRECT).
/// Ownership  the ring has its own file description and registered buffers; the buffers' memory
///            outlives it.
/// Units      offsets, lengths and addresses of requests are multiples of 4096.
/// Errors     nullptr and errno: the process cannot have an io_uring (ENOSYS, EPERM ...), or the
///            file system refuses O_DIRECT (EINVAL).
std::unique_ptr<IoRing> OpenKernelRing(const IoRingSetup& setup);

}  // namespace morsel::os
