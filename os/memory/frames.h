// Frames: the DRAM behind a morsel that has an image, placed in the morsel's address range.
//
// Only this process has the frames. A forked child does not (see AddressRange), so the kernel never
// copies a page on write, unnoticed by the program.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "os/memory/address_range.h"
#include "os/memory/frame_kind.h"
#include "os/memory/page_filter.h"
#include "os/memory/page_runs.h"
#include "os/memory/pagemap.h"

namespace morsel::os {

/// Adjacent frames of one kind.
struct FrameRun {
  uint64_t offset = 0;  ///< from the beginning of the address range
  uint64_t size_bytes = 0;
  FrameKind kind = FrameKind::kAnonymous;

  uint64_t end() const { return offset + size_bytes; }
};

/// [FRM-1] Runs follow each other without a gap, from 0 to end(). Behind them the range holds what
///         others have placed there, and is PROT_NONE elsewhere.
/// [FRM-2] [size_bytes(), end()) is zero. It is not empty if the morsel's end lies within a page of
///         1 GiB.
///
/// Ownership  the address range owns the memory; files are closed with this object.
/// Threads    one call at a time.
class Frames final : public PageFilter {
 public:
  /// Makes frames of no bytes, of the kinds that ChooseFrames() chooses.
  /// Errors  as ChooseFrames().
  static Result<Frames> Open(bool read_only);

  /// Makes frames of no bytes, of private memory, so that MapFile() can replace any of them.
  static Frames OpenPrivate();

  Frames(Frames&& other) noexcept;
  Frames& operator=(Frames&&) = delete;

  /// Makes the frames `size_bytes` long. New memory is zero and writable. If a kind runs out, the
  /// rest is of the next kind.
  /// Ownership  `range` is the same in every call, and outlives the frames.
  /// Units      size_bytes is a multiple of 2 MiB.
  /// Errors     kNoMemory: all kinds ran out, or the one that MORSEL_FRAMES names. The frames are
  ///            then as before.
  Status Resize(AddressRange& range, uint64_t size_bytes);

  /// Puts private mappings of the file with the descriptor `file` in the place of the frames of
  /// `runs`, which are private and were not touched. What is stored there is not in the file.
  /// Ownership  each mapping keeps the file's description open; the descriptor may be closed.
  /// Units      `runs` are sorted; all that they have is a multiple of 2 MiB.
  /// Errors     kNoMemory; as mmap(2). Some of `runs` may be mapped then.
  Status MapFile(AddressRange& range, int file, const std::vector<FileRun>& runs);

  /// Checks that there is memory for using this many bytes of the frames. A morsel may be larger
  /// than the memory, since frames are sparse; what is in it may not.
  /// Errors  kNoMemory.
  Status CheckMemoryFor(uint64_t bytes) const;

  /// Makes the frames read-only: a store raises SIGSEGV.
  /// Errors  kNoMemory.
  Status Protect();

  /// Gives the host back the memory of [offset, offset + size_bytes), as far as it is private and
  /// of small pages. That is zero and untouched afterwards; other memory stays as it is.
  /// Units  both are multiples of 4 KiB.
  void GiveBack(uint64_t offset, uint64_t size_bytes);

  /// Says of [offset, offset + size_bytes), as far as it is private and of small pages, whether
  /// the kernel may use huge pages at the first touch. New frames are huge.
  /// Units  both are multiples of 2 MiB.
  void AdviseHuge(uint64_t offset, uint64_t size_bytes, bool huge) const;

  /// Makes one huge page of the pages of the subtree at `offset`, all of which were touched, if it
  /// may be huge and the kernel can (Linux 6.1). What is in them does not change.
  void JoinPages(uint64_t offset) const;

  /// Calls visit(begin, end) for the touched pages of [begin, end), in order, as far as that is
  /// private and of small pages.
  /// Units  both are multiples of 2 MiB.
  void ForEachTouched(uint64_t begin, uint64_t end,
                      const std::function<void(uint64_t, uint64_t)>& visit) const;

  uint64_t size_bytes() const { return size_bytes_; }
  /// Where the last frame ends; at least size_bytes().
  uint64_t end() const { return runs_.empty() ? 0 : runs_.back().end(); }
  const std::vector<FrameRun>& runs() const { return runs_; }
  /// How many bytes of the frames are of this kind.
  uint64_t BytesOf(FrameKind kind) const;

  char* at(uint64_t offset) const { return base_ + offset; }

  /// What the kernel's page tables say, for who tracks these frames, too; not open where there is
  /// none. It stays open: a process that gives up its rights may not open it again.
  const Pagemap& pagemap() const { return pagemap_; }

  /// If the kernel does not tell, these return all pages, and each subtree.
  PageSet::Pages Of(SubtreePosition position) const override;
  SubtreePosition Next(SubtreePosition from, SubtreePosition end) const override;

 private:
  Frames(FrameChoice choice, Pagemap pagemap)
      : choice_(std::move(choice)), pagemap_(std::move(pagemap)) {}

  template <class Visit>
  void ForEachPrivate(uint64_t begin, uint64_t end, const Visit& visit) const;
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
  Descriptor memory_file_;  ///< for the shmem kinds; offsets in it are those in the range
};

/// Places a zeroed, writable page at `offset` of the range. It lies beside a morsel, belongs to
/// this process, and is never on the medium.
/// Errors  kNoMemory: the range is as before.
Status PlaceProcessPage(AddressRange& range, uint64_t offset);

}  // namespace morsel::os
