// pmem2_persist.h over the simulated medium. Every file is persistent memory of 64-byte lines, and
// the recorder sees its flushes and fences. This file is linked in place of pmem2_persist.cc.
#include <sys/mman.h>

#include <cinttypes>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "pmem/persist/pmem2_persist.h"
#include "sim/stores/recorder.h"
#include "sim/stores/watched_file.h"

namespace morsel::pmem {

Pmem2Mapping::Pmem2Mapping(Pmem2Mapping&& other) noexcept { *this = std::move(other); }

Pmem2Mapping& Pmem2Mapping::operator=(Pmem2Mapping&& other) noexcept {
  std::swap(number_, other.number_);
  std::swap(memory_, other.memory_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(granularity_bytes_, other.granularity_bytes_);
  std::swap(persist_, other.persist_);
  return *this;
}

Pmem2Mapping::~Pmem2Mapping() {
  if (memory_ != nullptr) munmap(memory_, size_bytes_);
}

Result<Pmem2Mapping> Pmem2Mapping::Map(const os::File& file, uint64_t size_bytes, bool read_only) {
  const Result<void*> memory = MapPart(file, 0, size_bytes, read_only);
  if (!memory) return memory.status();
  Pmem2Mapping mapping;
  mapping.memory_ = static_cast<char*>(*memory);
  mapping.size_bytes_ = size_bytes;
  mapping.granularity_bytes_ = kLineBytes;
  mapping.persist_ = sim::Recorder::Get().persist();
  return mapping;
}

Result<uint32_t> GranularityOf(const os::File&) { return static_cast<uint32_t>(kLineBytes); }

Result<void*> MapPart(const os::File& file, uint64_t offset, uint64_t size_bytes, bool read_only) {
  const int protection = PROT_READ | (read_only ? 0 : PROT_WRITE);
  void* const memory = mmap(nullptr, size_bytes, protection, MAP_SHARED, file.descriptor(),
                            static_cast<off_t>(offset));
  if (memory == MAP_FAILED) {
    return FailErrno("'%s': mapping %" PRIu64 " bytes at offset %" PRIu64, file.path().c_str(),
                     size_bytes, offset);
  }
  sim::WatchedFile::Mapped(file.descriptor(), memory, size_bytes, offset);
  return memory;
}

void Pmem2BeforeFork() {}
void Pmem2AfterFork(bool) {}

}  // namespace morsel::pmem
