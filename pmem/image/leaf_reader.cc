#include "pmem/image/leaf_reader.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <map>
#include <string>

#include "base/bits.h"
#include "base/error.h"

namespace morsel::pmem::image {
namespace {

// As many as are in flight, and some that are being verified.
constexpr size_t kSlots = kIoDepth + 4;
/// With the sums behind it.
constexpr uint64_t kLeafBytes = kSubtreeBytes + kPageSumsBytes;

// Into frames: replaced pages come on top.
uint64_t LoadedBytes(const Tree& tree) {
  uint64_t bytes = tree.patch_count * kPageBytes;
  for (const Node& node : tree.nodes) {
    for (const Entry& leaf : node.leaves) bytes += IsPresent(leaf) ? kSubtreeBytes : 0;
  }
  return bytes;
}

bool HasEncoded(const Tree& tree) {
  for (const Node& node : tree.nodes) {
    for (const Entry& leaf : node.leaves) {
      if (leaf.codec != Codec::kNone) return true;
    }
  }
  return false;
}

}  // namespace

LeafReader::~LeafReader() {
  workers_.reset();
  if (io_ != nullptr) io_->Drain();
}

// Each slot gets slot_bytes of memory; none where leaves are read into frames.
Status LeafReader::Begin(uint64_t slot_bytes) {
  const auto threads = std::min<unsigned>(ProcessorCount(), kSlots);
  std::vector<IoBuffer> buffers;
  slot_bytes_ = slot_bytes;
  if (slot_bytes != 0) {
    memory_ = MakeBuffer(kSlots * slot_bytes);
    if (verifies()) decoded_ = MakeBuffer(threads * kSubtreeBytes);
    if (memory_ == nullptr || (verifies() && decoded_ == nullptr)) {
      return Fail(Code::kNoMemory, "no memory to read an image with");
    }
    for (size_t slot = 0; slot < kSlots; ++slot) {
      buffers.push_back({memory_.get() + slot * slot_bytes, slot_bytes});
    }
    for (unsigned i = 0; i < threads; ++i) {
      Result<Decoder> decoder = Decoder::Make();
      if (!decoder) return decoder.status();
      decoders_.push_back(std::move(*decoder));
    }
  }
  slots_.resize(kSlots);
  for (size_t slot = 0; slot < kSlots; ++slot) free_.push_back(slot);
  Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(file_, false, buffers);
  if (!io) return io.status();
  io_ = std::move(*io);
  workers_ = std::make_unique<Workers>(
      kSlots,
      [this](size_t slot, unsigned thread) {
        slots_[slot].is_sound = IsSound(slots_[slot], thread);
      },
      threads);
  return Code::kOk;
}

Status LeafReader::Load(const Tree& tree, char* frames, const Progress& progress) {
  ProgressMeter meter(progress, Activity::kLoading, LoadedBytes(tree));
  meter_ = &meter;
  MORSEL_TRY(LoadIntact(tree, frames, [](SubtreePosition, Status status) { return status; }));
  meter.Finish();
  return Code::kOk;
}

Status LeafReader::LoadIntact(const Tree& tree, char* frames, const Failed& report) {
  if (tree.nodes.empty()) return Code::kOk;
  frames_ = frames;
  MORSEL_TRY(Begin(HasEncoded(tree) ? kEncodedBytesMax : 0));
  return ReadAll(tree, report);
}

Status LeafReader::Verify(const Tree& tree, const std::function<void(const char*)>& report,
                          const Progress& progress) {
  if (tree.nodes.empty()) return Code::kOk;
  ProgressMeter meter(progress, Activity::kVerifying, LoadedBytes(tree));
  meter_ = &meter;
  std::map<SubtreePosition, std::string> sentences;
  const Status begun = Begin(kLeafBytes);
  const Status read = !begun.ok() ? begun : ReadAll(tree, [&](SubtreePosition position, Status) {
    sentences.emplace(position, LastError());
    return Status();
  });
  if (read.ok()) meter.Finish();
  for (const auto& [position, sentence] : sentences) report(sentence.c_str());
  return read;
}

Status LeafReader::ReadAll(const Tree& tree, const Failed& failed) {
  for (uint64_t giant = 0; giant < tree.nodes.size(); ++giant) {
    const std::vector<Entry>& leaves = tree.nodes[giant].leaves;
    for (uint64_t i = 0; i < leaves.size(); ++i) {
      const Entry& leaf = leaves[i];
      if (!IsPresent(leaf)) continue;
      const SubtreePosition position(giant * kEntriesPerNode + i);
      MORSEL_TRY(
          Read({position, 0, leaf.offset, leaf.stored_bytes, leaf.codec, SumOf(leaf)}, failed));
    }
  }
  // A leaf is verified as it was written before any of its pages is replaced.           [IMG-8]
  MORSEL_TRY(Finish(failed));
  for (const auto& [position, patches] : tree.patches) {
    for (const LivePatch& patch : *patches) {
      const Piece page = {position, patch.page * kPageBytes, patch.offset, kPageBytes, Codec::kNone,
                          patch.sum};
      MORSEL_TRY(Read(page, failed));
    }
  }
  return Finish(failed);
}

Status LeafReader::Read(const Piece& piece, const Failed& failed) {
  while (free_.empty() || io_->in_flight() == kIoDepth) MORSEL_TRY(Advance(failed));
  const size_t index = free_.back();
  Slot& slot = slots_[index];
  slot.piece = piece;
  slot.frame =
      verifies() ? nullptr : frames_ + piece.position.value() * kSubtreeBytes + piece.in_leaf;
  const bool in_memory = verifies() || piece.codec != Codec::kNone;
  slot.stored = in_memory ? memory_.get() + index * slot_bytes_ : slot.frame;
  uint64_t size_bytes = AlignUp(piece.stored_bytes, kBlockBytes);
  if (verifies() && !piece.is_page()) size_bytes += kPageSumsBytes;
  const Status begun = io_->StartRead(slot.stored, size_bytes, piece.offset,
                                      in_memory ? static_cast<int>(index) : -1, index);
  if (!begun.ok()) return failed(piece.position, begun);
  free_.pop_back();
  return Code::kOk;
}

Status LeafReader::Finish(const Failed& failed) {
  while (io_->in_flight() > 0 || !verifying_.empty()) MORSEL_TRY(Advance(failed));
  return Code::kOk;
}

// On any thread.
bool LeafReader::IsSound(const Slot& slot, unsigned thread) {
  const Piece& piece = slot.piece;
  if (piece.is_page()) return Checksum128(slot.stored, kPageBytes) == piece.sum;
  char* leaf = slot.stored;
  if (piece.codec != Codec::kNone) {
    leaf = verifies() ? decoded_.get() + thread * kSubtreeBytes : slot.frame;
    const bool fits = decoders_[thread].Decode(piece.codec, slot.stored, piece.stored_bytes, leaf);
    if (!fits) return false;
  }
  PageSums sums;
  if (SumPages(leaf, sums) != piece.sum) return false;
  const char* const behind = slot.stored + AlignUp(piece.stored_bytes, kBlockBytes);
  return !verifies() || std::memcmp(behind, &sums, sizeof sums) == 0;
}

// What is read is verified while the disk reads on.
Status LeafReader::Advance(const Failed& failed) {
  if (!verifying_.empty() && io_->in_flight() < kIoDepth) {
    const size_t slot = verifying_.front();
    verifying_.pop_front();
    workers_->Await(slot);
    free_.push_back(slot);
    if (meter_ != nullptr) {
      meter_->Advance(slots_[slot].piece.is_page() ? kPageBytes : kSubtreeBytes);
    }
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
              slot.piece.stored_bytes, slot.piece.offset);
}

}  // namespace morsel::pmem::image
