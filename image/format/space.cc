#include "image/format/space.h"

#include <algorithm>

#include "base/bits.h"
#include "base/check.h"

namespace morsel::image {

FileExtent TableExtentOf(const Entry& entry) {
  return {entry.offset, AlignUp(entry.stored_bytes, kBlockBytes)};
}

FileExtent LeafExtentOf(const Entry& leaf) {
  return {leaf.offset, AlignUp(leaf.stored_bytes, kBlockBytes) + kPageSumsBytes};
}

FileExtent ListExtentOf(const PatchList& list) {
  return {list.offset, AlignUp(list.count * sizeof(Patch), kBlockBytes)};
}

std::optional<FileExtent> LogExtentOf(const ImageSuperblock& superblock) {
  if (!HasLog(superblock)) return std::nullopt;
  return FileExtent{superblock.log_offset, superblock.log_bytes};
}

Space::Space(const std::vector<FileExtent>& used) {
  for (const FileExtent& extent : used) {
    if (extent.offset > end_) Insert(end_, extent.offset);
    end_ = std::max(end_, extent.end());
  }
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
  if (best == by_size_.end()) {
    end_ += size_bytes;
    return end_ - size_bytes;
  }
  return TakeFrom(best, size_bytes).offset;
}

FileExtent Space::TakeSome(uint64_t size_bytes, uint64_t fragments_max) {
  const bool many = fragment_bytes_ > fragments_max;
  const auto run = by_size_.lower_bound({many ? 0 : kFragmentBytes, 0});
  if (run != by_size_.end()) return TakeFrom(run, size_bytes);
  end_ += size_bytes;
  return {end_ - size_bytes, size_bytes};
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
