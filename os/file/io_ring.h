// Several reads and writes of one file in flight: io_uring, or what stands in for it.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>

namespace morsel::pmem {

/// Ownership  destroyed only when nothing is in flight.
/// Threads    one.
class IoRing {
 public:
  struct Request {
    bool writes;
    void* bytes;
    uint32_t size_bytes;
    int64_t offset;
    uint64_t tag;  ///< the completion's
    int buffer;    ///< which registered buffer `bytes` lies in; negative: none
  };
  struct Completion {
    uint64_t tag;
    int64_t result;  ///< bytes read or written, or -errno
  };
  virtual ~IoRing() = default;

  /// Starts a request; at most the ring's depth are in flight. 0, or -errno: it was not started.
  virtual int Submit(const Request& request) = 0;

  /// Waits for one of those in flight, in any order. A sync covers what was waited for.
  virtual Completion Wait() = 0;

  /// One of those in flight is over: Wait() does not wait.
  virtual bool HasCompletion() const = 0;
};

/// What is asked of a ring.
struct IoRingSetup {
  int file;
  bool writes;  ///< else reads only
  unsigned depth;
  const iovec* buffers;  ///< to be registered; a kernel that will not is served without
  unsigned buffer_count;
};

/// The kernel's, past the page cache (O_DIRECT): offsets, lengths and addresses are multiples of
/// 4096. nullptr and errno where io_uring is not to be had (ENOSYS, EPERM ...) or the file system
/// refuses O_DIRECT (EINVAL).
std::unique_ptr<IoRing> OpenKernelRing(const IoRingSetup& setup);

}  // namespace morsel::pmem
