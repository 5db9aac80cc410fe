#include "bench/meter.h"

#include <dlfcn.h>

#include <algorithm>
#include <ctime>

namespace bench {
namespace {

uint64_t ClockNs(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

using ReadFlushes = void (*)(uint64_t* lines, uint64_t* fences);

ReadFlushes FlushReader() {
  static const auto reader =
      reinterpret_cast<ReadFlushes>(dlsym(RTLD_DEFAULT, "bench_flushes_of_this_thread"));
  return reader;
}

Flushes FlushesSoFar() {
  Flushes so_far;
  if (const ReadFlushes read = FlushReader()) read(&so_far.lines, &so_far.fences);
  return so_far;
}

}  // namespace

bool FlushesAreCounted() { return FlushReader() != nullptr; }

uint64_t WallNs() { return ClockNs(CLOCK_MONOTONIC); }

void Meter::Start() {
  flushes_start_ = FlushesSoFar();
  wall_start_ns_ = WallNs();
  cpu_start_ns_ = ClockNs(CLOCK_THREAD_CPUTIME_ID);
}

void Meter::Stop(uint64_t operations) {
  cpu_ns_ += ClockNs(CLOCK_THREAD_CPUTIME_ID) - cpu_start_ns_;
  wall_ns_ += WallNs() - wall_start_ns_;
  const Flushes now = FlushesSoFar();
  flushes_.lines += now.lines - flushes_start_.lines;
  flushes_.fences += now.fences - flushes_start_.fences;
  operations_ += operations;
}

void Meter::AddConcurrent(const Meter& other) {
  AddWork(other);
  wall_ns_ = std::max(wall_ns_, other.wall_ns_);
}

void Meter::AddAfter(const Meter& other) {
  AddWork(other);
  wall_ns_ += other.wall_ns_;
}

void Meter::AddWork(const Meter& other) {
  operations_ += other.operations_;
  cpu_ns_ += other.cpu_ns_;
  flushes_.lines += other.flushes_.lines;
  flushes_.fences += other.flushes_.fences;
}

}  // namespace bench
