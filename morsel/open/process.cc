#include "morsel/open/process.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/descriptor_floor.h"
#include "base/mutex.h"
#include "base/units.h"
#include "os/file/files_of_this_process.h"
#include "os/memory/bus_error.h"
#include "os/memory/huge_thread.h"
#include "pmem/persist/pmem2_persist.h"

namespace morsel {
namespace {

// The process' table of addresses has the shape of a page table. Its top level has one entry for
// each 1 GiB of the 47-bit space: empty, a morsel (the lowest bit is clear), or a table of 2 MiB
// entries (the lowest bit is set). Tables are never freed, so that readers need no lock.
using Entry = std::atomic<uintptr_t>;
struct Table {
  Entry entries[kSubtreesPerGiant] = {};
  Table* next = nullptr;
};
Entry giants[kAddressEnd / kGiantBytes];
/// The list of all tables. Without it valgrind would report them as leaked, because the entries
/// point one byte into them.
Table* tables = nullptr;

Table* TableOf(uintptr_t entry) { return reinterpret_cast<Table*>(entry & ~uintptr_t{1}); }
bool IsTable(uintptr_t entry) { return (entry & 1) != 0; }

struct Range {
  uint64_t base;
  uint64_t size_bytes;
};
struct Opened {
  Mutex mutex{LockRank::kOpened};
  std::set<impl::Pool*> pools;
  std::set<const void*> handles;
  std::multiset<std::tuple<dev_t, ino_t, std::string>> names;  // that are open, and of which pool
  std::vector<Range> ranges;
};
Opened& AllOpened() {
  static Opened* const opened = new Opened;  // outlives every static of the program
  return *opened;
}

std::atomic<uint32_t> fork_count{0};
// 1 in the process that has set it, on a page that is empty in every child: also in one that was
// made by a raw clone(2), of which no handler is told. nullptr: there is no such page.
std::atomic<uint32_t>* same_process = nullptr;

void MakeSameProcess() {
  const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const page =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
    munmap(page, bytes);
    return;
  }
  same_process = new (page) std::atomic<uint32_t>(1);
}

Mutex& ForkGate() {
  static Mutex* const gate = new Mutex(LockRank::kForkGate);
  return *gate;
}

void Enter(uint64_t address, uintptr_t value) {
  Entry& giant = giants[address / kGiantBytes];
  uintptr_t entry = giant.load(std::memory_order_relaxed);
  if (!IsTable(entry)) {
    Table* const table = new Table;
    table->next = tables;
    tables = table;
    entry = reinterpret_cast<uintptr_t>(table) | 1;
    giant.store(entry, std::memory_order_release);
  }
  TableOf(entry)->entries[address / kSubtreeBytes % kSubtreesPerGiant].store(
      value, std::memory_order_release);
}

void Fill(uint64_t base, uint64_t size_bytes, uintptr_t value) {
  for (uint64_t address = base; address < base + size_bytes;) {
    Entry& giant = giants[address / kGiantBytes];
    const bool whole = address % kGiantBytes == 0 && base + size_bytes - address >= kGiantBytes;
    if (whole && !IsTable(giant.load(std::memory_order_relaxed))) {
      giant.store(value, std::memory_order_release);
      address += kGiantBytes;
    } else {
      Enter(address, value);
      address += kSubtreeBytes;
    }
  }
}

// Takes the locks that the child needs, so that they are free in it, whatever other threads do at
// the moment of the fork. The order is that of base/mutex.h.
void BeforeFork() {
  ForkGate().lock();
  AllOpened().mutex.lock();
  os::FilesBeforeFork();
  os::AddressRange::BeforeFork();
  os::BusErrorsBeforeFork();
  os::HugeThread::OfProcess().BeforeFork();
  pmem::Pmem2BeforeFork();
  DescriptorFloor::BeforeFork();
}

void InParent() {
  DescriptorFloor::AfterFork(/*child=*/false);
  pmem::Pmem2AfterFork(/*child=*/false);
  os::HugeThread::OfProcess().AfterFork(/*child=*/false);
  os::BusErrorsAfterFork(/*child=*/false);
  os::AddressRange::AfterFork(/*child=*/false);
  os::FilesAfterFork(/*child=*/false);
  AllOpened().mutex.unlock();
  ForkGate().unlock();
}

void InChild() {
  DescriptorFloor::AfterFork(/*child=*/true);
  pmem::Pmem2AfterFork(/*child=*/true);
  os::HugeThread::OfProcess().AfterFork(/*child=*/true);
  os::BusErrorsAfterFork(/*child=*/true);
  os::AddressRange::AfterFork(/*child=*/true);
  os::FilesAfterFork(/*child=*/true);
  Opened& opened = AllOpened();
  fork_count.fetch_add(1, std::memory_order_relaxed);
  if (same_process != nullptr) same_process->store(1, std::memory_order_relaxed);
  for (impl::Pool* pool : opened.pools) pool->CloseAfterFork();
  for (const Range& range : opened.ranges) Fill(range.base, range.size_bytes, 0);
  opened.pools.clear();
  opened.ranges.clear();
  opened.names.clear();
  opened.mutex.unlock();
  ForkGate().unlock();
}

void WatchForks() {
  static const int once = [] {
    MakeSameProcess();
    return pthread_atfork(BeforeFork, InParent, InChild);
  }();
  (void)once;
}

}  // namespace

uint32_t ForkCount() {
  if (same_process != nullptr && same_process->load(std::memory_order_relaxed) == 0 &&
      same_process->exchange(1) == 0) {
    fork_count.fetch_add(1);
  }
  return fork_count.load(std::memory_order_relaxed);
}

std::unique_lock<Mutex> KeepFromForking() {
  WatchForks();
  return std::unique_lock(ForkGate());
}

void RememberPool(impl::Pool* pool) {
  WatchForks();
  std::lock_guard lock(AllOpened().mutex);
  AllOpened().pools.insert(pool);
}

void ForgetPool(impl::Pool* pool) {
  std::lock_guard lock(AllOpened().mutex);
  AllOpened().pools.erase(pool);
}

void RememberHandle(const void* handle) {
  std::lock_guard lock(AllOpened().mutex);
  AllOpened().handles.insert(handle);
}

void ForgetHandle(const void* handle) {
  std::lock_guard lock(AllOpened().mutex);
  AllOpened().handles.erase(handle);
}

bool IsHandle(const void* handle) {
  std::lock_guard lock(AllOpened().mutex);
  return AllOpened().handles.contains(handle);
}

OpenName::OpenName(const FileIdentity& place, const std::string& name)
    : place_(place), name_(name) {
  std::lock_guard lock(AllOpened().mutex);
  AllOpened().names.insert({place_.device, place_.inode, name_});
}

// A forked child has forgotten its parent's already.
OpenName::~OpenName() {
  std::lock_guard lock(AllOpened().mutex);
  auto& names = AllOpened().names;
  const auto found = names.find({place_.device, place_.inode, name_});
  if (found != names.end()) names.erase(found);
}

bool IsOpenHere(const FileIdentity& place, const std::string& name) {
  std::lock_guard lock(AllOpened().mutex);
  return AllOpened().names.contains({place.device, place.inode, name});
}

void RememberRange(uint64_t base, uint64_t size_bytes, OpenMorsel* morsel) {
  std::lock_guard lock(AllOpened().mutex);
  AllOpened().ranges.push_back({base, size_bytes});
  Fill(base, size_bytes, reinterpret_cast<uintptr_t>(morsel));
}

void ForgetRange(uint64_t base, uint64_t size_bytes) {
  Opened& opened = AllOpened();
  std::lock_guard lock(opened.mutex);
  Fill(base, size_bytes, 0);
  std::erase_if(opened.ranges, [&](const Range& range) { return range.base == base; });
}

OpenMorsel* MorselAt(const void* address) {
  const uint64_t at = reinterpret_cast<uint64_t>(address);
  if (at >= kAddressEnd) return nullptr;
  uintptr_t entry = giants[at / kGiantBytes].load(std::memory_order_acquire);
  if (IsTable(entry)) {
    entry = TableOf(entry)->entries[at / kSubtreeBytes % kSubtreesPerGiant].load(
        std::memory_order_acquire);
  }
  return reinterpret_cast<OpenMorsel*>(entry);
}

}  // namespace morsel
