#include "pmem/image/leaf_writer.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace morsel::pmem::image {
namespace {

// As many as are in flight, and some that are being prepared.
constexpr uint64_t kSlots = kIoDepth + 4;

bool IsZero(const char* bytes, uint64_t size_bytes) {
  return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size_bytes - 1) == 0;
}

}  // namespace

Buffer MakeBuffer(uint64_t size_bytes) {
  return Buffer(static_cast<char*>(std::aligned_alloc(kBlockBytes, size_bytes)));
}

LeafWriter::~LeafWriter() {
  workers_.reset();
  if (io_ != nullptr) io_->Drain();
}

Status LeafWriter::Begin(uint64_t leaves) {
  slots_.resize(std::min(leaves, kSlots));
  std::vector<IoBuffer> buffers;
  for (Slot& slot : slots_) {
    slot.bounce = MakeBuffer(kSubtreeBytes);
    if (slot.bounce == nullptr)
      return Fail(Code::kNoMemory, "no memory for a checkpoint's buffers");
    buffers.push_back({slot.bounce.get(), kSubtreeBytes});
    free_.push_back(free_.size());
  }
  if (slots_.empty()) return Code::kOk;
  Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(file_, true, buffers);
  if (!io) return io.status();
  io_ = std::move(*io);
  const auto threads = std::min<uint64_t>(ProcessorCount(), slots_.size());
  workers_ = std::make_unique<Workers>(
      slots_.size(), [this](size_t slot) { Prepare(slots_[slot]); },
      static_cast<unsigned>(threads));
  return Code::kOk;
}

// On any thread.
void LeafWriter::Prepare(Slot& slot) {
  slot.made = {};
  if (IsZero(slot.subtree, kSubtreeBytes)) return;
  // ORDER  copy  <  checksum  <  write
  // WHY    what the checksum is of must be what is written, whatever is stored meanwhile.  [IMG-6]
  // CRASH  no difference; a leaf that was stored to while it was written would load as kCorrupt.
  // TEST   pmem/image/store_test: AStoreDuringTheCheckpointDamagesNothing
  std::memcpy(slot.bounce.get(), slot.subtree, kSubtreeBytes);
  const Sum128 sum = Checksum128(slot.bounce.get(), kSubtreeBytes);
  const Entry& old = slot.old;
  if (IsPresent(old) && old.stored_bytes == kSubtreeBytes && SumOf(old) == sum) {
    slot.made = old;
    return;
  }
  slot.made.kind = Kind::kPresent;
  slot.made.stored_bytes = kSubtreeBytes;
  slot.made.sum_low = sum.low;
  slot.made.sum_high = sum.high;
}

Status LeafWriter::Add(const char* subtree, const Entry& old, Entry* entry) {
  while (free_.empty()) MORSEL_TRY(Advance());
  const size_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.subtree = subtree;
  slot.old = old;
  slot.entry = entry;
  prepared_.push_back(index);
  workers_->Start(index);
  return Code::kOk;
}

Status LeafWriter::Finish() {
  while (!prepared_.empty()) MORSEL_TRY(Advance());
  while (io_ != nullptr && io_->in_flight() > 0) MORSEL_TRY(Reap());
  return Code::kOk;
}

// The disk is kept busy, so that its queue is filled before any of it is waited for.
Status LeafWriter::Advance() {
  if (prepared_.empty() || io_->in_flight() == kIoDepth) return Reap();
  const size_t slot = prepared_.front();
  prepared_.pop_front();
  workers_->Await(slot);
  return Commit(slot);
}

// [IMG-1]
Status LeafWriter::Commit(size_t index) {
  Slot& slot = slots_[index];
  *slot.entry = slot.made;
  if (!IsPresent(slot.made) || slot.made == slot.old) {
    free_.push_back(index);
    return Code::kOk;
  }
  slot.entry->offset = space_.Take(slot.made.stored_bytes);
  written_.push_back(ExtentOf(*slot.entry));
  return io_->StartWrite(slot.bounce.get(), kSubtreeBytes, slot.entry->offset,
                         static_cast<int>(index), index);
}

Status LeafWriter::Reap() {
  const BlockIo::Done done = io_->Wait();
  free_.push_back(done.tag);
  return done.status;
}

}  // namespace morsel::pmem::image
