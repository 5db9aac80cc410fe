#include "tests/crash/image/image_pool.h"

#include <new>

namespace morsel::crash {
namespace {

morsel_info Stat(morsel_t* morsel, Failure& failure) {
  morsel_info info{};
  Must(failure, "morsel_stat", morsel_stat(morsel, &info));
  return info;
}

}  // namespace

uint64_t GenerationOf(morsel_t* morsel, Failure& failure) {
  return Stat(morsel, failure).generation;
}

Library* LibraryOf(morsel_t* morsel) {
  return static_cast<Library*>(morsel_root(morsel, kLibraryRoot));
}

LoggedCheckpoint DescribeCheckpoint(morsel_t* morsel, bool quiet, Failure& failure) {
  const morsel_info info = Stat(morsel, failure);
  LoggedCheckpoint logged;
  logged.generation = info.generation + 1;
  logged.library_sum = LibraryOf(morsel)->Sum();
  logged.quiet = quiet;
  if (!quiet) return logged;
  logged.size_bytes = info.size_bytes;
  logged.live_bytes = info.live_bytes;
  logged.bytes = Checksum128(info.base, info.size_bytes);
  return logged;
}

void MakeImagePool(const std::string& path, ImageLog& log) {
  Failure& failure = log.failure;
  const morsel_pool_options create = {sizeof create, MORSEL_CREATE, 0, 0, 0};
  morsel_options snapshot = {};
  snapshot.struct_size = sizeof snapshot;
  snapshot.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
  snapshot.capacity_bytes = kImageCapacityBytes;
  morsel_pool_t* pool = nullptr;
  morsel_t* morsel = nullptr;
  Must(failure, "morsel_pool_open", morsel_pool_open(path.c_str(), &create, &pool));
  Must(failure, "morsel_open", morsel_open(pool, kImageName, &snapshot, &morsel));
  void* const place = morsel_malloc(morsel, sizeof(Library));
  if (place == nullptr) Fail(failure, std::string("library: ") + morsel_last_error());
  Must(failure, "morsel_set_root",
       morsel_set_root(morsel, kLibraryRoot, new (place) Library(morsel)));
  const LoggedCheckpoint logged = DescribeCheckpoint(morsel, /*quiet=*/true, failure);
  log.CheckpointOf(logged.generation) = logged;
  Must(failure, "morsel_close", morsel_close(morsel));
  log.begun.store(logged.generation);
  log.completed.store(logged.generation);
  Must(failure, "morsel_pool_close", morsel_pool_close(pool));
}

}  // namespace morsel::crash
