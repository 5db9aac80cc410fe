#include "tests/crash/heap/heap_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc/heap/heap_memory_testing.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::crash {
namespace {

constexpr Workload kWorkload = {
    .slots = kSlotsMax,
    .whole_bytes_max = 64 * kKiB,
    .live_bytes_max = ~uint64_t{0},
    .operations_max = 4000,
    .takers_max = kThreadsMax,
    .giants = 8,
    .extents = 32,
    .middles = 120,
    // put, batch, drop, replace, reallocate, pass on, scratch, sweep, lose, settle, resize
    .weights = {330, 20, 290, 100, 80, 100, 65, 0, 5, 5, 5},
};

}  // namespace

HeapFile::HeapFile(const std::string& path, HeapLog& log)
    : CrashHeap(kWorkload, log.work, log.marks.bytes), heap_bytes_(log.heap_bytes) {
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
  if (is_new) alloc::FormatHeap(Place(), kSlotsMax * sizeof(uint64_t), pmem::VolatilePersist());
}

HeapFile::~HeapFile() {
  heap_.reset();
  munmap(base_, kHeapCapacityBytes);
}

alloc::HeapPlace HeapFile::Place() const {
  return {.base = base_,
          .size_bytes = heap_bytes_.load(),
          .capacity_bytes = kHeapCapacityBytes,
          .id = {7}};
}

std::string HeapFile::Open() {
  Result<std::unique_ptr<alloc::Heap>> heap =
      alloc::Heap::Open(Place(), pmem::VolatilePersist(), /*fine=*/true, /*read_only=*/false);
  if (!heap) return std::string("the heap does not open: ") + LastError();
  heap_ = std::move(heap).value();
  heap_->range().set_enlarge([this](uint64_t size_bytes) -> Result<uint64_t> {
    if (size_bytes > kHeapCapacityBytes) return Code::kNoSpace;
    heap_bytes_.store(size_bytes);
    return size_bytes;
  });
  return {};
}

std::string HeapFile::Close() {
  const Status status = heap_->StopAndRelease().Close();
  if (!status.ok()) return std::string("the heap does not close: ") + LastError();
  heap_.reset();
  return {};
}

void* HeapFile::BlockOf(const Result<void*>& block) {
  if (block) return *block;
  if (block.error() != Code::kNoSpace) Fail(log().failure, LastError());
  return nullptr;
}

void* HeapFile::Allocate(uint64_t size_bytes, Random& random) {
  const uint64_t alignment = random.OneIn(4) ? uint64_t{1} << random.Below(14) : 16;
  return BlockOf(heap_->Allocate(size_bytes, alignment));
}

void* HeapFile::Reallocate(void* block, uint64_t size_bytes) {
  return BlockOf(heap_->Reallocate(block, size_bytes));
}

void HeapFile::Flush(const void* address, uint64_t size_bytes) {
  if (!heap_->Flush(address, size_bytes).ok()) Fail(log().failure, LastError());
}

void HeapFile::Resize(Random& random) {
  const auto stopped = heap_->StopTheWorld();
  const uint64_t size_bytes = random.Between(1, 32) * kSubtreeBytes;
  if (size_bytes >= heap_->range().size_bytes()) return;
  if (stopped.Shrink(size_bytes).ok()) heap_bytes_.store(size_bytes);
}

void* HeapFile::Pointee(uint64_t slot) { return reinterpret_cast<void*>(pmem::Load(Slot(slot))); }

void HeapFile::Point(uint64_t slot, void* object) {
  heap_->facts().persist.Publish(Slot(slot), reinterpret_cast<uint64_t>(object));
}

std::string HeapFile::WhyInvalid() { return alloc::Findings(*heap_); }

std::vector<Block> HeapFile::Allocated() {
  (void)heap_->StopAndRelease().LiveBytes();  // empties the caches
  return AllocatedBlocks(base_, heap_->range().size_bytes());
}

}  // namespace morsel::crash
