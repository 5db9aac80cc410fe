#include "tests/crash/crash_heap.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>

#include "base/units.h"

namespace morsel::crash {
namespace {

/// What is written of an object that is not written as a whole.
constexpr uint64_t kPieceBytes = 4 * kKiB;
constexpr uint64_t kPieces = 8;

// Calls `visit(offset, object)` for the parts that are written, each like an object of its own.
template <class Visit>
void ForEachPart(const Object& object, uint64_t whole_bytes_max, Visit visit) {
  if (object.size_bytes <= whole_bytes_max) return visit(0, object);
  Object part = object;
  part.size_bytes = kPieceBytes;
  for (uint64_t i = 0; i < kPieces; ++i) {
    part.seed = object.seed + i;
    visit((object.size_bytes - kPieceBytes) / (kPieces - 1) * i, part);
  }
}

}  // namespace

uint8_t& CrashHeap::PlaceOf(const void* block) const {
  const auto offset =
      static_cast<size_t>(static_cast<const char*>(block) - static_cast<const char*>(base()));
  return marks_[offset / alloc::kBlockBytesMin];
}

void CrashHeap::Mark(const void* block, uint8_t mark) {
  std::atomic_ref(PlaceOf(block)).store(mark);
}

uint8_t CrashHeap::MarkOf(const void* block) const {
  return std::atomic_ref(PlaceOf(block)).load();
}

void CrashHeap::ClearMarks() {
  if (madvise(marks_.data(), marks_.size(), MADV_REMOVE) == 0) return;
  std::fill(marks_.begin(), marks_.end(), uint8_t{0});  // memory of a device gives no pages back
}

void CrashHeap::Write(void* at, const Object& object) const {
  ForEachPart(object, workload_.whole_bytes_max, [&](uint64_t offset, const Object& part) {
    WriteObject(static_cast<char*>(at) + offset, part);
  });
}

std::string CrashHeap::Difference(const void* at, const Object& object, uint64_t size_bytes) const {
  std::string difference;
  ForEachPart(object, workload_.whole_bytes_max, [&](uint64_t offset, const Object& part) {
    if (!difference.empty() || offset >= size_bytes) return;
    const uint64_t left = std::min(part.size_bytes, size_bytes - offset);
    difference = PrefixDifference(static_cast<const char*>(at) + offset, part, left);
  });
  return difference;
}

}  // namespace morsel::crash
