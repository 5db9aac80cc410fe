// Calls the whole API in threads whose stacks are painted, and looks how far each call has come.
// usage: small_stack FOLDER     prints the calls that need more than morsel.h says
#include <morsel/morsel.h>
#include <morsel/tools.h>
#include <pthread.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace {

constexpr size_t kAllowedBytes = 20 << 10;
constexpr size_t kStackBytes = 256 << 10;
constexpr size_t kMiB = 1 << 20;
constexpr char kPaint = '\x5a';

void Must(bool holds, const char* what) {
  if (holds) return;
  std::printf("%s: %s\n", what, morsel_last_error());
  std::exit(1);
}

struct Call {
  std::string name;
  std::function<void()> make;
};

struct Measured {
  const Call* call;
  char* stack;
  size_t used_bytes;
};

// What lies below this function's frame is the call's, and what the loader does for a first call.
[[gnu::noinline]] void Measure(Measured& measured) {
  char* const here = static_cast<char*>(__builtin_frame_address(0));
  // Not what lies next to this frame: that is in use.
  for (volatile char* at = measured.stack; at < here - 512; ++at) *at = kPaint;
  measured.call->make();
  char* lowest = measured.stack;
  while (*lowest == kPaint) ++lowest;
  measured.used_bytes = static_cast<size_t>(here - lowest);
}

size_t StackOf(const Call& call) {
  void* const stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  Must(stack != MAP_FAILED, "mmap");
  Measured measured = {&call, static_cast<char*>(stack), 0};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread;
  const auto run = [](void* what) -> void* {
    Measure(*static_cast<Measured*>(what));
    return nullptr;
  };
  Must(pthread_attr_setstack(&attributes, stack, kStackBytes) == 0, "pthread_attr_setstack");
  Must(pthread_create(&thread, &attributes, run, &measured) == 0, "pthread_create");
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  munmap(stack, kStackBytes);
  return measured.used_bytes;
}

class Calls {
 public:
  Calls(const std::string& folder, bool fine) : folder_(folder), fine_(fine) {}

  std::vector<Call> OfHeap() {
    return {
        {"morsel_pool_open and morsel_open", [=, this] { Open(); }},
        {"morsel_open of no morsel",
         [=, this] {
           morsel_t* none;
           const std::string name(200, 'n');
           Must(morsel_open(pool_, name.c_str(), nullptr, &none) == MORSEL_NOT_FOUND, "none");
         }},
        {"malloc and free of all sizes",
         [=, this] {
           for (size_t size = 1; size < kMiB; size = size * 3 / 2 + 1) {
             morsel_free(morsel_, morsel_malloc(morsel_, size));
           }
         }},
        {"a malloc that grows", [=, this] { kept_ = morsel_malloc(morsel_, 50 * kMiB); }},
        {"morsel_realloc that moves",
         [=, this] {
           morsel_free(morsel_, morsel_realloc(morsel_, morsel_malloc(morsel_, 100), kMiB));
         }},
        {"morsel_aligned_alloc and morsel_calloc",
         [=, this] {
           morsel_free(morsel_, morsel_aligned_alloc(morsel_, kMiB, kMiB));
           morsel_free(morsel_, morsel_calloc(morsel_, 100, 100));
         }},
        {"a malloc that fails",
         [=, this] {
           Must(morsel_malloc(morsel_, size_t{1} << 40) == nullptr, "too much");
           Must(morsel_malloc(morsel_, 255 * kMiB) == nullptr, "as much as there is");
         }},
        {"morsel_flush, morsel_fence and morsel_memcpy_persist",
         [=, this] {
           (void)morsel_persist(morsel_, kept_, 4096);
           (void)morsel_memcpy_persist(morsel_, kept_, "text", 5);
         }},
        {"morsel_set_root and morsel_root",
         [=, this] {
           Must(morsel_set_root(morsel_, "root", kept_) == MORSEL_OK, "morsel_set_root");
           Must(morsel_root(morsel_, "none") == nullptr, "no root");
         }},
        {"morsel_stat and morsel_usable_size",
         [=, this] {
           morsel_info info{};
           Must(morsel_stat(morsel_, &info) == MORSEL_OK, "morsel_stat");
           Must(morsel_usable_size(morsel_, kept_) >= 50 * kMiB, "morsel_usable_size");
         }},
    };
  }

  std::vector<Call> OfPool() {
    const std::string image = folder_ + "/image";
    return {
        {"morsel_checkpoint",
         [=, this] {
           std::memset(kept_, 1, 30 * kMiB);
           Must(morsel_checkpoint(morsel_) == MORSEL_OK, "morsel_checkpoint");
         }},
        {"morsel_resize",
         [=, this] {
           Must(morsel_resize(morsel_, 100 * kMiB) == MORSEL_OK, "morsel_resize");
           Must(morsel_resize(morsel_, size_t{1} << 40) != MORSEL_OK, "beyond the capacity");
         }},
        {"morsel_export",
         [=, this] {
           Must(morsel_export(pool_, "m", image.c_str()) == MORSEL_OK, "morsel_export");
         }},
        {"morsel_export_coded",
         [=, this] {
           for (const uint32_t codec : {MORSEL_CODEC_LZ4, MORSEL_CODEC_ZSTD}) {
             const std::string coded = image + std::to_string(codec);
             Must(morsel_export_coded(pool_, "m", coded.c_str(), codec) == MORSEL_OK, "coded");
           }
         }},
        {"morsel_verify",
         [=] { Must(morsel_verify(image.c_str(), nullptr, nullptr) == MORSEL_OK, "verify"); }},
        {"morsel_salvage",
         [=] {
           const std::string to = image + ".salvaged";
           Must(morsel_salvage(image.c_str(), to.c_str(), nullptr, nullptr) == MORSEL_OK,
                "salvage");
         }},
        {"morsel_list",
         [=, this] {
           const auto visit = [](const morsel_info*, void*) { return 0; };
           Must(morsel_list(pool_, visit, nullptr) == MORSEL_OK, "morsel_list");
         }},
    };
  }

  std::vector<Call> OfTools() {
    const std::string image = folder_ + "/image";
    return {
        {"morsel_pool_stat, morsel_find and morsel_list_unreadable",
         [=, this] {
           static morsel_pool_info facts;
           facts.struct_size = sizeof facts;
           Must(morsel_pool_stat(pool_, &facts) == MORSEL_OK, "morsel_pool_stat");
           static morsel_info found;
           found.struct_size = sizeof found;
           Must(morsel_find(pool_, "m", &found) == MORSEL_OK, "morsel_find");
           const auto visit = [](const char*, morsel_code, const char*, void*) { return 0; };
           Must(morsel_list_unreadable(pool_, visit, nullptr) == MORSEL_OK, "unreadable");
         }},
        {"morsel_stat_image and morsel_salvage_counted",
         [=] {
           static morsel_info found;
           found.struct_size = sizeof found;
           Must(morsel_stat_image(image.c_str(), &found) == MORSEL_OK, "morsel_stat_image");
           uint64_t intact = 0;
           Must(morsel_salvage_counted(image.c_str(), nullptr, nullptr, nullptr, &intact) ==
                    MORSEL_OK,
                "morsel_salvage_counted");
         }},
    };
  }

  std::vector<Call> OfTheEnd() {
    const std::string image = folder_ + "/image";
    return {
        {"morsel_close", [=, this] { Must(morsel_close(morsel_) == MORSEL_OK, "morsel_close"); }},
        {"morsel_rename, morsel_remove and morsel_import",
         [=, this] {
           Must(morsel_rename(pool_, "m", "n") == MORSEL_OK, "morsel_rename");
           Must(morsel_remove(pool_, "n") == MORSEL_OK, "morsel_remove");
           Must(morsel_import(pool_, (image + "1").c_str(), "m") == MORSEL_OK, "morsel_import");
         }},
        {"morsel_open of what was imported, and morsel_discard",
         [=, this] {
           morsel_t* again = nullptr;
           Must(morsel_open(pool_, "m", nullptr, &again) == MORSEL_OK, "morsel_open");
           Must(morsel_discard(again) == MORSEL_OK, "morsel_discard");
         }},
        {"morsel_check",
         [=, this] {
           morsel_check_info checked{};
           checked.struct_size = sizeof checked;
           Must(morsel_check(pool_, nullptr, nullptr, nullptr, &checked) == MORSEL_OK, "check");
         }},
        {"morsel_pool_close",
         [=, this] { Must(morsel_pool_close(pool_) == MORSEL_OK, "morsel_pool_close"); }},
    };
  }

 private:
  void Open() {
    morsel_pool_options pool_options{};
    pool_options.flags = MORSEL_CREATE | (fine_ ? MORSEL_CARVED : 0);
    pool_options.size_bytes = fine_ ? 400 * kMiB : 0;
    const std::string path = folder_ + "/pool";
    Must(morsel_pool_open(path.c_str(), &pool_options, &pool_) == MORSEL_OK, "morsel_pool_open");
    morsel_options options{};
    options.flags = MORSEL_CREATE | (fine_ ? MORSEL_FINE : 0);
    options.capacity_bytes = 256 * kMiB;
    Must(morsel_open(pool_, "m", &options, &morsel_) == MORSEL_OK, "morsel_open");
  }

  std::string folder_;
  bool fine_;
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
  void* kept_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  int status = 0;
  for (const bool fine : {false, true}) {
    const std::string folder = std::string(argv[1]) + (fine ? "/fine" : "/snapshot");
    Must(std::system(("mkdir -p '" + folder + "'").c_str()) == 0, "mkdir");
    Calls calls(folder, fine);
    std::vector<Call> all = calls.OfHeap();
    for (const auto& more : {calls.OfPool(), calls.OfTools(), calls.OfTheEnd()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    for (const Call& call : all) {
      const size_t bytes = StackOf(call);
      const bool too_many = bytes > kAllowedBytes;
      std::printf("%6zu %s%s\n", bytes, call.name.c_str(), too_many ? "  <- too many" : "");
      if (too_many) status = 1;
    }
  }
  return status;
}
