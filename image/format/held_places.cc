#include "image/format/held_places.h"

#include <algorithm>

#include "base/bits.h"
#include "image/format/layout.h"
#include "os/file/file_lock.h"

namespace morsel::image {
namespace {

// In whole blocks, whoever has locked what.
os::RangeSet MappedNow(const os::File& file) {
  os::RangeSet mapped;
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return mapped;
  for (const os::ByteSpan& span : os::MappedByOthers(file, *size_bytes)) {
    const uint64_t begin = std::max(AlignDown(span.begin, kBlockBytes), kExtentsStart);
    mapped.Add(begin, AlignUp(span.end, kBlockBytes));
  }
  return mapped;
}

}  // namespace

void HeldPlaces::Find(const os::File& file, std::vector<FileExtent>& used) {
  held_ = MappedNow(file);
  kept_ = held_;
  for (const FileExtent& extent : used) kept_.Remove(extent.offset, extent.end());
  kept_.Remove(kSlotOffsets[1], kSlotOffsets[1] + kSuperblockBytes);
  for (const auto& [begin, end] : kept_.ranges()) used.push_back({begin, end - begin});
  std::sort(used.begin(), used.end());
}

std::vector<FileExtent> HeldPlaces::LookAgain(const os::File& file) {
  if (held_.ranges().empty()) return {};
  const os::RangeSet now = MappedNow(file);
  os::RangeSet gone = held_;
  for (const auto& [begin, end] : now.ranges()) gone.Remove(begin, end);
  std::vector<FileExtent> free;
  for (const auto& [begin, end] : gone.ranges()) {
    held_.Remove(begin, end);
    for (uint64_t at = kept_.Next(begin, end); at < end; at = kept_.Next(at, end)) {
      const uint64_t past = std::min(end, kept_.At(at).second);
      free.push_back({at, past - at});
      at = past;
    }
    kept_.Remove(begin, end);
  }
  return free;
}

std::vector<FileExtent> HeldPlaces::Release(const std::vector<FileExtent>& freed) {
  if (held_.ranges().empty()) return freed;
  std::vector<FileExtent> free;
  for (const FileExtent& extent : freed) {
    for (uint64_t at = extent.offset; at < extent.end();) {
      const uint64_t held = held_.Next(at, extent.end());
      if (at < held) free.push_back({at, held - at});
      at = std::min(extent.end(), held_.At(held).second);
      kept_.Add(held, at);
    }
  }
  return free;
}

}  // namespace morsel::image
