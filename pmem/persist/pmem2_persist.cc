#include "pmem/persist/pmem2_persist.h"

#include <libpmem2.h>
#include <sys/mman.h>

#include <cerrno>
#include <cinttypes>
#include <map>
#include <mutex>
#include <utility>

#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/units.h"

namespace morsel::pmem {
namespace {

struct Functions {
  pmem2_flush_fn flush;
  pmem2_drain_fn drain;
  pmem2_memset_fn memset;
  pmem2_memcpy_fn memcpy;

  explicit Functions(pmem2_map* map)
      : flush(pmem2_get_flush_fn(map)),
        drain(pmem2_get_drain_fn(map)),
        memset(pmem2_get_memset_fn(map)),
        memcpy(pmem2_get_memcpy_fn(map)) {}
};

// The context is a Functions that is never freed. libpmem2 has one set of functions for each
// granularity, so there are at most two contexts.
constexpr PersistTable kPmem2Table = {
    .flush =
        [](void* context, const void* address, size_t size_bytes) {
          static_cast<Functions*>(context)->flush(address, size_bytes);
        },
    .fence = [](void* context) { static_cast<Functions*>(context)->drain(); },
    .zero =
        [](void* context, void* address, size_t size_bytes) {
          static_cast<Functions*>(context)->memset(address, 0, size_bytes,
                                                   PMEM2_F_MEM_NONTEMPORAL | PMEM2_F_MEM_NODRAIN);
        },
    // libpmem2 decides from which size on a copy goes past the caches.
    .copy =
        [](void* context, void* to, const void* from, size_t size_bytes) {
          static_cast<Functions*>(context)->memcpy(to, from, size_bytes, PMEM2_F_MEM_NODRAIN);
        },
};

Persist PersistFor(pmem2_map* map, pmem2_granularity granularity) {
  if (granularity == PMEM2_GRANULARITY_BYTE) {
    static Functions byte(map);
    return Persist(&kPmem2Table, &byte);
  }
  static Functions line(map);
  return Persist(&kPmem2Table, &line);
}

// What libpmem2 has mapped. It remembers where, and maps nothing there a second time, also in a
// child, which does not have the mappings; and it keeps them behind a lock, which no other thread
// may hold when a process forks.
struct Pmem2Maps {
  Mutex mutex{LockRank::kPmem2Maps};
  std::map<uint64_t, pmem2_map*> maps;  // by numbers, since a child's may lie where others were
  uint64_t last_number = 0;
};

struct MapNumber {
  pmem2_map* map;
  uint64_t number;
};

Pmem2Maps& Mapped() {
  static Pmem2Maps* const mapped = new Pmem2Maps;
  return *mapped;
}

// Frees libpmem2's objects on every return.
struct Request {
  pmem2_config* config = nullptr;
  pmem2_source* source = nullptr;
  ~Request() {
    if (source != nullptr) pmem2_source_delete(&source);
    if (config != nullptr) pmem2_config_delete(&config);
  }
};

// Turns a code of libpmem2 into a failure. It is a negative errno, or one of libpmem2's own codes,
// which are -100000 and below.
Status FailPmem2(const os::File& file, const char* tried, int code) {
  if (code > -100000) {
    errno = -code;
    return FailErrno("'%s': %s through libpmem2", file.path().c_str(), tried);
  }
  return Fail(code == PMEM2_E_MAP_RANGE ? Code::kCorrupt : Code::kIo, "'%s': %s: libpmem2 says: %s",
              file.path().c_str(), tried, pmem2_errormsg());
}

// Maps the beginning of the file, or all of it if size_bytes is 0, whatever its granularity is.
Result<MapNumber> MapWhatever(const os::File& file, uint64_t size_bytes, bool read_only) {
  Request request;
  Pmem2Maps& mapped = Mapped();
  const std::lock_guard lock(mapped.mutex);
  const DescriptorFloor floor;
  int code = pmem2_config_new(&request.config);
  if (code == 0) code = pmem2_source_from_fd(&request.source, file.descriptor());
  if (code == 0) {
    // Accepts page granularity, so that the caller learns the real one and can report it.
    code = pmem2_config_set_required_store_granularity(request.config, PMEM2_GRANULARITY_PAGE);
  }
  if (code == 0) code = pmem2_config_set_length(request.config, size_bytes);
  if (code == 0) {
    const unsigned protection = PMEM2_PROT_READ | (read_only ? 0 : PMEM2_PROT_WRITE);
    code = pmem2_config_set_protection(request.config, protection);
  }
  if (code != 0) return FailPmem2(file, "preparing to map it", code);
  pmem2_map* map = nullptr;
  code = pmem2_map_new(&map, request.config, request.source);
  if (code != 0) return FailPmem2(file, "mapping it", code);
  mapped.maps[++mapped.last_number] = map;
  return MapNumber{map, mapped.last_number};
}

// Unmaps it, unless this process is a child of the one that mapped it.
void Unmap(uint64_t number) {
  Pmem2Maps& mapped = Mapped();
  const std::lock_guard lock(mapped.mutex);
  const auto found = mapped.maps.find(number);
  if (found == mapped.maps.end()) return;
  pmem2_map_delete(&found->second);
  mapped.maps.erase(found);
}

}  // namespace

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
  if (number_ != 0) Unmap(number_);
}

Result<Pmem2Mapping> Pmem2Mapping::Map(const os::File& file, uint64_t size_bytes, bool read_only) {
  Pmem2Mapping mapping;
  const auto mapped = MapWhatever(file, size_bytes, read_only);
  if (!mapped) return mapped.status();
  pmem2_map* const map = mapped->map;
  mapping.number_ = mapped->number;
  const pmem2_granularity granularity = pmem2_map_get_store_granularity(map);
  if (granularity == PMEM2_GRANULARITY_PAGE) {
    return Fail(Code::kUnsupported,
                "'%s' is not on persistent memory: its medium makes stores durable by whole pages "
                "only; put it on a DAX file system, or use a directory pool (for tests, "
                "PMEM2_FORCE_GRANULARITY=CACHE_LINE lets a file on /dev/shm stand in)",
                file.path().c_str());
  }
  mapping.memory_ = static_cast<char*>(pmem2_map_get_address(map));
  mapping.size_bytes_ = pmem2_map_get_size(map);
  mapping.granularity_bytes_ = granularity == PMEM2_GRANULARITY_BYTE ? 1 : kLineBytes;
  mapping.persist_ = PersistFor(map, granularity);
  if (madvise(mapping.memory_, mapping.size_bytes_, MADV_DONTFORK) != 0) {
    return FailErrno("the mapping of '%s' cannot be kept from children", file.path().c_str());
  }
  return mapping;
}

Result<uint32_t> GranularityOf(const os::File& file) {
  const auto mapped = MapWhatever(file, 0, true);
  if (!mapped) return mapped.status();
  const pmem2_granularity granularity = pmem2_map_get_store_granularity(mapped->map);
  Unmap(mapped->number);
  if (granularity == PMEM2_GRANULARITY_PAGE) return static_cast<uint32_t>(kPageBytes);
  return granularity == PMEM2_GRANULARITY_BYTE ? 1 : static_cast<uint32_t>(kLineBytes);
}

Result<void*> MapPart(const os::File& file, uint64_t offset, uint64_t size_bytes, bool read_only) {
  const int protection = PROT_READ | (read_only ? 0 : PROT_WRITE);
  const auto map = [&](int flags) {
    return mmap(nullptr, size_bytes, protection, flags, file.descriptor(),
                static_cast<off_t>(offset));
  };
  void* mapping = map(MAP_SHARED_VALIDATE | MAP_SYNC);
  if (mapping == MAP_FAILED && (errno == EOPNOTSUPP || errno == EINVAL)) mapping = map(MAP_SHARED);
  if (mapping == MAP_FAILED) {
    return FailErrno("'%s': mapping %" PRIu64 " bytes at offset %" PRIu64, file.path().c_str(),
                     size_bytes, offset);
  }
  return mapping;
}

void Pmem2BeforeFork() { Mapped().mutex.lock(); }

void Pmem2AfterFork(bool child) {
  Pmem2Maps& mapped = Mapped();
  if (child) {
    // Of what the child does not have, only libpmem2's own account changes.
    for (auto& [number, map] : mapped.maps) pmem2_map_delete(&map);
    mapped.maps.clear();
  }
  mapped.mutex.unlock();
}

}  // namespace morsel::pmem
