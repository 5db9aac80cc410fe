// Writes leaves of a new generation: copied and summed by several threads, several in flight.
#pragma once

#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "base/result.h"
#include "pmem/block_io.h"
#include "pmem/file.h"
#include "pmem/image/layout.h"
#include "pmem/image/space.h"
#include "pmem/image/workers.h"

namespace morsel::pmem::image {

/// A piece of memory that I/O may use directly.
/// Errors  null where there is no memory.
struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<char, FreeMemory>;
Buffer MakeBuffer(uint64_t size_bytes);

/// Where leaves come to lie depends on their order only, never on the threads or the disk.
/// Ownership  the destructor waits for what is in flight.
/// Threads    one.
class LeafWriter {
 public:
  /// Extents are claimed from `space` and remembered in `written`.
  LeafWriter(const File& file, Space& space, std::vector<Extent>& written)
      : file_(file), space_(space), written_(written) {}
  ~LeafWriter();
  LeafWriter(const LeafWriter&) = delete;
  LeafWriter& operator=(const LeafWriter&) = delete;

  /// At most `leaves` will be added.
  /// Errors  kNoMemory; as BlockIo::Open().
  Status Begin(uint64_t leaves);

  /// Sets `entry` until Finish(): absent where the subtree is zero, `old` where that has its bytes,
  /// else one that is written.
  /// Errors  kNoSpace, kIo, of this leaf or an earlier one.
  Status Add(const char* subtree, const Entry& old, Entry* entry);

  /// Durability  none before a sync.
  /// Errors      as Add().
  Status Finish();

 private:
  struct Slot {
    const char* subtree = nullptr;
    Entry old{};
    Entry* entry = nullptr;
    Buffer bounce;
    Entry made{};  ///< set by the workers
  };

  static void Prepare(Slot& slot);
  Status Advance();
  Status Commit(size_t slot);
  Status Reap();

  const File& file_;
  Space& space_;
  std::vector<Extent>& written_;
  std::vector<Slot> slots_;
  std::deque<size_t> prepared_;  // by the order of Add()
  std::vector<size_t> free_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<BlockIo> io_;
};

}  // namespace morsel::pmem::image
