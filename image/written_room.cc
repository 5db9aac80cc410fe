#include "image/written_room.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/bits.h"
#include "image/log/record_layout.h"

namespace morsel::image {
namespace {

// The first byte at or behind `from` that is as `whence` says, at most `end`. Where the file system
// does not tell, all is written. What is behind the file's end is not.
uint64_t Next(const os::File& file, int whence, uint64_t from, uint64_t end) {
  const off_t at = lseek(file.descriptor(), static_cast<off_t>(from), whence);
  if (at < 0) return whence == SEEK_HOLE && errno == ENXIO ? from : end;
  return std::min(static_cast<uint64_t>(at), end);
}

// Calls `visit` with the holes of an extent, in whole blocks.
template <class Visit>
void ForEachHoleOf(const os::File& file, FileExtent extent, Visit visit) {
  for (uint64_t at = extent.offset; at < extent.end();) {
    const uint64_t begin = AlignDown(Next(file, SEEK_HOLE, at, extent.end()), kBlockBytes);
    if (begin >= extent.end()) return;
    const uint64_t end = AlignUp(Next(file, SEEK_DATA, begin, extent.end()), kBlockBytes);
    visit(FileExtent{begin, end - begin});
    at = end;
  }
}

// The holes of what is free, of those that are long enough.
std::vector<FileExtent> HolesOf(const os::File& file, const Space& space, uint64_t least_bytes) {
  std::vector<FileExtent> holes;
  for (const auto& [begin, end] : space.free_runs()) {
    ForEachHoleOf(file, {begin, end - begin}, [&](FileExtent hole) {
      if (hole.size_bytes >= least_bytes) holes.push_back(hole);
    });
  }
  return holes;
}

}  // namespace

uint64_t SettleBytesFor(const Tree& tree, uint64_t page_count) {
  uint64_t leaves = 0;
  uint64_t tables = 0;
  const auto add_table = [&](const Entry& entry) {
    if (!IsPresent(entry)) return;
    for (const FileExtent& copy : TableExtentsOf(entry)) tables += copy.size_bytes;
  };
  add_table(tree.root);
  for (const Table& table : tree.tables) {
    add_table(table.entry);
    leaves +=
        static_cast<uint64_t>(std::count_if(table.leaves.begin(), table.leaves.end(), IsPresent));
  }
  return std::min(leaves, page_count) * kPageSumsBytes + tables;
}

// What a settle replaces is free again after it only, and in pieces that the next one can use. A
// checkpoint without a log has tables of its own, and lists beside those that they replace.
uint64_t ReserveBytesFor(const Tree& tree, uint64_t log_bytes, uint64_t most) {
  const uint64_t settle = SettleBytesFor(tree, log_bytes / kBlockBytes + kRecordPagesMax);
  const uint64_t listed = kRecordPagesMax * (kPageBytes + 4 * sizeof(Patch));
  return std::min(settle + SettleBytesFor(tree, 0) + listed, AlignDown(most, kBlockBytes));
}

uint64_t WrittenBytes(const os::File& file, const Space& space, uint64_t enough) {
  uint64_t written = 0;
  const auto add = [&](FileExtent extent) {
    written += extent.size_bytes;
    ForEachHoleOf(file, extent, [&](FileExtent hole) { written -= hole.size_bytes; });
  };
  for (const auto& [begin, end] : space.free_runs()) {
    add({begin, end - begin});
    if (written > enough) return written;
  }
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (size_bytes && *size_bytes > space.end()) {
    add({space.end(), AlignDown(*size_bytes - space.end(), kBlockBytes)});
  }
  return written;
}

std::vector<FileExtent> TakeMissing(const os::File& file, Space& space, uint64_t reserve_bytes) {
  const uint64_t written = WrittenBytes(file, space, reserve_bytes);
  uint64_t left = reserve_bytes - std::min(written, reserve_bytes);
  std::vector<FileExtent> taken;
  if (left == 0) return taken;
  for (const FileExtent& hole : HolesOf(file, space, kFragmentBytes)) {
    if (left == 0) break;
    taken.push_back({hole.offset, std::min(hole.size_bytes, left)});
    space.Claim(taken.back());
    left -= taken.back().size_bytes;
  }
  // What is written behind the end counts, and stays where it is.
  const Result<uint64_t> size_bytes = file.SizeBytes();
  const uint64_t file_bytes = size_bytes ? *size_bytes : 0;
  if (left > 0) {
    const uint64_t tail =
        file_bytes > space.end() ? AlignUp(file_bytes - space.end(), kBlockBytes) : 0;
    taken.push_back({space.TakeBehind(tail + left), tail + left});
  }
  return taken;
}

OnlyWritten::OnlyWritten(const os::File& file, Space& space, uint64_t kept_bytes)
    : space_(space), held_(HolesOf(file, space, 0)) {
  space_.SetFull(true);
  for (const FileExtent& hole : held_) space_.Claim(hole);
  while (kept_bytes > 0) {
    const FileExtent kept = space_.TakeOfLargest(kept_bytes);
    if (kept.size_bytes == 0) break;
    held_.push_back(kept);
    kept_bytes -= kept.size_bytes;
  }
}

OnlyWritten::~OnlyWritten() {
  space_.SetFull(false);
  for (const FileExtent& extent : held_) space_.Give(extent);
}

}  // namespace morsel::image
