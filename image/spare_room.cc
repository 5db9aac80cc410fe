#include "image/spare_room.h"

#include <fcntl.h>

#include <algorithm>

#include "image/written_room.h"

namespace morsel::image {
namespace {

// Makes a hole.
void Punch(const os::File& file, FileExtent extent) {
  (void)file.calls().FAllocate(file.descriptor(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               static_cast<int64_t>(extent.offset),
                               static_cast<int64_t>(extent.size_bytes));
}

// Makes holes of what is free of an extent.
void PunchFree(const os::File& file, const Space& space, FileExtent extent) {
  const auto& runs = space.free_runs();
  auto run = runs.upper_bound(extent.offset);
  if (run != runs.begin()) --run;
  for (; run != runs.end() && run->first < extent.end(); ++run) {
    const uint64_t begin = std::max(run->first, extent.offset);
    const uint64_t end = std::min(run->second, extent.end());
    if (begin < end) Punch(file, {begin, end - begin});
  }
}

// What lies behind the last extent, at most so many bytes.
void CutTail(const os::File& file, const Space& space, uint64_t& left) {
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes || *size_bytes <= space.end()) return;
  const uint64_t cut = std::min(left, *size_bytes - space.end());
  if (cut > 0 && file.Resize(*size_bytes - cut).ok()) left -= cut;
}

}  // namespace

void SpareRoom::Add(FileExtent extent) {
  // Single pages are soon taken again, and a hole for each would cost more than it saves.
  if (extent.size_bytes < kFragmentBytes) return;
  waiting_.push_back(extent);
  waiting_bytes_ += extent.size_bytes;
}

// ORDER  what lies behind the last extent is cut off  <  the first write
// WHY    after a sync that failed, the file's length may be one of the cache alone. A write that
//        does not make the file longer would be durable then, and lie behind the medium's end.
// CRASH  loses nothing.
// TEST   tests/disk/image_test: SurvivesAFailureOfEachCall
void SpareRoom::Find(const os::File& file, const Space& space) {
  uint64_t all = UINT64_MAX;
  CutTail(file, space, all);
  const Result<uint64_t> allocated_bytes = file.AllocatedBytes();
  if (!allocated_bytes) return;
  uint64_t used = space.end();
  for (const auto& [begin, end] : space.free_runs()) used -= end - begin;
  if (*allocated_bytes <= used + kept_max(space)) return;
  for (const auto& [begin, end] : space.free_runs()) Add({begin, end - begin});
}

// ORDER  superblock, synced  <  what it does not lead to is cut off or becomes a hole
// WHY    as for every other use of what is free: the caller has the order.        [IMG-1] [IMF-2]
// CRASH  loses nothing; the next open finds what is free.
// TEST   image/crash_test: NothingThatASuperblockLeadsToIsTouched
void SpareRoom::Return(const os::File& file, const Space& space, uint64_t written_bytes) {
  uint64_t left = std::max(kReturnedMin, 2 * written_bytes);
  ReturnTail(file, space, left);
  while (waiting_bytes_ > kept_max(space) && left > 0) {
    const FileExtent some = {waiting_.front().offset, std::min(waiting_.front().size_bytes, left)};
    PunchFree(file, space, some);
    left -= some.size_bytes;
    DropWaiting(some);
  }
}

void SpareRoom::ReturnAll(const os::File& file, const Space& space, uint64_t reserve_bytes) {
  const uint64_t written = WrittenBytes(file, space, UINT64_MAX);
  uint64_t left = written - std::min(written, reserve_bytes);
  CutTail(file, space, left);
  while (!waiting_.empty() && left > 0) {
    const FileExtent some = {waiting_.front().offset, std::min(waiting_.front().size_bytes, left)};
    PunchFree(file, space, some);
    left -= some.size_bytes;
    DropWaiting(some);
  }
}

void SpareRoom::DropWaiting(FileExtent some) {
  FileExtent& oldest = waiting_.front();
  waiting_bytes_ -= some.size_bytes;
  oldest = {some.end(), oldest.size_bytes - some.size_bytes};
  if (oldest.size_bytes == 0) waiting_.pop_front();
}

// Cuts the file, by no more than is left.
void SpareRoom::ReturnTail(const os::File& file, const Space& space, uint64_t& left) const {
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes || *size_bytes <= space.end() + kept_max(space)) return;
  CutTail(file, space, left);
}

}  // namespace morsel::image
