// Frames: the DRAM behind a morsel that has an image, placed in its address range.
//
// All of it is this process' alone, and a child has none of it (see AddressRange), so that no page
// is ever copied on write behind the program's back.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "os/memory/address_range.h"
#include "os/memory/frame_kind.h"
#include "os/memory/page_filter.h"
#include "os/memory/pagemap.h"

namespace morsel::pmem {

/// Neighbours of one kind.
struct FrameRun {
  uint64_t offset = 0;  ///< in the range
  uint64_t size_bytes = 0;
  FrameKind kind = FrameKind::kAnonymous;

  uint64_t end() const { return offset + size_bytes; }
};

/// [FRM-1] Runs follow each other without a gap, from 0 to end(). What is not in them is PROT_NONE,
///         but for what others placed behind them.
/// [FRM-2] What lies in [size_bytes(), end()) is zero: a page of 1 GiB that the end came to lie in.
/// Ownership  the memory is its range's; what else there is goes with the object.
/// Threads    one at a time.
class Frames final : public PageFilter {
 public:
  /// Of no bytes yet.
  /// Errors  as ChooseFrames().
  static Result<Frames> Open(bool read_only);

  Frames(Frames&& other) noexcept;
  Frames& operator=(Frames&&) = delete;
  ~Frames() override;

  /// Makes them `size_bytes` long, a multiple of 2 MiB. What is new is zero and writable. Where a
  /// kind runs out the rest is of the next one. Always with the same range, which outlives it.
  /// Errors  kNoMemory, of all kinds, or of the one that MORSEL_FRAMES names: all is as before.
  Status Resize(AddressRange& range, uint64_t size_bytes);

  /// That so many of their bytes will be used: a morsel's size may be more than there is of memory,
  /// what is in it not.
  /// Errors  kNoMemory.
  Status CheckMemoryFor(uint64_t bytes) const;

  /// Makes them read-only: a store ends in SIGSEGV.
  /// Errors  kNoMemory.
  Status Protect();

  uint64_t size_bytes() const { return size_bytes_; }
  uint64_t end() const { return runs_.empty() ? 0 : runs_.back().end(); }
  const std::vector<FrameRun>& runs() const { return runs_; }
  /// How much there is of a kind.
  uint64_t BytesOf(FrameKind kind) const;

  char* at(uint64_t offset) const { return base_ + offset; }

  /// Where the kernel does not say, all of them.
  PageSet::Pages Of(SubtreePosition position) const override;
  SubtreePosition Next(SubtreePosition from, SubtreePosition end) const override;

 private:
  Frames(FrameChoice choice, Pagemap pagemap)
      : choice_(std::move(choice)), pagemap_(std::move(pagemap)) {}

  Status Fill(AddressRange& range, uint64_t begin, uint64_t end, size_t kind);
  uint64_t TakeOf(AddressRange& range, FrameKind kind, uint64_t begin, uint64_t end);
  Status Place(AddressRange& range, FrameKind kind, uint64_t offset, uint64_t size_bytes);
  Status RanOut(FrameKind kind, uint64_t missing_bytes) const;
  Status Cut(AddressRange& range, uint64_t size_bytes);
  Result<void*> Map(FrameKind kind, uint64_t offset, uint64_t size_bytes);
  void DropRunsFrom(uint64_t offset);
  const FrameRun& RunAt(uint64_t offset) const;
  uint64_t NextIn(const FrameRun& run, uint64_t begin, uint64_t end) const;

  FrameChoice choice_;
  Pagemap pagemap_;
  char* base_ = nullptr;
  uint64_t size_bytes_ = 0;
  std::vector<FrameRun> runs_;
  int memory_file_ = -1;  ///< of the shmem kinds, laid out as the morsel is
};

/// Puts the zeroed, writable page of this process at `offset`: what lies beside a morsel and is
/// never on the medium.
/// Errors  kNoMemory: the range is as before.
Status PlaceProcessPage(AddressRange& range, uint64_t offset);

}  // namespace morsel::pmem
