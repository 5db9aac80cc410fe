// The heap beside the C library's malloc, both in DRAM. What persist() costs is
// told apart from what a medium costs: lines are flushed where the processor
// can, as on persistent memory.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstdlib>
#include <memory>

#include "alloc/heap/heap.h"
#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace morsel::alloc {
namespace {

constexpr uint64_t kHeapBytes = kGiB;

// clflush is in every x86-64 processor; it also evicts the line, so that this is dearer than clwb.
pmem::Persist LinePersist() {
  static constexpr pmem::PersistTable kTable = {
      .flush =
          [](void*, const void* address, size_t size_bytes) {
#if defined(__x86_64__)
            const char* const end = static_cast<const char*>(address) + size_bytes;
            for (const char* line = reinterpret_cast<const char*>(
                     AlignDown(reinterpret_cast<uint64_t>(address), kLineBytes));
                 line < end; line += kLineBytes) {
              _mm_clflush(line);
            }
#else
            (void)address, (void)size_bytes;
#endif
          },
      .fence = [](void*) { std::atomic_thread_fence(std::memory_order_seq_cst); },
  };
  return pmem::Persist(&kTable, nullptr);
}

class FreshHeap {
 public:
  explicit FreshHeap(pmem::Persist persist)
      : memory_(mmap(nullptr, kHeapBytes + kGiantBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) std::abort();
    HeapPlace place;
    place.base = reinterpret_cast<void*>(AlignUp(reinterpret_cast<uint64_t>(memory_), kGiantBytes));
    place.size_bytes = place.capacity_bytes = kHeapBytes;
    FormatHeap(place, 4096, pmem::VolatilePersist());
    heap_ = Heap::Open(place, persist, true, false).value();
  }
  ~FreshHeap() {
    heap_.reset();
    munmap(memory_, kHeapBytes + kGiantBytes);
  }
  FreshHeap(const FreshHeap&) = delete;
  FreshHeap& operator=(const FreshHeap&) = delete;
  Heap* operator->() { return heap_.get(); }

 private:
  void* memory_;
  std::unique_ptr<Heap> heap_;
};

constexpr int kBatch = 1000;

void MorselMallocFree(benchmark::State& state) {
  FreshHeap heap(pmem::VolatilePersist());
  const uint64_t size_bytes = static_cast<uint64_t>(state.range(0));
  void* blocks[kBatch];
  for (auto _ : state) {
    for (void*& block : blocks) block = heap->Allocate(size_bytes, 16).value();
    for (void* const block : blocks) heap->Free(block);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(MorselMallocFree)->Arg(64)->Arg(1024);

void LibcMallocFree(benchmark::State& state) {
  const size_t size_bytes = static_cast<size_t>(state.range(0));
  void* blocks[kBatch];
  for (auto _ : state) {
    for (void*& block : blocks) benchmark::DoNotOptimize(block = std::malloc(size_bytes));
    for (void* const block : blocks) std::free(block);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(LibcMallocFree)->Arg(64)->Arg(1024);

void MorselMallocPersistFree(benchmark::State& state) {
  FreshHeap heap(LinePersist());
  void* blocks[kBatch];
  for (auto _ : state) {
    for (void*& block : blocks) {
      block = heap->Allocate(64, 16).value();
      MORSEL_CHECK(heap->Flush(block, 64).ok());
      heap->Fence();
    }
    for (void* const block : blocks) heap->Free(block);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(MorselMallocPersistFree);

void MorselPersistAgain(benchmark::State& state) {
  FreshHeap heap(LinePersist());
  void* const block = heap->Allocate(64, 16).value();
  for (auto _ : state) {
    MORSEL_CHECK(heap->Flush(block, 64).ok());
    heap->Fence();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(MorselPersistAgain);

}  // namespace
}  // namespace morsel::alloc
