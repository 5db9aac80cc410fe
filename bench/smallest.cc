// What the smallest morsel, of one subtree of 2 MiB, has room for.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

#include "bench/place.h"
#include "morsel/morsel.h"

namespace bench {
namespace {

constexpr uint64_t kSubtreeBytes = uint64_t{2} << 20;

void Must(morsel_code code) {
  if (code != MORSEL_OK) Fail(morsel_code_name(code), morsel_last_error());
}

/// A fresh one, gone with the object.
class SmallestMorsel {
 public:
  explicit SmallestMorsel(morsel_pool_t* pool) : pool_(pool) {
    morsel_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_FINE;
    options.size_bytes = options.capacity_bytes = kSubtreeBytes;
    Must(morsel_open(pool_, "smallest", &options, &morsel_));
  }
  ~SmallestMorsel() {
    Must(morsel_close(morsel_));
    Must(morsel_remove(pool_, "smallest"));
  }
  SmallestMorsel(const SmallestMorsel&) = delete;
  SmallestMorsel& operator=(const SmallestMorsel&) = delete;
  morsel_t* get() { return morsel_; }

 private:
  morsel_pool_t* pool_;
  morsel_t* morsel_ = nullptr;
};

// One block of each size class, smallest first, as long as there is room.
uint64_t ClassesTogether(morsel_pool_t* pool) {
  SmallestMorsel morsel(pool);
  uint64_t classes = 0;
  size_t size_bytes = 1;
  for (void* block; (block = morsel_malloc(morsel.get(), size_bytes)) != nullptr; ++classes) {
    size_bytes = morsel_usable_size(morsel.get(), block) + 1;
  }
  return classes;
}

uint64_t BytesInBlocksOf(morsel_pool_t* pool, uint64_t size_bytes) {
  SmallestMorsel morsel(pool);
  uint64_t bytes = 0;
  while (morsel_malloc(morsel.get(), size_bytes) != nullptr) bytes += size_bytes;
  return bytes;
}

uint64_t LargestBlockBytes(morsel_pool_t* pool) {
  SmallestMorsel morsel(pool);
  uint64_t fits_bytes = 0;
  for (uint64_t step_bytes = kSubtreeBytes; step_bytes > 0; step_bytes /= 2) {
    void* const block = morsel_malloc(morsel.get(), fits_bytes + step_bytes);
    if (block == nullptr) continue;
    fits_bytes += step_bytes;
    morsel_free(morsel.get(), block);
  }
  return fits_bytes;
}

void Main(const std::string& folder) {
  morsel_pool_options options = {};
  options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_CARVED;
  options.size_bytes = 16 * kSubtreeBytes;
  morsel_pool_t* pool = nullptr;
  Must(morsel_pool_open((folder + "/pool").c_str(), &options, &pool));
  std::printf("{\"size_bytes\": %" PRIu64 ", \"classes\": %" PRIu64 ", \"bytes_in_64\": %" PRIu64
              ", \"bytes_in_4096\": %" PRIu64 ", \"largest_bytes\": %" PRIu64 "}\n",
              kSubtreeBytes, ClassesTogether(pool), BytesInBlocksOf(pool, 64),
              BytesInBlocksOf(pool, 4096), LargestBlockBytes(pool));
  Must(morsel_pool_close(pool));
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc != 2) bench::Fail("usage", "smallest FOLDER");
  bench::Main(argv[1]);
}
