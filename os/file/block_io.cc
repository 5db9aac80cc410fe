#include "os/file/block_io.h"

#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/error.h"

namespace morsel::os {
namespace {

enum class Engine { kAny, kUring, kPlain };

Result<Engine> ChosenEngine() {
  const char* const set = std::getenv("MORSEL_IO");
  if (set == nullptr || *set == '\0' || std::strcmp(set, "auto") == 0) return Engine::kAny;
  if (std::strcmp(set, "uring") == 0) return Engine::kUring;
  if (std::strcmp(set, "plain") == 0) return Engine::kPlain;
  return Fail(Code::kInvalidArgument, "MORSEL_IO is '%s'; it must be auto, uring or plain", set);
}

class PlainBlockIo final : public BlockIo {
 public:
  PlainBlockIo(const File& file, unsigned depth) : BlockIo(depth), file_(file), tags_(depth) {}
  const char* engine() const override { return "plain"; }

  Status StartWrite(const char* bytes, uint64_t size_bytes, uint64_t offset, int,
                    uint64_t tag) override {
    MORSEL_TRY(file_.WriteAll(bytes, size_bytes, offset));
    return Begun(tag);
  }
  Status StartRead(char* bytes, uint64_t size_bytes, uint64_t offset, int, uint64_t tag) override {
    MORSEL_TRY(file_.ReadExactly(bytes, size_bytes, offset));
    return Begun(tag);
  }
  Done Wait() override {
    MORSEL_CHECK(in_flight_ > 0);
    return {tags_[--in_flight_], Code::kOk};
  }
  bool HasDone() const override { return in_flight_ > 0; }

 private:
  Status Begun(uint64_t tag) {
    MORSEL_CHECK(in_flight_ < depth());
    tags_[in_flight_++] = tag;
    return Code::kOk;
  }

  const File& file_;
  std::vector<uint64_t> tags_;  // of requests that are done and were not waited for
};

class RingBlockIo final : public BlockIo {
 public:
  RingBlockIo(const File& file, std::unique_ptr<IoRing> ring, unsigned depth)
      : BlockIo(depth), file_(file), ring_(std::move(ring)), pending_(depth) {}
  ~RingBlockIo() override { Drain(); }
  const char* engine() const override { return "uring"; }

  Status StartWrite(const char* bytes, uint64_t size_bytes, uint64_t offset, int buffer,
                    uint64_t tag) override {
    return Start(true, const_cast<char*>(bytes), size_bytes, offset, buffer, tag);
  }
  Status StartRead(char* bytes, uint64_t size_bytes, uint64_t offset, int buffer,
                   uint64_t tag) override {
    return Start(false, bytes, size_bytes, offset, buffer, tag);
  }

  Done Wait() override {
    MORSEL_CHECK(in_flight_ > 0);
    const IoRing::Completion completion = ring_->Wait();
    --in_flight_;
    Pending& pending = pending_[completion.tag];
    pending.is_used = false;
    return {pending.tag, Finish(pending.request, completion.result)};
  }
  bool HasDone() const override { return ring_->HasCompletion(); }

 private:
  struct Pending {
    bool is_used = false;
    uint64_t tag = 0;
    IoRing::Request request{};
  };

  Status Start(bool writes, char* bytes, uint64_t size_bytes, uint64_t offset, int buffer,
               uint64_t tag) {
    MORSEL_CHECK(in_flight_ < depth());
    uint64_t place = 0;
    while (pending_[place].is_used) ++place;
    const IoRing::Request request = {
        writes, bytes, static_cast<uint32_t>(size_bytes), static_cast<int64_t>(offset),
        place,  buffer};
    if (const int error = ring_->Submit(request); error != 0) return Failed(request, error);
    pending_[place] = {true, tag, request};
    ++in_flight_;
    return Code::kOk;
  }

  // Whether the kernel gave a request up for a reason that says nothing of the medium. ECANCELED:
  // signals kept it from creating the thread that was to do the work. EINVAL: the request does not
  // suit direct I/O.
  static bool WasGivenUp(int64_t result) {
    return result == -EINTR || result == -EAGAIN || result == -ECANCELED || result == -EINVAL;
  }

  Status Failed(const IoRing::Request& request, int64_t result) const {
    errno = static_cast<int>(-result);
    return FailErrno("'%s': %s %" PRIu32 " bytes at offset %" PRId64, file_.path().c_str(),
                     request.writes ? "writing" : "reading", request.size_bytes, request.offset);
  }

  // Finishes a request that fell short or was given up, with plain calls.
  Status Finish(const IoRing::Request& request, int64_t result) const {
    if (result == request.size_bytes) return Code::kOk;
    if (result < 0 && !WasGivenUp(result)) return Failed(request, result);
    const auto done = static_cast<uint64_t>(result < 0 ? 0 : result);
    char* const rest = static_cast<char*>(request.bytes) + done;
    const uint64_t rest_bytes = request.size_bytes - done;
    const uint64_t offset = static_cast<uint64_t>(request.offset) + done;
    return request.writes ? file_.WriteAll(rest, rest_bytes, offset)
                          : file_.ReadExactly(rest, rest_bytes, offset);
  }

  const File& file_;
  std::unique_ptr<IoRing> ring_;
  std::vector<Pending> pending_;
};

}  // namespace

void BlockIo::Drain() {
  const KeepLastError keep;
  while (in_flight_ > 0) (void)Wait();
}

Result<std::unique_ptr<BlockIo>> BlockIo::OpenForFew(const File& file, unsigned depth) {
  const Result<Engine> engine = ChosenEngine();
  if (!engine) return engine.status();
  return std::unique_ptr<BlockIo>(new PlainBlockIo(file, depth));
}

Result<std::unique_ptr<BlockIo>> BlockIo::Open(const File& file, bool writes,
                                               std::span<const IoBuffer> buffers, unsigned depth) {
  const Result<Engine> engine = ChosenEngine();
  if (!engine) return engine.status();
  if (*engine == Engine::kPlain) return std::unique_ptr<BlockIo>(new PlainBlockIo(file, depth));
  std::vector<iovec> vectors;
  for (const IoBuffer& buffer : buffers) vectors.push_back({buffer.bytes, buffer.size_bytes});
  std::unique_ptr<IoRing> ring =
      file.calls().OpenRing({.file = file.descriptor(),
                             .writes = writes,
                             .depth = depth,
                             .buffers = vectors.data(),
                             .buffer_count = static_cast<unsigned>(vectors.size())});
  if (ring != nullptr) {
    return std::unique_ptr<BlockIo>(new RingBlockIo(file, std::move(ring), depth));
  }
  if (*engine == Engine::kAny) return std::unique_ptr<BlockIo>(new PlainBlockIo(file, depth));
  const int error = errno;
  return Fail(Code::kUnsupported,
              "'%s': MORSEL_IO is uring, and io_uring with O_DIRECT is not to be had for it: %s; "
              "set MORSEL_IO=plain, or nothing",
              file.path().c_str(), std::strerror(error));
}

}  // namespace morsel::os
