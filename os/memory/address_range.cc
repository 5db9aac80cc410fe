#include "os/memory/address_range.h"

#include <sys/mman.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/mutex.h"
#include "os/memory/bus_error.h"

namespace morsel::os {
namespace {

struct Labelled {
  uint64_t end;
  std::string label;
};

// The labels of all ranges of the process, by base address, so that messages can name a conflict.
struct Directory {
  Mutex mutex{LockRank::kAddressRanges};
  std::map<uint64_t, Labelled> ranges;
};

Directory& ProcessRanges() {
  static Directory* const directory = new Directory;  // outlives every static of the program
  return *directory;
}

// The label of a range that overlaps [begin, end); empty if there is none.
std::string NameInDirectory(uint64_t begin, uint64_t end) {
  Directory& directory = ProcessRanges();
  std::lock_guard lock(directory.mutex);
  for (const auto& [base, labelled] : directory.ranges) {
    if (base < end && begin < labelled.end) return labelled.label;
  }
  return "";
}

// The first mapping of /proc/self/maps that overlaps [begin, end), as the kernel writes it.
std::string NameInMaps(uint64_t begin, uint64_t end) {
  const DescriptorFloor floor;
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) {
    return std::string("a mapping that is not known, since /proc/self/maps cannot be read (") +
           std::strerror(errno) + ")";
  }
  char line[512];
  std::string found = "an unknown mapping";
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    uint64_t from = 0;
    uint64_t to = 0;
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) != 2) continue;
    if (from < end && begin < to) {
      found = line;
      if (!found.empty() && found.back() == '\n') found.pop_back();
      found = "the mapping " + found;
      break;
    }
  }
  std::fclose(maps);
  return found;
}

constexpr int kNothing = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

}  // namespace

AddressRange::AddressRange(AddressRange&& other) noexcept
    : base_(std::exchange(other.base_, 0)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}

AddressRange& AddressRange::operator=(AddressRange&& other) noexcept {
  if (this != &other) {
    Release();
    base_ = std::exchange(other.base_, 0);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
  }
  return *this;
}

AddressRange::~AddressRange() { Release(); }

void AddressRange::Release() {
  if (size_bytes_ == 0) return;
  Directory& directory = ProcessRanges();
  std::lock_guard lock(directory.mutex);
  ForgetBusErrors(at(0), size_bytes_);
  munmap(reinterpret_cast<void*>(base_), size_bytes_);
  directory.ranges.erase(base_);
  base_ = size_bytes_ = 0;
}

void AddressRange::BeforeFork() { ProcessRanges().mutex.lock(); }

void AddressRange::AfterFork(bool child) {
  if (child) ProcessRanges().ranges.clear();
  ProcessRanges().mutex.unlock();
}

Result<AddressRange> AddressRange::Reserve(uint64_t base, uint64_t size_bytes, std::string label) {
  void* const want = reinterpret_cast<void*>(base);
  void* const got = mmap(want, size_bytes, PROT_NONE, kNothing | MAP_FIXED_NOREPLACE, -1, 0);
  if (got == MAP_FAILED && errno != EEXIST) {
    return FailErrno("the address range 0x%" PRIx64 "-0x%" PRIx64 " of %s cannot be reserved", base,
                     base + size_bytes, label.c_str());
  }
  if (got != want) {  // a kernel without MAP_FIXED_NOREPLACE takes the address as a hint
    if (got != MAP_FAILED) munmap(got, size_bytes);
    std::string holder = NameInDirectory(base, base + size_bytes);
    if (holder.empty()) holder = NameInMaps(base, base + size_bytes);
    return Fail(Code::kAddressTaken,
                "the address range 0x%" PRIx64 "-0x%" PRIx64
                " of %s is taken in this process by %s; "
                "close that first, or keep it out of the way",
                base, base + size_bytes, label.c_str(), holder.c_str());
  }
  if (madvise(got, size_bytes, MADV_DONTFORK) != 0) {
    const Status status = FailErrno("the range of %s cannot be kept from children", label.c_str());
    munmap(got, size_bytes);
    return status;
  }
  AddressRange range;
  range.base_ = base;
  range.size_bytes_ = size_bytes;
  Directory& directory = ProcessRanges();
  std::lock_guard lock(directory.mutex);
  directory.ranges[base] = {base + size_bytes, std::move(label)};
  return range;
}

Status AddressRange::Place(void* mapping, uint64_t offset, uint64_t size_bytes) {
  MORSEL_CHECK(offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  if (madvise(mapping, size_bytes, MADV_DONTFORK) != 0) {
    return FailErrno("a mapping of %" PRIu64 " bytes cannot be kept from children", size_bytes);
  }
  if (mremap(mapping, size_bytes, size_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at(offset)) ==
      MAP_FAILED) {
    return FailErrno("%" PRIu64 " bytes cannot be mapped at 0x%" PRIx64, size_bytes,
                     base_ + offset);
  }
  return Code::kOk;
}

Status AddressRange::Withdraw(uint64_t offset, uint64_t size_bytes) {
  MORSEL_CHECK(offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  void* const nothing = mmap(nullptr, size_bytes, PROT_NONE, kNothing, -1, 0);
  if (nothing == MAP_FAILED) {
    return FailErrno("%" PRIu64 " bytes at 0x%" PRIx64 " cannot be unmapped", size_bytes,
                     base_ + offset);
  }
  const Status status = Place(nothing, offset, size_bytes);
  if (!status.ok()) munmap(nothing, size_bytes);
  if (status.ok()) ForgetBusErrors(at(offset), size_bytes);
  return status;
}

}  // namespace morsel::os
