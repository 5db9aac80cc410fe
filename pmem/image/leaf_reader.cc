#include "pmem/image/leaf_reader.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <map>
#include <string>

#include "base/error.h"
#include "pmem/image/leaf_writer.h"

namespace morsel::pmem::image {
namespace {

// As many as are in flight, and some that are being verified.
constexpr size_t kSlots = kIoDepth + 4;
/// With the sums behind it.
constexpr uint64_t kLeafBytes = kSubtreeBytes + kPageSumsBytes;

}  // namespace

LeafReader::~LeafReader() {
  workers_.reset();
  if (io_ != nullptr) io_->Drain();
}

Status LeafReader::Begin(std::span<const IoBuffer> buffers) {
  has_buffers_ = !buffers.empty();
  slots_.resize(kSlots);
  for (size_t slot = 0; slot < kSlots; ++slot) free_.push_back(slot);
  Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(file_, false, buffers);
  if (!io) return io.status();
  io_ = std::move(*io);
  workers_ = std::make_unique<Workers>(
      kSlots, [this](size_t slot) { slots_[slot].is_sound = IsSound(slots_[slot]); },
      ProcessorCount());
  return Code::kOk;
}

Status LeafReader::Load(const Tree& tree, char* frames) {
  if (tree.nodes.empty()) return Code::kOk;
  MORSEL_TRY(Begin({}));
  return ReadAll(
      tree,
      [frames](const Piece& piece, size_t) {
        return frames + piece.position.value() * kSubtreeBytes + piece.in_leaf;
      },
      [](SubtreePosition, Status status) { return status; });
}

Status LeafReader::Verify(const Tree& tree, const std::function<void(const char*)>& report) {
  if (tree.nodes.empty()) return Code::kOk;
  const Buffer memory = MakeBuffer(kSlots * kLeafBytes);
  if (memory == nullptr) return Fail(Code::kNoMemory, "no memory to verify an image with");
  std::vector<IoBuffer> buffers;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    buffers.push_back({memory.get() + slot * kLeafBytes, kLeafBytes});
  }
  std::map<SubtreePosition, std::string> sentences;
  const Status begun = Begin(buffers);
  const Status read =
      !begun.ok() ? begun
                  : ReadAll(
                        tree, [&](const Piece&, size_t slot) { return buffers[slot].bytes; },
                        [&](SubtreePosition position, Status) {
                          sentences.emplace(position, LastError());
                          return Status();
                        });
  for (const auto& [position, sentence] : sentences) report(sentence.c_str());
  // The memory goes before the requests do.
  workers_.reset();
  if (io_ != nullptr) io_->Drain();
  return read;
}

Status LeafReader::ReadAll(const Tree& tree, const Place& place, const Failed& failed) {
  for (uint64_t giant = 0; giant < tree.nodes.size(); ++giant) {
    const std::vector<Entry>& leaves = tree.nodes[giant].leaves;
    for (uint64_t i = 0; i < leaves.size(); ++i) {
      if (!IsPresent(leaves[i])) continue;
      const SubtreePosition position(giant * kEntriesPerNode + i);
      const uint64_t size_bytes = has_buffers_ ? kLeafBytes : kSubtreeBytes;
      MORSEL_TRY(
          Read({position, 0, leaves[i].offset, size_bytes, SumOf(leaves[i])}, place, failed));
    }
  }
  // A leaf is verified as it was written before any of its pages is replaced.           [IMG-8]
  MORSEL_TRY(Finish(failed));
  for (const auto& [position, patches] : tree.patches) {
    for (const Patch& patch : patches) {
      const Piece page = {position, patch.page * kPageBytes, patch.offset, kPageBytes,
                          SumOf(patch)};
      MORSEL_TRY(Read(page, place, failed));
    }
  }
  return Finish(failed);
}

Status LeafReader::Read(const Piece& piece, const Place& place, const Failed& failed) {
  while (free_.empty() || io_->in_flight() == kIoDepth) MORSEL_TRY(Advance(failed));
  const size_t index = free_.back();
  Slot& slot = slots_[index];
  slot.piece = piece;
  slot.to = place(piece, index);
  const Status begun = io_->StartRead(slot.to, piece.size_bytes, piece.offset,
                                      has_buffers_ ? static_cast<int>(index) : -1, index);
  if (!begun.ok()) return failed(piece.position, begun);
  free_.pop_back();
  return Code::kOk;
}

Status LeafReader::Finish(const Failed& failed) {
  while (io_->in_flight() > 0 || !verifying_.empty()) MORSEL_TRY(Advance(failed));
  return Code::kOk;
}

// On any thread.
bool LeafReader::IsSound(const Slot& slot) const {
  if (slot.piece.size_bytes == kPageBytes) {
    return Checksum128(slot.to, kPageBytes) == slot.piece.sum;
  }
  PageSums sums;
  if (SumPages(slot.to, sums) != slot.piece.sum) return false;
  return slot.piece.size_bytes == kSubtreeBytes ||
         std::memcmp(slot.to + kSubtreeBytes, &sums, sizeof sums) == 0;
}

// What is read is verified while the disk reads on.
Status LeafReader::Advance(const Failed& failed) {
  if (!verifying_.empty() && io_->in_flight() < kIoDepth) {
    const size_t slot = verifying_.front();
    verifying_.pop_front();
    workers_->Await(slot);
    free_.push_back(slot);
    const Status judged = Judge(slots_[slot]);
    return judged.ok() ? judged : failed(slots_[slot].piece.position, judged);
  }
  const BlockIo::Done done = io_->Wait();
  if (!done.status.ok()) {
    free_.push_back(done.tag);
    return failed(slots_[done.tag].piece.position, done.status);
  }
  verifying_.push_back(done.tag);
  workers_->Start(done.tag);
  return Code::kOk;
}

Status LeafReader::Judge(const Slot& slot) const {
  if (slot.is_sound) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s': %s, %" PRIu64 " bytes at offset %" PRIu64
              ", fails its checksum; restore it from a copy",
              file_.path().c_str(), SubtreeName(base_, slot.piece.position).c_str(),
              slot.piece.size_bytes, slot.piece.offset);
}

}  // namespace morsel::pmem::image
