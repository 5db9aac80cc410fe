// Counts what goes to a medium: preloaded, it stands between a program and
// libpmem (libpmemobj flushes through that) or libpmem2 (morsel does).
#include <dlfcn.h>
#include <libpmem.h>
#include <libpmem2.h>

#include <cstdint>
#include <cstdlib>

namespace {

constexpr uint64_t kLineBytes = 64;

thread_local uint64_t lines;
thread_local uint64_t fences;

void CountLines(const void* address, size_t size_bytes) {
  const auto begin = reinterpret_cast<uint64_t>(address);
  lines += (begin + size_bytes + kLineBytes - 1) / kLineBytes - begin / kLineBytes;
}

void CountCopy(const void* address, size_t size_bytes, unsigned flags) {
  if ((flags & PMEM_F_MEM_NOFLUSH) != 0) return;
  CountLines(address, size_bytes);
  if ((flags & PMEM_F_MEM_NODRAIN) == 0) ++fences;
}

template <typename Function>
Function* Next(Function*, const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function*>(found);
}

pmem2_flush_fn flush_of_pmem2;
pmem2_drain_fn drain_of_pmem2;

}  // namespace

// The real function of the library below, looked up once.
#define NEXT(name) static const auto next = Next(&name, #name)

extern "C" {

__attribute__((visibility("default"))) void bench_flushes_of_this_thread(uint64_t* lines_so_far,
                                                                         uint64_t* fences_so_far) {
  *lines_so_far = lines;
  *fences_so_far = fences;
}

void pmem_flush(const void* address, size_t size_bytes) {
  NEXT(pmem_flush);
  CountLines(address, size_bytes);
  next(address, size_bytes);
}

void pmem_drain() {
  NEXT(pmem_drain);
  ++fences;
  next();
}

void pmem_persist(const void* address, size_t size_bytes) {
  NEXT(pmem_persist);
  CountLines(address, size_bytes);
  ++fences;
  next(address, size_bytes);
}

void* pmem_memcpy(void* to, const void* from, size_t size_bytes, unsigned flags) {
  NEXT(pmem_memcpy);
  CountCopy(to, size_bytes, flags);
  return next(to, from, size_bytes, flags);
}

void* pmem_memmove(void* to, const void* from, size_t size_bytes, unsigned flags) {
  NEXT(pmem_memmove);
  CountCopy(to, size_bytes, flags);
  return next(to, from, size_bytes, flags);
}

void* pmem_memset(void* to, int byte, size_t size_bytes, unsigned flags) {
  NEXT(pmem_memset);
  CountCopy(to, size_bytes, flags);
  return next(to, byte, size_bytes, flags);
}

pmem2_flush_fn pmem2_get_flush_fn(pmem2_map* map) {
  NEXT(pmem2_get_flush_fn);
  flush_of_pmem2 = next(map);
  return [](const void* address, size_t size_bytes) {
    CountLines(address, size_bytes);
    flush_of_pmem2(address, size_bytes);
  };
}

pmem2_drain_fn pmem2_get_drain_fn(pmem2_map* map) {
  NEXT(pmem2_get_drain_fn);
  drain_of_pmem2 = next(map);
  return [] {
    ++fences;
    drain_of_pmem2();
  };
}

}  // extern "C"
