// The file system below a watched file, as far as space is concerned: there is
// always some, holes are zeroes, and a sync makes them durable. For code that takes
// its system calls.
#pragma once

#include <cstdint>
#include <vector>

#include "os/file/system_calls.h"
#include "sim/stores/watched_file.h"

namespace morsel::sim {

/// Of every file that it is asked about. A hole is stores to the watched file, which may be lost
/// until a sync; a sync promises nothing about what was stored through a mapping. Before Watch()
/// and for all other calls it is the kernel.
class WatchedSpace : public pmem::SystemCalls {
 public:
  void Watch(const WatchedFile& file) { file_ = &file; }
  /// Power was cut: no later sync is about what was before.
  void Forget() { holes_.clear(); }

  int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) override;
  int FDataSync(int file) override;

 private:
  const WatchedFile* file_ = nullptr;
  std::vector<Span> holes_;  ///< made since the last sync
};

}  // namespace morsel::sim
