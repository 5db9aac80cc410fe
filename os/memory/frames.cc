#include "os/memory/frames.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/file_size_limit.h"
#include "base/units.h"
#include "os/memory/page_runs.h"

namespace morsel::os {
namespace {

// The pages of the 2 MiB at `offset` that the memory file has. All pages if the kernel does not
// tell.
PageSet::Pages DataOf(int file, uint64_t offset) {
  PageSet::Pages pages;
  const auto end = static_cast<off_t>(offset + kSubtreeBytes);
  off_t at = lseek(file, static_cast<off_t>(offset), SEEK_DATA);
  if (at < 0 && errno != ENXIO) return pages.set();
  while (at >= 0 && at < end) {
    const off_t hole = std::min(end, lseek(file, at, SEEK_HOLE));
    if (hole <= at) return pages.set();
    for (off_t page = at; page < hole; page += kPageBytes) {
      pages.set((static_cast<uint64_t>(page) - offset) / kPageBytes);
    }
    at = hole < end ? lseek(file, hole, SEEK_DATA) : end;
  }
  return pages;
}

}  // namespace

Result<Frames> Frames::Open(bool read_only) {
  Result<FrameChoice> choice = ChooseFrames(read_only);
  if (!choice) return choice.status();
  const KeepLastError keep;
  Result<Pagemap> pagemap = Pagemap::Open();
  return Frames(std::move(*choice), pagemap ? std::move(*pagemap) : Pagemap());
}

Frames Frames::OpenPrivate() {
  const KeepLastError keep;
  Result<Pagemap> pagemap = Pagemap::Open();
  FrameChoice choice;
  choice.kinds.push_back(FrameKind::kAnonymous);
  return Frames(std::move(choice), pagemap ? std::move(*pagemap) : Pagemap());
}

Frames::Frames(Frames&& other) noexcept
    : choice_(std::move(other.choice_)),
      pagemap_(std::move(other.pagemap_)),
      base_(other.base_),
      size_bytes_(other.size_bytes_),
      runs_(std::move(other.runs_)),
      memory_file_(std::move(other.memory_file_)) {}

Status Frames::Resize(AddressRange& range, uint64_t size_bytes) {
  MORSEL_CHECK(IsAligned(size_bytes, kSubtreeBytes));
  base_ = range.at(0);
  if (size_bytes < size_bytes_) return Cut(range, size_bytes);
  const uint64_t before = end();
  if (size_bytes > before) {
    if (const Status filled = Fill(range, before, size_bytes, 0); !filled.ok()) {
      const KeepLastError keep;
      if (end() > before) MORSEL_TRY(range.Withdraw(before, end() - before));
      DropRunsFrom(before);
      return filled;
    }
  }
  size_bytes_ = size_bytes;
  return Code::kOk;
}

// Fills [begin, end) with memory of the kinds from index `kind` on. What does not fill a whole
// frame of a kind, before and behind, is of the next kinds.
Status Frames::Fill(AddressRange& range, uint64_t begin, uint64_t end, size_t kind) {
  if (begin == end) return Code::kOk;
  if (kind + 1 == choice_.kinds.size() && FrameBytes(choice_.kinds[kind]) == kPageBytes) {
    return Place(range, choice_.kinds[kind], begin, end - begin);
  }
  MORSEL_CHECK(kind < choice_.kinds.size());
  const FrameKind wanted = choice_.kinds[kind];
  const uint64_t first = AlignUp(range.base() + begin, FrameBytes(wanted)) - range.base();
  const uint64_t past = AlignDown(range.base() + end, FrameBytes(wanted)) - range.base();
  if (first >= past || past > end) return Fill(range, begin, end, kind + 1);
  MORSEL_TRY(Fill(range, begin, first, kind + 1));
  const uint64_t missing = past - TakeOf(range, wanted, first, past);
  if (missing > 0 && choice_.is_forced && kind == 0) return RanOut(wanted, missing);
  return Fill(range, past - missing, end, kind + 1);
}

// Places memory of this kind from `begin` on, as much as there is, but not past `end`. Returns
// where that memory ends.
uint64_t Frames::TakeOf(AddressRange& range, FrameKind kind, uint64_t begin, uint64_t end) {
  uint64_t piece = end - begin;
  while (piece > 0 && begin < end) {
    const KeepLastError keep;
    if (Place(range, kind, begin, piece).ok()) {
      begin += piece;
      piece = std::min(piece, end - begin);
    } else {
      piece = AlignDown(piece / 2, FrameBytes(kind));
    }
  }
  return begin;
}

Status Frames::Place(AddressRange& range, FrameKind kind, uint64_t offset, uint64_t size_bytes) {
  const Result<void*> memory = Map(kind, offset, size_bytes);
  if (!memory) return memory.status();
  if (const Status placed = range.Place(*memory, offset, size_bytes); !placed.ok()) {
    munmap(*memory, size_bytes);
    return placed;
  }
  if (!runs_.empty() && runs_.back().kind == kind) {
    runs_.back().size_bytes += size_bytes;
  } else {
    runs_.push_back({offset, size_bytes, kind});
  }
  return Code::kOk;
}

// Maps the memory at an address that the kernel chooses; AddressRange::Place() moves it.
Result<void*> Frames::Map(FrameKind kind, uint64_t offset, uint64_t size_bytes) {
  constexpr int kAccess = PROT_READ | PROT_WRITE;
  void* memory = MAP_FAILED;
  if (IsMemoryFile(kind)) {
    if (!memory_file_.is_open()) {
      const DescriptorFloor floor;
      memory_file_ = Descriptor(memfd_create("morsel-frames", MFD_CLOEXEC));
    }
    if (IsAboveFileSizeLimit(offset + size_bytes)) {
      errno = EFBIG;
    } else if (memory_file_.is_open() &&
               ftruncate(memory_file_.number(), static_cast<off_t>(offset + size_bytes)) == 0) {
      memory = mmap(nullptr, size_bytes, kAccess, MAP_SHARED, memory_file_.number(),
                    static_cast<off_t>(offset));
    }
  } else {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (FrameBytes(kind) == kPageBytes) flags |= MAP_NORESERVE;  // see CheckMemoryFor()
    // mmap(2) reserves pages of hugetlb for the mapping.
    if (FrameBytes(kind) > kPageBytes) {
      flags |= MAP_HUGETLB | std::countr_zero(FrameBytes(kind)) << MAP_HUGE_SHIFT;
    }
    memory = mmap(nullptr, size_bytes, kAccess, flags, -1, 0);
    if (memory != MAP_FAILED && FrameBytes(kind) > kPageBytes && !TakePages(memory, size_bytes)) {
      munmap(memory, size_bytes);
      memory = MAP_FAILED;
      errno = ENOMEM;
    }
  }
  if (memory == MAP_FAILED) {
    return FailErrno("no %" PRIu64 " bytes of memory (%s) for the addresses from %p", size_bytes,
                     FrameKindName(kind), static_cast<void*>(at(offset)));
  }
  const bool is_huge = kind == FrameKind::kAnonymous || kind == FrameKind::kShmemHuge;
  // This is a hint: a kernel without huge pages gives small ones.
  if (is_huge) (void)madvise(memory, size_bytes, MADV_HUGEPAGE);
  return memory;
}

Status Frames::MapFile(AddressRange& range, int file, const std::vector<FileRun>& runs) {
  MORSEL_CHECK(choice_.kinds.size() == 1 && choice_.kinds[0] == FrameKind::kAnonymous);
  const uint64_t end = this->end();
  std::vector<FrameRun> all;
  uint64_t done = 0;
  const auto add = [&](uint64_t to, FrameKind kind) {
    if (done < to) all.push_back({done, to - done, kind});
    done = to;
  };
  for (const FileRun& run : runs) {
    MORSEL_CHECK(run.offset >= done && run.end() <= end);
    void* const memory =
        mmap(nullptr, run.size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file,
             static_cast<off_t>(run.file_offset));
    if (memory == MAP_FAILED) {
      return FailErrno("%" PRIu64 " bytes of a file cannot be mapped", run.size_bytes);
    }
    if (const Status placed = range.Place(memory, run.offset, run.size_bytes); !placed.ok()) {
      munmap(memory, run.size_bytes);
      return placed;
    }
    add(run.offset, FrameKind::kAnonymous);
    add(run.end(), FrameKind::kFile);
  }
  add(end, FrameKind::kAnonymous);
  runs_ = std::move(all);
  return Code::kOk;
}

Status Frames::RanOut(FrameKind kind, uint64_t missing_bytes) const {
  return Fail(Code::kNoMemory,
              "MORSEL_FRAMES is %s, and the host has %" PRIu64 " pages of %" PRIu64
              " MiB too few, or a control group forbids them; reserve more "
              "(/sys/kernel/mm/hugepages/hugepages-%" PRIu64
              "kB/nr_hugepages), or set "
              "MORSEL_FRAMES=auto",
              FrameKindName(kind), missing_bytes / FrameBytes(kind), FrameBytes(kind) / kMiB,
              FrameBytes(kind) / kKiB);
}

// Makes the frames shorter. A page of 1 GiB that the new end lies in stays: it cannot be unmapped
// in part, and others may read the part before the end. The part behind the end is zeroed. [FRM-2]
Status Frames::Cut(AddressRange& range, uint64_t size_bytes) {
  uint64_t keep_to = 0;
  for (const FrameRun& run : runs_) {
    if (run.offset >= size_bytes) break;
    keep_to =
        std::min(run.end(), run.offset + AlignUp(size_bytes - run.offset, FrameBytes(run.kind)));
  }
  if (keep_to < end()) MORSEL_TRY(range.Withdraw(keep_to, end() - keep_to));
  DropRunsFrom(keep_to);
  for (uint64_t at = size_bytes; at < std::min(keep_to, size_bytes_); at += kSubtreeBytes) {
    if (Of(SubtreePosition(at / kSubtreeBytes)).any()) std::memset(this->at(at), 0, kSubtreeBytes);
  }
  size_bytes_ = size_bytes;
  return Code::kOk;
}

void Frames::DropRunsFrom(uint64_t offset) {
  while (!runs_.empty() && runs_.back().offset >= offset) runs_.pop_back();
  if (!runs_.empty()) runs_.back().size_bytes = std::min(end(), offset) - runs_.back().offset;
  // Otherwise the memory file would keep what was cut off, and the frames would come back with
  // their old bytes. Truncating cannot fail: the file is ours and has no seals. If the program has
  // closed it, nothing comes back from it.
  const int file = memory_file_.number();
  if (file >= 0) MORSEL_CHECK(ftruncate(file, static_cast<off_t>(end())) == 0);
}

// Asks the kernel by a mapping of that size: it knows memory, swap, limits and its own overcommit
// policy.
Status Frames::CheckMemoryFor(uint64_t bytes) const {
  const uint64_t promised = BytesOf(FrameKind::kHugetlb1G) + BytesOf(FrameKind::kHugetlb2M);
  if (bytes <= promised) return Code::kOk;
  bytes -= promised;
  void* const probe = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) return FailErrno("no %" PRIu64 " bytes of memory for a morsel", bytes);
  // After mlockall(MCL_FUTURE) the kernel would fill the mapping with pages.
  (void)munlock(probe, bytes);
  const bool is_there = mprotect(probe, bytes, PROT_READ | PROT_WRITE) == 0;
  const Status status =
      is_there ? Status() : FailErrno("no %" PRIu64 " bytes of memory for a morsel", bytes);
  munmap(probe, bytes);
  return status;
}

template <class Visit>
void Frames::ForEachPrivate(uint64_t begin, uint64_t end, const Visit& visit) const {
  for (const FrameRun& run : runs_) {
    const uint64_t from = std::max(begin, run.offset);
    const uint64_t to = std::min(end, run.end());
    if (run.kind == FrameKind::kAnonymous && from < to) visit(from, to);
  }
}

void Frames::GiveBack(uint64_t offset, uint64_t size_bytes) {
  ForEachPrivate(offset, offset + size_bytes, [this](uint64_t begin, uint64_t end) {
    // It fails for memory that the program has locked (mlockall), which then stays.
    (void)madvise(at(begin), end - begin, MADV_DONTNEED);
  });
}

void Frames::AdviseHuge(uint64_t offset, uint64_t size_bytes, bool huge) const {
  // These are hints.
  ForEachPrivate(offset, offset + size_bytes, [&](uint64_t begin, uint64_t end) {
    (void)madvise(at(begin), end - begin, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  });
}

void Frames::JoinPages(uint64_t offset) const {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, which the headers may be too old for
  (void)madvise(at(offset), kSubtreeBytes, kCollapse);
}

void Frames::ForEachTouched(uint64_t begin, uint64_t end,
                            const std::function<void(uint64_t, uint64_t)>& visit) const {
  const KeepLastError keep;
  ForEachPrivate(begin, end, [&](uint64_t from, uint64_t to) {
    if (!pagemap_.is_open()) return;
    const auto visit_pages = [&](const char* first, const char* past) {
      visit(static_cast<uint64_t>(first - base_), static_cast<uint64_t>(past - base_));
    };
    if (pagemap_.ForEachPopulated(at(from), at(to), visit_pages).ok()) return;
    // Before Linux 6.7. Where the kernel does not tell, nothing was touched, unlike in Of().
    (void)ForEachRun(
        from, to,
        [this](SubtreePosition position) -> Result<PageSet::Pages> {
          const Result<Pagemap::Subtree> read = pagemap_.Read(at(position.value() * kSubtreeBytes));
          if (!read) return read.status();
          return read->populated;
        },
        [&](uint64_t offset, uint64_t size_bytes) {
          visit(offset, offset + size_bytes);
          return Status();
        });
  });
}

Status Frames::Protect() {
  if (end() == 0 || mprotect(base_, end(), PROT_READ) == 0) return Code::kOk;
  return FailErrno("the memory at %p cannot be made read-only", static_cast<void*>(base_));
}

uint64_t Frames::BytesOf(FrameKind kind) const {
  uint64_t sum = 0;
  for (const FrameRun& run : runs_) sum += run.kind == kind ? run.size_bytes : 0;
  return sum;
}

const FrameRun& Frames::RunAt(uint64_t offset) const {
  const auto behind =
      std::upper_bound(runs_.begin(), runs_.end(), offset,
                       [](uint64_t value, const FrameRun& run) { return value < run.offset; });
  MORSEL_CHECK(behind != runs_.begin() && offset < end());
  return *(behind - 1);
}

PageSet::Pages Frames::Of(SubtreePosition position) const {
  const uint64_t offset = position.value() * kSubtreeBytes;
  const FrameRun& run = RunAt(offset);
  // A page of a file need not be in any page table.
  if (run.kind == FrameKind::kFile) return PageSet::Pages().set();
  if (IsMemoryFile(run.kind)) return DataOf(memory_file_.number(), offset);
  const KeepLastError keep;
  if (pagemap_.is_open()) {
    const Result<Pagemap::Subtree> subtree = pagemap_.Read(at(offset));
    if (subtree) return subtree->populated;
  }
  return PageSet::Pages().set();
}

SubtreePosition Frames::Next(SubtreePosition from, SubtreePosition end) const {
  const uint64_t end_offset = end.value() * kSubtreeBytes;
  for (uint64_t at = from.value() * kSubtreeBytes; at < end_offset;) {
    const FrameRun& run = RunAt(at);
    const uint64_t run_end = std::min(end_offset, run.end());
    at = NextIn(run, at, run_end);
    if (at < run_end) return SubtreePosition(at / kSubtreeBytes);
  }
  return end;
}

// The first offset of [begin, end) that may have been touched; `end` if there is none.
uint64_t Frames::NextIn(const FrameRun& run, uint64_t begin, uint64_t end) const {
  if (IsMemoryFile(run.kind)) {
    const off_t data = lseek(memory_file_.number(), static_cast<off_t>(begin), SEEK_DATA);
    if (data < 0) return errno == ENXIO ? end : begin;
    return std::min(end, static_cast<uint64_t>(data));
  }
  const KeepLastError keep;
  if (run.kind == FrameKind::kFile || !pagemap_.is_open()) return begin;
  const Result<const char*> first = pagemap_.FirstPopulated(at(begin), at(end));
  return first ? static_cast<uint64_t>(*first - base_) : begin;
}

Status PlaceProcessPage(AddressRange& range, uint64_t offset) {
  void* const memory =
      mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return FailErrno("no page of memory for the process' own");
  const Status status = range.Place(memory, offset, kPageBytes);
  if (!status.ok()) munmap(memory, kPageBytes);
  return status;
}

}  // namespace morsel::os
