#include "os/file/io_ring.h"

#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/check.h"
#include "base/descriptor_floor.h"
#include "base/file_size_limit.h"

namespace morsel::os {
namespace {

/// The tag of a request that was not started: nobody waits for its completion.
constexpr uint64_t kNobody = ~uint64_t{0};

class KernelRing : public IoRing {
 public:
  KernelRing(const io_uring& ring, int file, bool has_buffers)
      : ring_(ring), file_(file), has_buffers_(has_buffers) {}
  ~KernelRing() override {
    io_uring_queue_exit(&ring_);
    close(file_);
  }

  int Submit(const Request& request) override {
    const auto offset = static_cast<uint64_t>(request.offset);
    if (request.writes && IsAboveFileSizeLimit(offset + request.size_bytes)) return -EFBIG;
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    MORSEL_CHECK(entry != nullptr);
    const bool fixed = has_buffers_ && request.buffer >= 0;
    if (fixed && request.writes) {
      io_uring_prep_write_fixed(entry, file_, request.bytes, request.size_bytes, offset,
                                request.buffer);
    } else if (fixed) {
      io_uring_prep_read_fixed(entry, file_, request.bytes, request.size_bytes, offset,
                               request.buffer);
    } else if (request.writes) {
      io_uring_prep_write(entry, file_, request.bytes, request.size_bytes, offset);
    } else {
      io_uring_prep_read(entry, file_, request.bytes, request.size_bytes, offset);
    }
    io_uring_sqe_set_data64(entry, request.tag);
    for (;;) {
      const int submitted = io_uring_submit(&ring_);
      if (submitted > 0) return 0;
      if (submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY) continue;
      if (submitted == 0) continue;
      // The entry stays in the queue, and the kernel takes it with the next request. The caller's
      // memory may be gone by then, so the entry becomes a no-op.
      io_uring_prep_nop(entry);
      io_uring_sqe_set_data64(entry, kNobody);
      return submitted;
    }
  }

  Completion Wait() override {
    for (;;) {
      io_uring_cqe* completed = nullptr;
      const int failed = io_uring_wait_cqe(&ring_, &completed);
      if (failed == -EINTR || failed == -EAGAIN) continue;
      // Go no further: nobody could tell when the kernel is done with the requests' memory.
      MORSEL_CHECK(failed == 0);
      const Completion completion = {completed->user_data, completed->res};
      io_uring_cqe_seen(&ring_, completed);
      if (completion.tag != kNobody) return completion;
    }
  }

  bool HasCompletion() const override { return io_uring_cq_ready(&ring_) > 0; }

 private:
  io_uring ring_;
  int file_;
  bool has_buffers_;
};

}  // namespace

std::unique_ptr<IoRing> OpenKernelRing(const IoRingSetup& setup) {
  // The ring gets its own file description. That of `file` keeps using the page cache, which suits
  // its small reads and writes.
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", setup.file);
  const DescriptorFloor floor;
  const int direct = open(path, (setup.writes ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
  if (direct < 0) return nullptr;
  io_uring ring;
  if (const int failed = io_uring_queue_init(setup.depth, &ring, 0); failed != 0) {
    close(direct);
    errno = -failed;
    return nullptr;
  }
  const bool registered = setup.buffer_count > 0 &&
                          io_uring_register_buffers(&ring, setup.buffers, setup.buffer_count) == 0;
  return std::make_unique<KernelRing>(ring, direct, registered);
}

}  // namespace morsel::os
