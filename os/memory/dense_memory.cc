#include "os/memory/dense_memory.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/bits.h"
#include "base/mutex.h"
#include "base/units.h"

namespace morsel::os {
namespace {

/// Pieces of it are mapped, of which the kernel provides pages as they are touched. The first has
/// small pages, since most processes need little of it; those that come later have huge ones.
///
/// Objects of one size lie side by side, at a distance of an odd number of lines. So the same field
/// of all of them goes into all sets of the processor's caches, and not into some few.
class SideBySide final : public DenseSource {
 public:
  void* Take(size_t size_bytes) override {
    const size_t lines = LinesFor(size_bytes);
    if (lines > kLinesMax) {
      return ::operator new (size_bytes, std::align_val_t{kLineBytes}, std::nothrow);
    }
    const std::lock_guard lock(mutex_);
    OfSize& of = sizes_[lines];
    if (Given* const given = of.given; given != nullptr) {
      of.given = given->next;
      return given;
    }
    if (of.left == 0 && !AddBatch(of, lines)) return nullptr;
    char* const taken = of.next;
    of.next += lines * kLineBytes;
    --of.left;
    return taken;
  }

  void Give(void* memory, size_t size_bytes) override {
    if (memory == nullptr) return;
    const size_t lines = LinesFor(size_bytes);
    if (lines > kLinesMax) return ::operator delete (memory, std::align_val_t{kLineBytes});
    const std::lock_guard lock(mutex_);
    OfSize& of = sizes_[lines];
    of.given = new (memory) Given{of.given};
  }

 private:
  static constexpr size_t kPieceBytes = 2 * kMiB;  ///< a huge page
  static constexpr size_t kLinesMax = 255;
  static constexpr size_t kBatchMax = 64;

  struct Given {
    Given* next;
  };
  struct OfSize {
    Given* given = nullptr;
    char* next = nullptr;  ///< what was never taken
    size_t left = 0;       ///< how many objects from there on
    size_t batch = 0;      ///< how many were made room for last
  };

  static size_t LinesFor(size_t size_bytes) { return DivideUp(size_bytes, kLineBytes) | 1; }

  // Makes room for twice as many objects as the last time, up to a limit, or for as many as there
  // is room for.
  bool AddBatch(OfSize& of, size_t lines) {
    if (lines > left_ && !Map()) return false;
    of.batch = std::clamp<size_t>(2 * of.batch, 1, std::min(kBatchMax, left_ / lines));
    of.next = next_;
    of.left = of.batch;
    next_ += of.batch * lines * kLineBytes;
    left_ -= of.batch * lines;
    return true;
  }

  bool Map() {
    void* const memory = mmap(nullptr, 2 * kPieceBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    char* const begin = static_cast<char*>(memory);
    char* const piece =
        reinterpret_cast<char*>(AlignUp(reinterpret_cast<uint64_t>(memory), uint64_t{kPieceBytes}));
    if (piece > begin) (void)munmap(begin, static_cast<size_t>(piece - begin));
    (void)munmap(piece + kPieceBytes, static_cast<size_t>(begin + kPieceBytes - piece));
    if (next_ != nullptr) (void)madvise(piece, kPieceBytes, MADV_HUGEPAGE);
    next_ = piece;
    left_ = kPieceBytes / kLineBytes;
    return true;
  }

  Mutex mutex_{LockRank::kDenseMemory};
  std::array<OfSize, kLinesMax + 1> sizes_{};
  char* next_ = nullptr;  ///< the rest of the piece
  size_t left_ = 0;       ///< in lines
};

#if defined(__SANITIZE_ADDRESS__)
class Seen final : public DenseSource {
 public:
  void* Take(size_t size_bytes) override {
    return ::operator new (size_bytes, std::align_val_t{kLineBytes}, std::nothrow);
  }
  void Give(void* memory, size_t) override {
    ::operator delete (memory, std::align_val_t{kLineBytes});
  }
};
using Own = Seen;
#else
using Own = SideBySide;
#endif

std::atomic<DenseSource*> tests{nullptr};

// Another thread of the parent may have had the mutex, so that the child begins anew. What is in
// the parent's lists stays unused there.
DenseSource*& TheOwn() {
  static DenseSource* own = new Own;  // outlives every static of the program
  static const int watched = pthread_atfork(nullptr, nullptr, [] { TheOwn() = new Own; });
  (void)watched;
  return own;
}

}  // namespace

DenseSource& TheDenseSource() {
  DenseSource* const first = tests.load(std::memory_order_acquire);
  return first != nullptr ? *first : *TheOwn();
}

void SetDenseSourceForTest(DenseSource* source) { tests.store(source, std::memory_order_release); }

}  // namespace morsel::os
