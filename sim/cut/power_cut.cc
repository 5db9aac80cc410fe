#include "sim/cut/power_cut.h"

#include <libpmem2.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>
#include <vector>

#include "base/check.h"
#include "os/testing/seed_testing.h"

namespace morsel::sim {
namespace {

constexpr uint64_t kImagesMax = 256;

// What a recorder knows, in a file: all lines as they are visible; then, of each line that is
// undecided, its number, what is durable of it, how many stores follow, each a word and its value.
void Write(std::ofstream& file, const void* words, uint64_t size_bytes) {
  file.write(static_cast<const char*>(words), static_cast<std::streamsize>(size_bytes));
}

bool Read(std::ifstream& file, void* words, uint64_t size_bytes) {
  return file.read(static_cast<char*>(words), static_cast<std::streamsize>(size_bytes)).good();
}

void Keep(const pmem::CrashRecorder& recorder, const std::string& path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  Write(file, recorder.visible().data(), recorder.visible().size() * kLineBytes);
  for (const auto& [number, line] : recorder.state().undecided()) {
    const uint64_t count = line.stores.size();
    Write(file, &number, sizeof number);
    Write(file, &line.durable, sizeof line.durable);
    Write(file, &count, sizeof count);
    for (const UndecidedStore& store : line.stores) {
      const uint64_t words[] = {store.word, store.value};
      Write(file, words, sizeof words);
    }
  }
  MORSEL_CHECK(file.flush().good());
}

pmem::CrashRecorder KeptIn(const std::string& path, std::vector<Span> spans) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Line> visible(spans[0].size_bytes / kLineBytes);
  MORSEL_CHECK(Read(file, visible.data(), visible.size() * kLineBytes));
  MediumState state;
  uint64_t number = 0;
  while (Read(file, &number, sizeof number)) {
    Line durable{};
    uint64_t count = 0;
    MORSEL_CHECK(Read(file, &durable, sizeof durable) && Read(file, &count, sizeof count));
    for (; count > 0; --count) {
      uint64_t words[2];
      MORSEL_CHECK(Read(file, words, sizeof words));
      const uint64_t place = number * kWordsPerLine + words[0];
      state.Apply({Event::Kind::kStore, 0, place, words[1], nullptr},
                  [&](LineNumber) { return durable; });
    }
  }
  return pmem::CrashRecorder(std::move(spans), std::move(visible), std::move(state));
}

std::vector<Span> SpanOf(void* begin, uint64_t size_bytes) {
  return {{static_cast<char*>(begin), size_bytes}};
}

}  // namespace

PowerCut& PowerCut::Get() {
  // It outlives every static: flushes come from the last destructors of threads, too.
  static PowerCut* const power_cut = new PowerCut;
  return *power_cut;
}

void PowerCut::Watch(void* begin, uint64_t size_bytes) {
  std::lock_guard lock(mutex_);
  recorder_ = std::make_unique<pmem::CrashRecorder>(SpanOf(begin, size_bytes));
}

void PowerCut::WatchAfterKill(void* begin, uint64_t size_bytes, const std::string& kept) {
  std::lock_guard lock(mutex_);
  recorder_ = std::make_unique<pmem::CrashRecorder>(KeptIn(kept, SpanOf(begin, size_bytes)));
}

void PowerCut::Cut() {
  std::lock_guard lock(mutex_);
  recorder_->WithDurable([] { _exit(0); });
  Die("the power is cut, and the process goes on");
}

void PowerCut::CutLeaving(uint64_t image) {
  {
    std::lock_guard lock(mutex_);
    std::mt19937_64 random(TestSeed(1));
    recorder_->ForEachImage(kImagesMax, random, [&] {
      if (image-- == 0) _exit(0);
    });
  }
  Cut();
}

void PowerCut::Kill(const std::string& kept) {
  std::lock_guard lock(mutex_);
  recorder_->Observe();
  Keep(*recorder_, kept);
  _exit(0);
}

void PowerCut::Flush(const void* address, uint64_t size_bytes) {
  ++flushes;
  std::lock_guard lock(mutex_);
  if (recorder_) recorder_->persist().Flush(address, size_bytes);
}

void PowerCut::Fence() {
  ++fences;
  if (before_fence_) before_fence_();
  std::lock_guard lock(mutex_);
  if (recorder_) recorder_->persist().Fence();
}

}  // namespace morsel::sim

using morsel::sim::PowerCut;

extern "C" {

static void FlushHere(const void* address, size_t size_bytes) {
  PowerCut::Get().Flush(address, size_bytes);
}
static void FenceHere() { PowerCut::Get().Fence(); }
static void* Stored(void* to, size_t size_bytes, unsigned flags) {
  FlushHere(to, size_bytes);
  if ((flags & PMEM2_F_MEM_NODRAIN) == 0) FenceHere();
  return to;
}
static void* CopyHere(void* to, const void* from, size_t size_bytes, unsigned flags) {
  std::memcpy(to, from, size_bytes);
  return Stored(to, size_bytes, flags);
}
static void* SetHere(void* to, int value, size_t size_bytes, unsigned flags) {
  std::memset(to, value, size_bytes);
  return Stored(to, size_bytes, flags);
}

pmem2_flush_fn pmem2_get_flush_fn(pmem2_map*) { return FlushHere; }
pmem2_drain_fn pmem2_get_drain_fn(pmem2_map*) { return FenceHere; }
pmem2_memcpy_fn pmem2_get_memcpy_fn(pmem2_map*) { return CopyHere; }
pmem2_memset_fn pmem2_get_memset_fn(pmem2_map*) { return SetHere; }

}  // extern "C"
