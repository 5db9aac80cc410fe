#include "tests/crash/heap/heap_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "alloc/heap/heap_testing.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::crash {
namespace {

/// Up to here all bytes are written; beyond, pieces of kPieceBytes.
constexpr uint64_t kWholeBytesMax = 64 * kKiB;
constexpr uint64_t kPieceBytes = 4 * kKiB;
constexpr uint64_t kPieces = 8;

// Calls `visit(offset, object)` for the parts that are written, each like an object of its own.
template <class Visit>
void ForEachPart(const Object& object, Visit visit) {
  if (object.size_bytes <= kWholeBytesMax) return visit(0, object);
  Object part = object;
  part.size_bytes = kPieceBytes;
  for (uint64_t i = 0; i < kPieces; ++i) {
    part.seed = object.seed + i;
    visit((object.size_bytes - kPieceBytes) / (kPieces - 1) * i, part);
  }
}

}  // namespace

HeapFile::HeapFile(const std::string& path, HeapLog& log) : log_(log) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) Die("'%s' cannot be opened: %m", path.c_str());
  const bool is_new = lseek(descriptor, 0, SEEK_END) == 0;
  if (ftruncate(descriptor, kHeapCapacityBytes) != 0) Die("'%s' cannot grow: %m", path.c_str());
  void* const memory =
      mmap(reinterpret_cast<void*>(TestBase()), kHeapCapacityBytes, PROT_READ | PROT_WRITE,
           MAP_SHARED | MAP_FIXED_NOREPLACE, descriptor, 0);
  if (memory == MAP_FAILED) Die("'%s' cannot be mapped: %m", path.c_str());
  close(descriptor);
  base_ = static_cast<char*>(memory);
  if (is_new) {
    alloc::Heap::Format(Place(), kHeapSlots * sizeof(uint64_t), pmem::VolatilePersist());
  }
}

HeapFile::~HeapFile() {
  heap_.reset();
  munmap(base_, kHeapCapacityBytes);
}

alloc::HeapPlace HeapFile::Place() const {
  return {.base = base_,
          .size_bytes = log_.heap_bytes.load(),
          .capacity_bytes = kHeapCapacityBytes,
          .id = {7}};
}

std::string HeapFile::Open() {
  Result<std::unique_ptr<alloc::Heap>> heap =
      alloc::Heap::Open(Place(), pmem::VolatilePersist(), /*fine=*/true, /*read_only=*/false);
  if (!heap) return std::string("the heap does not open: ") + LastError();
  heap_ = std::move(heap).value();
  heap_->set_growth([this](uint64_t size_bytes) -> Result<uint64_t> {
    if (size_bytes > kHeapCapacityBytes) return Code::kNoSpace;
    log_.heap_bytes.store(size_bytes);
    return size_bytes;
  });
  return {};
}

std::string HeapFile::Close() {
  const Status status = heap_->Close();
  if (!status.ok()) return std::string("the heap does not close: ") + LastError();
  heap_.reset();
  return {};
}

std::vector<Block> HeapFile::Allocated() {
  (void)heap_->LiveBytes();  // empties the caches
  return AllocatedBlocks(base_, heap_->size_bytes());
}

void HeapFile::Write(void* at, const Object& object) {
  ForEachPart(object, [&](uint64_t offset, const Object& part) {
    WriteObject(static_cast<char*>(at) + offset, part);
  });
}

std::string HeapFile::Difference(const void* at, const Object& object, uint64_t size_bytes) {
  std::string difference;
  ForEachPart(object, [&](uint64_t offset, const Object& part) {
    if (!difference.empty() || offset >= size_bytes) return;
    const uint64_t left = std::min(part.size_bytes, size_bytes - offset);
    difference = PrefixDifference(static_cast<const char*>(at) + offset, part, left);
  });
  return difference;
}

}  // namespace morsel::crash
