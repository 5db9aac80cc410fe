// The file system below a watched file, as far as space is concerned. There is always space, holes
// read as zeros, and a sync makes holes durable. It is for code whose system calls can be replaced.
#pragma once

#include <cstdint>
#include <vector>

#include "os/file/system_calls.h"
#include "sim/stores/watched_file.h"

namespace morsel::sim {

/// It answers for every file. A hole is a number of stores to the watched file, which may be lost
/// until a sync. A sync promises nothing about what was stored through a mapping. The kernel
/// answers all other calls, and all calls before Watch().
class WatchedSpace : public os::SystemCalls {
 public:
  void Watch(const WatchedFile& file) { file_ = &file; }
  /// Power was cut: later syncs say nothing about earlier holes.
  void Forget() { holes_.clear(); }

  int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) override;
  int FDataSync(int file) override;

 private:
  const WatchedFile* file_ = nullptr;
  std::vector<Span> holes_;  ///< made since the last sync
};

}  // namespace morsel::sim
