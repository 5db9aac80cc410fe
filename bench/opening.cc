// How long a fine morsel takes to come back, and that it comes back right: a list
// of objects, each of which is full of its number, is left by a close or by a kill;
// what another process allocates afterwards must overlap none of them.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/meter.h"
#include "bench/place.h"
#include "morsel/morsel.h"

namespace bench {
namespace {

struct Options {
  std::string pool;
  uint64_t size_bytes = uint64_t{4} << 30;
  uint64_t prepare_objects = 0;  // 0: opens what is there
  uint64_t new_objects = 100'000;
  bool kill = false;
};

struct Object {
  Object* next;
  uint64_t owner;
  std::array<uint64_t, 6> body;

  void Own(uint64_t number) {
    owner = number;
    for (size_t i = 0; i < body.size(); ++i) body[i] = number * 0x9E3779B97F4A7C15U + i;
  }
  bool IsWholeAndOf(uint64_t number) const {
    Object expected;
    expected.Own(number);
    return owner == number && body == expected.body;
  }
};
static_assert(sizeof(Object) == 64);

struct List {
  Object* first;
  uint64_t count;
};

constexpr char kRoot[] = "list";
// As many objects are made durable together.
constexpr uint64_t kTogether = 16;

void Must(morsel_code code) {
  if (code != MORSEL_OK) Fail(morsel_code_name(code), morsel_last_error());
}

class OpenHeap {
 public:
  OpenHeap(const Options& options, bool create) {
    morsel_pool_options pool_options = {};
    morsel_options morsel_options = {};
    if (create) {
      pool_options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_CARVED;
      pool_options.size_bytes = options.size_bytes;
      morsel_options.flags = MORSEL_CREATE | MORSEL_FINE;
    }
    Must(morsel_pool_open(options.pool.c_str(), &pool_options, &pool_));
    Must(morsel_open(pool_, "heap", &morsel_options, &morsel_));
  }
  void Close() {
    Must(morsel_close(morsel_));
    Must(morsel_pool_close(pool_));
  }

  Object* Allocate() {
    void* const block = morsel_malloc(morsel_, sizeof(Object));
    if (block == nullptr) Fail("allocating a block", morsel_last_error());
    return static_cast<Object*>(block);
  }
  morsel_t* get() { return morsel_; }

 private:
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};

// The process ends here where it is to be killed.
void End(OpenHeap& heap, bool kill) {
  std::fflush(stdout);
  if (kill) ::kill(getpid(), SIGKILL);
  heap.Close();
}

// A tenth more objects than are kept, so that the heap has holes.
void Prepare(const Options& options) {
  OpenHeap heap(options, true);
  auto* const list = static_cast<List*>(morsel_calloc(heap.get(), 1, sizeof(List)));
  if (list == nullptr) Fail("allocating the list", morsel_last_error());
  Must(morsel_set_root(heap.get(), kRoot, list));
  std::vector<Object*> passing;
  const uint64_t all = options.prepare_objects + options.prepare_objects / 10;
  for (uint64_t i = 0; i < all; ++i) {
    Object* const object = heap.Allocate();
    if (i % 11 == 10) {
      passing.push_back(object);
      continue;
    }
    object->Own(list->count);
    object->next = list->first;
    Must(morsel_flush(heap.get(), object, sizeof *object));
    if (list->count % kTogether == 0) Must(morsel_fence(heap.get()));
    *list = {object, list->count + 1};
  }
  Must(morsel_persist(heap.get(), list, sizeof *list));
  for (Object* const object : passing) morsel_free(heap.get(), object);
  std::printf("{\"objects\": %" PRIu64 "}\n", list->count);
  End(heap, options.kill);
}

void MustHoldAll(const List& list) {
  uint64_t number = list.count;
  for (const Object* object = list.first; object != nullptr; object = object->next) {
    if (!object->IsWholeAndOf(--number)) Fail("checking what was there", "it was overwritten");
  }
  if (number != 0) Fail("checking what was there", "objects are missing");
}

// Of the program's blocks: those of roots are the library's.
uint64_t LiveBytes(OpenHeap& heap) {
  uint64_t live_bytes = 0;
  const auto add = [](void*, size_t bytes, void* sum) {
    *static_cast<uint64_t*>(sum) += bytes;
    return 0;
  };
  Must(morsel_for_each_block(heap.get(), add, &live_bytes));
  return live_bytes;
}

void Open(const Options& options) {
  const uint64_t start_ns = WallNs();
  OpenHeap heap(options, false);
  auto* const list = static_cast<List*>(morsel_root(heap.get(), kRoot));
  const uint64_t open_ns = WallNs();
  if (list == nullptr) Fail("finding the list", morsel_last_error());

  std::vector<Object*> added(options.new_objects);
  const uint64_t before_first_ns = WallNs();
  added[0] = heap.Allocate();
  const uint64_t first_ns = WallNs();
  for (uint64_t i = 1; i < added.size(); ++i) added[i] = heap.Allocate();
  const uint64_t all_ns = WallNs();

  const uint64_t live_bytes = LiveBytes(heap);
  for (uint64_t i = 0; i < added.size(); ++i) added[i]->Own(list->count + i);
  MustHoldAll(*list);
  for (uint64_t i = 0; i < added.size(); ++i) {
    if (!added[i]->IsWholeAndOf(list->count + i)) Fail("checking what is new", "it overlaps");
  }
  const uint64_t reached_bytes =
      (list->count + added.size()) * sizeof(Object) + morsel_usable_size(heap.get(), list);
  std::printf("{\"objects\": %" PRIu64 ", \"open_ns\": %" PRIu64 ", \"first_ns\": %" PRIu64
              ", \"all_ns\": %" PRIu64 ", \"unreached_bytes\": %" PRIu64 "}\n",
              list->count, open_ns - start_ns, first_ns - before_first_ns, all_ns - first_ns,
              live_bytes - std::min(live_bytes, reached_bytes));
  if (!options.kill) {
    for (Object* const object : added) morsel_free(heap.get(), object);
  }
  End(heap, options.kill);
}

Options Parse(int argc, char** argv) {
  Options options;
  CLI::App app("Makes a heap of many objects, or opens it and allocates, and prints times.");
  app.add_option("--pool", options.pool)->required();
  app.add_option("--size", options.size_bytes, "of a new pool");
  app.add_option("--prepare", options.prepare_objects, "make a pool with so many objects");
  app.add_option("--new", options.new_objects, "objects to allocate after opening")
      ->check(CLI::PositiveNumber);
  app.add_flag("--kill", options.kill, "end by SIGKILL");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const bench::Options options = bench::Parse(argc, argv);
  if (options.prepare_objects > 0) {
    bench::Prepare(options);
  } else {
    bench::Open(options);
  }
}
