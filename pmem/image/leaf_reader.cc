#include "pmem/image/leaf_reader.h"

#include <algorithm>
#include <cinttypes>
#include <map>
#include <string>

#include "base/error.h"
#include "pmem/image/leaf_writer.h"

namespace morsel::pmem::image {
namespace {

// As many as are in flight, and some that are being verified.
constexpr size_t kSlots = kIoDepth + 4;

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
      kSlots,
      [this](size_t index) {
        Slot& slot = slots_[index];
        slot.is_sound = Checksum128(slot.to, slot.leaf.stored_bytes) == SumOf(slot.leaf);
      },
      ProcessorCount());
  return Code::kOk;
}

Status LeafReader::Load(const Tree& tree, char* frames) {
  if (tree.nodes.empty()) return Code::kOk;
  MORSEL_TRY(Begin({}));
  return ReadAll(
      tree,
      [frames](SubtreePosition position, size_t) {
        return frames + position.value() * kSubtreeBytes;
      },
      [](SubtreePosition, Status status) { return status; });
}

Status LeafReader::Verify(const Tree& tree, const std::function<void(const char*)>& report) {
  if (tree.nodes.empty()) return Code::kOk;
  const Buffer memory = MakeBuffer(kSlots * kSubtreeBytes);
  if (memory == nullptr) return Fail(Code::kNoMemory, "no memory to verify an image with");
  std::vector<IoBuffer> buffers;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    buffers.push_back({memory.get() + slot * kSubtreeBytes, kSubtreeBytes});
  }
  std::map<SubtreePosition, std::string> sentences;
  const Status begun = Begin(buffers);
  const Status read =
      !begun.ok() ? begun
                  : ReadAll(
                        tree, [&](SubtreePosition, size_t slot) { return buffers[slot].bytes; },
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
      while (free_.empty() || io_->in_flight() == kIoDepth) MORSEL_TRY(Advance(failed));
      const size_t index = free_.back();
      Slot& slot = slots_[index];
      slot.position = SubtreePosition(giant * kEntriesPerNode + i);
      slot.leaf = leaves[i];
      slot.to = place(slot.position, index);
      const Status begun = io_->StartRead(slot.to, leaves[i].stored_bytes, leaves[i].offset,
                                          has_buffers_ ? static_cast<int>(index) : -1, index);
      if (!begun.ok()) {
        MORSEL_TRY(failed(slot.position, begun));
        continue;
      }
      free_.pop_back();
    }
  }
  while (io_->in_flight() > 0 || !verifying_.empty()) MORSEL_TRY(Advance(failed));
  return Code::kOk;
}

// What is read is verified while the disk reads on.
Status LeafReader::Advance(const Failed& failed) {
  if (!verifying_.empty() && io_->in_flight() < kIoDepth) {
    const size_t slot = verifying_.front();
    verifying_.pop_front();
    workers_->Await(slot);
    free_.push_back(slot);
    const Status judged = Judge(slots_[slot]);
    return judged.ok() ? judged : failed(slots_[slot].position, judged);
  }
  const BlockIo::Done done = io_->Wait();
  if (!done.status.ok()) {
    free_.push_back(done.tag);
    return failed(slots_[done.tag].position, done.status);
  }
  verifying_.push_back(done.tag);
  workers_->Start(done.tag);
  return Code::kOk;
}

Status LeafReader::Judge(const Slot& slot) const {
  if (slot.is_sound) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s': %s, %" PRIu32 " bytes at offset %" PRIu64
              ", fails its checksum; restore it from a copy",
              file_.path().c_str(), SubtreeName(base_, slot.position).c_str(),
              slot.leaf.stored_bytes, slot.leaf.offset);
}

}  // namespace morsel::pmem::image
