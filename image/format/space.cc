#include "image/format/space.h"

#include <algorithm>

#include "base/bits.h"
#include "base/check.h"

namespace morsel::image {

namespace {

/// So many free runs that are large enough are looked at before the file is made longer.
constexpr int kRunsLookedAt = 64;

}  // namespace

// In version 4 there was one copy.
std::vector<FileExtent> TableExtentsOf(const Entry& entry) {
  const uint64_t size_bytes = AlignUp(entry.stored_bytes, kBlockBytes);
  std::vector<FileExtent> extents = {{entry.offset, size_bytes}};
  if (entry.second != 0) extents.push_back({entry.second, size_bytes});
  return extents;
}

FileExtent LeafExtentOf(const Entry& leaf) {
  return {leaf.offset, AlignUp(leaf.stored_bytes, kBlockBytes)};
}

FileExtent SumsExtentOf(const Entry& leaf) { return {leaf.second, kPageSumsBytes}; }

FileExtent ListExtentOf(const PatchList& list) {
  return {list.offset, AlignUp(list.count * sizeof(Patch), kBlockBytes)};
}

std::optional<FileExtent> LogExtentOf(const ImageSuperblock& superblock) {
  if (!HasLog(superblock)) return std::nullopt;
  return FileExtent{superblock.log_offset, superblock.log_bytes};
}

Space::Space(const std::vector<FileExtent>& used) {
  constexpr FileExtent kSlotB = {kSlotOffsets[1], kSuperblockBytes};
  const auto use = [&](FileExtent extent) {
    if (extent.offset > end_) Insert(end_, extent.offset);
    end_ = std::max(end_, extent.end());
  };
  const auto behind = std::lower_bound(used.begin(), used.end(), kSlotB);
  std::for_each(used.begin(), behind, use);
  use(kSlotB);
  std::for_each(behind, used.end(), use);
}

void Space::Insert(uint64_t begin, uint64_t end) {
  free_.emplace(begin, end);
  by_size_.emplace(end - begin, begin);
  if (end - begin < kFragmentBytes) fragment_bytes_ += end - begin;
}

void Space::Erase(std::map<uint64_t, uint64_t>::iterator run) {
  const uint64_t size_bytes = run->second - run->first;
  by_size_.erase({size_bytes, run->first});
  if (size_bytes < kFragmentBytes) fragment_bytes_ -= size_bytes;
  free_.erase(run);
}

uint64_t Space::Take(uint64_t size_bytes) {
  const auto best = by_size_.lower_bound({size_bytes, 0});
  if (best == by_size_.end()) return TakeFromEnd(end_, size_bytes);
  return TakeFrom(best, size_bytes).offset;
}

// Claims a part of a run, if that has it.
bool Space::TakeAt(std::set<std::pair<uint64_t, uint64_t>>::iterator run, uint64_t begin,
                   uint64_t size_bytes) {
  const uint64_t run_begin = run->second;
  const uint64_t run_end = run_begin + run->first;
  if (begin < run_begin || begin + size_bytes > run_end) return false;
  Erase(free_.find(run_begin));
  if (run_begin < begin) Insert(run_begin, begin);
  if (begin + size_bytes < run_end) Insert(begin + size_bytes, run_end);
  return true;
}

FileExtent Space::TakeOfLargest(uint64_t size_bytes) {
  return by_size_.empty() ? FileExtent{} : TakeFrom(std::prev(by_size_.end()), size_bytes);
}

void Space::Claim(FileExtent extent) {
  auto run = free_.upper_bound(extent.offset);
  MORSEL_CHECK(run != free_.begin());
  --run;
  const bool is_free = TakeAt(by_size_.find({run->second - run->first, run->first}), extent.offset,
                              extent.size_bytes);
  MORSEL_CHECK(is_free);
}

// Claims what is behind the last extent; what is left before `begin` is free.
uint64_t Space::TakeFromEnd(uint64_t begin, uint64_t size_bytes) {
  if (end_ < begin) Insert(end_, begin);
  end_ = begin + size_bytes;
  return begin;
}

uint64_t Space::TakeApart(uint64_t size_bytes, uint64_t offset) {
  const uint64_t part = AlignDown(offset, kApartBytes);
  const auto is_apart = [&](uint64_t begin) { return AlignDown(begin, kApartBytes) != part; };
  auto run = by_size_.lower_bound({size_bytes, 0});
  const auto first = run;
  for (int i = 0; (is_full_ || i < kRunsLookedAt) && run != by_size_.end(); ++i, ++run) {
    const uint64_t begin = is_apart(run->second) ? run->second : part + kApartBytes;
    if (TakeAt(run, begin, size_bytes)) return begin;
  }
  if (is_full_ && first != by_size_.end()) return TakeFrom(first, size_bytes).offset;
  return TakeFromEnd(is_apart(end_) ? end_ : part + kApartBytes, size_bytes);
}

uint64_t Space::TakePlace() {
  auto run = by_size_.lower_bound({kSubtreeBytes, 0});
  for (int i = 0; i < kRunsLookedAt && run != by_size_.end(); ++i, ++run) {
    const uint64_t begin = AlignUp(run->second, kSubtreeBytes);
    if (TakeAt(run, begin, kSubtreeBytes)) return begin;
  }
  return TakeFromEnd(AlignUp(end_, kSubtreeBytes), kSubtreeBytes);
}

FileExtent Space::TakeSome(uint64_t size_bytes, uint64_t fragments_max) {
  const bool many = fragment_bytes_ > fragments_max;
  const auto run = by_size_.lower_bound({many ? 0 : kFragmentBytes, 0});
  if (run != by_size_.end()) return TakeFrom(run, size_bytes);
  return {TakeFromEnd(end_, size_bytes), size_bytes};
}

FileExtent Space::TakeFrom(std::set<std::pair<uint64_t, uint64_t>>::iterator run,
                           uint64_t size_bytes) {
  const FileExtent some = {run->second, std::min(size_bytes, run->first)};
  const uint64_t end = run->second + run->first;
  Erase(free_.find(some.offset));
  if (some.end() < end) Insert(some.end(), end);
  return some;
}

void Space::Give(FileExtent extent) {
  uint64_t begin = extent.offset;
  uint64_t end = extent.end();
  MORSEL_CHECK(begin >= kExtentsStart && begin < end && end <= end_);
  auto next = free_.lower_bound(begin);
  MORSEL_CHECK(next == free_.end() || end <= next->first);
  if (next != free_.end() && next->first == end) {
    end = next->second;
    Erase(next);
    next = free_.lower_bound(end);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    MORSEL_CHECK(before->second <= begin);
    if (before->second == begin) {
      begin = before->first;
      Erase(before);
    }
  }
  if (end == end_) {
    end_ = begin;
  } else {
    Insert(begin, end);
  }
}

}  // namespace morsel::image
