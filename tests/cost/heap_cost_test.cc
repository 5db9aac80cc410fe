// Counts flushed lines and fences of each heap operation and compares them with golden.md. They
// must be equal. A commit that makes an operation cheaper or dearer on purpose changes the table,
// too.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>

#include "alloc/heap/heap.h"
#include "base/bits.h"
#include "base/check.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kHeapBytes = 64 * kMiB;

struct Cost {
  uint64_t lines = 0;
  uint64_t fences = 0;
};

pmem::Persist CountInto(Cost* cost) {
  static constexpr pmem::PersistTable kTable = {
      .flush =
          [](void* context, const void* address, size_t size_bytes) {
            const uint64_t begin = reinterpret_cast<uint64_t>(address);
            static_cast<Cost*>(context)->lines +=
                (AlignUp(begin + size_bytes, kLineBytes) - AlignDown(begin, kLineBytes)) /
                kLineBytes;
          },
      .fence = [](void* context) { ++static_cast<Cost*>(context)->fences; },
  };
  return pmem::Persist(&kTable, cost);
}

class Table {
 public:
  Table()
      : memory_(mmap(nullptr, kHeapBytes + kSubtreeBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    place_.base =
        reinterpret_cast<void*>(AlignUp(reinterpret_cast<uint64_t>(memory_), kSubtreeBytes));
    place_.size_bytes = place_.capacity_bytes = kHeapBytes;
  }
  ~Table() { munmap(memory_, kHeapBytes + kSubtreeBytes); }

  void Row(const char* operation, const std::function<void()>& work) {
    cost_ = {};
    work();
    char row[128];
    std::snprintf(row, sizeof row, "| %-58s | %5llu | %6llu |\n", operation,
                  static_cast<unsigned long long>(cost_.lines),
                  static_cast<unsigned long long>(cost_.fences));
    text_ += row;
  }

  void Open() {
    heap_.reset();
    heap_ = Heap::Open(place_, CountInto(&cost_), true, false).value();
  }
  void Format() { FormatHeap(place_, 4096, CountInto(&cost_)); }
  Heap& heap() { return *heap_; }
  void* Allocate(uint64_t size_bytes) { return heap_->Allocate(size_bytes, 16).value(); }
  void Persist(void* block, uint64_t size_bytes) {
    MORSEL_CHECK(heap_->Flush(block, size_bytes).ok());
    heap_->Fence();
  }
  const std::string& text() const { return text_; }

 private:
  void* memory_;
  HeapPlace place_;
  Cost cost_;
  std::unique_ptr<Heap> heap_;
  std::string text_;
};

void SmallBlocks(Table& table) {
  void* small = nullptr;
  table.Row("malloc of 64 B, the first of its class", [&] { small = table.Allocate(64); });
  table.Row("persist of it", [&] { table.Persist(small, 64); });
  table.Row("persist of it again", [&] { table.Persist(small, 64); });
  void* next = nullptr;
  table.Row("malloc of 64 B", [&] { next = table.Allocate(64); });
  table.Row("persist of it", [&] { table.Persist(next, 64); });
  table.Row("free of it", [&] { table.heap().Free(next); });
  table.Row("malloc and free of 64 B, 1000 times", [&] {
    for (int i = 0; i < 1000; ++i) table.heap().Free(table.Allocate(64));
  });
  void* sixteen[16];
  for (void*& block : sixteen) block = table.Allocate(64);
  table.Row("flush of 16 new blocks of 64 B, and one fence", [&] {
    for (void* const block : sixteen) MORSEL_CHECK(table.heap().Flush(block, 64).ok());
    table.heap().Fence();
  });
  table.Row("malloc of 4 KiB, the first of its class", [&] { small = table.Allocate(4096); });
  table.Row("persist of it", [&] { table.Persist(small, 4096); });
  table.Row("persist of it again", [&] { table.Persist(small, 4096); });
  table.Row("realloc of 4 KiB to 4000 B, in place",
            [&] { (void)table.heap().Reallocate(small, 4000).value(); });
}

void Extents(Table& table) {
  void* extent = nullptr;
  table.Row("malloc of 1 MiB", [&] { extent = table.Allocate(kMiB); });
  table.Row("persist of 64 B in it", [&] { table.Persist(extent, 64); });
  table.Row("persist of 64 B in it again", [&] { table.Persist(extent, 64); });
  table.Row("realloc of it to 2 MiB, in place",
            [&] { EXPECT_EQ(table.heap().Reallocate(extent, 2 * kMiB).value(), extent); });
  table.Row("persist of 64 B in it", [&] { table.Persist(extent, 64); });
  table.Row("persist of all of it", [&] { table.Persist(extent, 2 * kMiB); });
  table.Row("free of it", [&] { table.heap().Free(extent); });
  table.Row("malloc of 1 MiB where it was", [&] { extent = table.Allocate(kMiB); });
  table.heap().Free(extent);
  table.Row("malloc of 100 B, the first of its class, where it was",
            [&] { (void)table.Allocate(100); });
}

void OpenAndClose(Table& table) {
  table.Row("settle after a malloc of 64 B", [&] {
    (void)table.Allocate(64);
    table.heap().StopTheWorld().FlushFrees();
  });
  table.Row("settle with nothing to do", [&] { table.heap().StopTheWorld().FlushFrees(); });
  table.Row("close", [&] { MORSEL_CHECK(table.heap().StopAndRelease().Close().ok()); });
  table.Row("open after a close", [&] { table.Open(); });
  table.Row("malloc of 64 B, the first after a close", [&] { (void)table.Allocate(64); });
  table.Row("open after a kill", [&] { table.Open(); });
  table.Row("malloc of 64 B, the first after a kill", [&] { (void)table.Allocate(64); });
}

TEST(HeapCost, MatchesTheGoldenTable) {
  Table table;
  table.Row("format of 64 MiB", [&] { table.Format(); });
  table.Row("open", [&] { table.Open(); });
  SmallBlocks(table);
  Extents(table);
  OpenAndClose(table);
  const char* const folder = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  const std::string root =
      folder != nullptr && workspace != nullptr ? std::string(folder) + "/" + workspace + "/" : "";
  std::ifstream file(root + "tests/cost/golden.md");
  ASSERT_TRUE(file) << root << "tests/cost/golden.md";
  std::stringstream golden;
  golden << file.rdbuf();
  std::string rows = golden.str();
  rows.erase(0, std::min(rows.find("| format"), rows.size()));
  rows.erase(std::min(rows.find("\n\n"), rows.size() - 1) + 1);  // a later table's
  EXPECT_EQ(rows, table.text());
}

}  // namespace
}  // namespace morsel::alloc
