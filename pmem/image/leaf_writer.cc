#include "pmem/image/leaf_writer.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace morsel::pmem::image {
namespace {

// As many as are in flight, and some that are being prepared; fewer where each takes twice the
// memory.
constexpr uint64_t kSlots = kIoDepth + 4;
constexpr uint64_t kSlotsOfCodec = kIoDepth + 2;
/// With more of its pages dirty a subtree is looked at as a whole: it may be in one huge frame.
constexpr size_t kDirtyMax = kPatchesMax / 2;

bool IsZero(const char* bytes, uint64_t size_bytes) {
  return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size_bytes - 1) == 0;
}

void CopyPage(char* to, const char* subtree, uint32_t page, const PageSet::Pages& touched) {
  if (touched.test(page)) {
    std::memcpy(to, subtree + page * kPageBytes, kPageBytes);
  } else {
    std::memset(to, 0, kPageBytes);
  }
}

}  // namespace

LeafWriter::~LeafWriter() {
  workers_.reset();
  if (io_ != nullptr) io_->Drain();
}

Status LeafWriter::MakeSlots(uint64_t leaves) {
  static_assert(sizeof(Bounce) == kBlockBytes + kSubtreeBytes + kPageSumsBytes);
  const bool encodes = codec_ != Codec::kNone;
  slots_.resize(std::min(leaves, encodes ? kSlotsOfCodec : kSlots));
  for (Slot& slot : slots_) {
    slot.memory = MakeBuffer(sizeof(Bounce) + (encodes ? sizeof(Encoded) : 0));
    if (slot.memory == nullptr) {
      return Fail(Code::kNoMemory, "no memory for a checkpoint's buffers");
    }
    free_.push_back(free_.size());
  }
  return Code::kOk;
}

Status LeafWriter::Begin(uint64_t leaves, bool mostly_patches, Tree* tree) {
  tree_ = tree;
  is_registered_ = !mostly_patches;
  MORSEL_TRY(MakeSlots(leaves));
  if (slots_.empty()) return Code::kOk;
  std::vector<IoBuffer> buffers;
  const bool encodes = codec_ != Codec::kNone;
  for (const Slot& slot : slots_) {
    if (!is_registered_) break;
    buffers.push_back({slot.memory.get(), sizeof(Bounce) + (encodes ? sizeof(Encoded) : 0)});
  }
  Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(file_, true, buffers);
  if (!io) return io.status();
  io_ = std::move(*io);
  const auto threads = static_cast<unsigned>(std::min<uint64_t>(ProcessorCount(), slots_.size()));
  if (encodes) decided_max_ = threads;
  for (unsigned i = 0; encodes && i < threads; ++i) {
    Result<Encoder> encoder = Encoder::Make(codec_);
    if (!encoder) return encoder.status();
    encoders_.push_back(std::move(*encoder));
  }
  workers_ = std::make_unique<Workers>(
      slots_.size(), [this](size_t slot, unsigned thread) { Work(slots_[slot], thread); }, threads);
  return Code::kOk;
}

// On any thread.
void LeafWriter::Work(Slot& slot, unsigned thread) {
  if (slot.fate == Fate::kUndecided) return Prepare(slot);
  slot.encoded_bytes = encoders_[thread].Encode(slot.bounce()->pages, slot.encoded());
}

// On any thread.
// ORDER  copy  <  checksum  <  write
// WHY    what the checksum is of must be what is written, whatever is stored meanwhile.  [IMG-6]
// CRASH  no difference; a leaf that was stored to while it was written would load as kCorrupt.
// TEST   pmem/image/store_test: AStoreDuringTheCheckpointDamagesNothing
void LeafWriter::Prepare(Slot& slot) {
  Bounce& bounce = *slot.bounce();
  if (slot.dirty.empty()) {
    slot.is_zero = !CopyWhole(slot);
    if (slot.is_zero) return;
    slot.sum = SumPages(bounce.pages, bounce.sums);
    return;
  }
  for (size_t i = 0; i < slot.dirty.size(); ++i) {
    char* const page = bounce.pages + i * kPageBytes;
    CopyPage(page, slot.subtree, slot.dirty[i], slot.touched);
    const Sum128 sum = Checksum128(page, kPageBytes);
    bounce.list[i] = {0, slot.dirty[i], 0, sum.low, sum.high};
  }
}

// False where it is zero.
bool LeafWriter::CopyWhole(const Slot& slot) {
  char* const pages = slot.bounce()->pages;
  if (slot.touched.all()) {
    if (IsZero(slot.subtree, kSubtreeBytes)) return false;
    std::memcpy(pages, slot.subtree, kSubtreeBytes);
    return true;
  }
  for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
    CopyPage(pages + page * kPageBytes, slot.subtree, page, slot.touched);
  }
  return !IsZero(pages, kSubtreeBytes);
}

Entry& LeafWriter::EntryOf(SubtreePosition position) {
  return tree_->nodes[position.value() / kEntriesPerNode]
      .leaves[position.value() % kEntriesPerNode];
}

Status LeafWriter::Add(SubtreePosition position, const char* subtree, const PageSet::Pages* dirty,
                       const PageSet::Pages& touched) {
  while (free_.empty()) MORSEL_TRY(Advance());
  const size_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.position = position;
  slot.subtree = subtree;
  slot.old = old_.leaf(position);
  slot.fate = Fate::kUndecided;
  slot.encoded_bytes = 0;
  slot.touched = touched;
  slot.dirty.clear();
  if (dirty != nullptr && IsPresent(slot.old) && dirty->count() <= kDirtyMax) {
    for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
      if (dirty->test(page)) slot.dirty.push_back(page);
    }
  }
  prepared_.push_back(index);
  workers_->Start(index);
  return Code::kOk;
}

Status LeafWriter::Finish() {
  while (!prepared_.empty() || !decided_.empty()) MORSEL_TRY(Advance());
  while (io_ != nullptr && io_->in_flight() > 0) MORSEL_TRY(Reap());
  return Code::kOk;
}

// The disk is kept busy, so that its queue is filled before any of it is waited for. What is to be
// compressed is known before it is waited for, too.
Status LeafWriter::Advance() {
  const bool nothing_waits = prepared_.empty() && decided_.empty();
  if (nothing_waits || io_->in_flight() == kIoDepth) return Reap();
  if (!prepared_.empty() && decided_.size() < decided_max_) {
    const size_t slot = prepared_.front();
    prepared_.pop_front();
    workers_->Await(slot);
    Decide(slot);
    return Code::kOk;
  }
  const size_t slot = decided_.front();
  decided_.pop_front();
  workers_->Await(slot);
  return Commit(slot);
}

void LeafWriter::Decide(size_t index) {
  Slot& slot = slots_[index];
  slot.fate = FateOf(slot);
  decided_.push_back(index);
  if (slot.fate == Fate::kLeaf && codec_ != Codec::kNone) workers_->Start(index);
}

LeafWriter::Fate LeafWriter::FateOf(Slot& slot) {
  const auto keep = [&] {
    tree_->Keep(slot.position, old_);
    return Fate::kNothing;
  };
  if (slot.dirty.empty()) {
    if (slot.is_zero) return Fate::kNothing;
    if (slot.old.kind == Kind::kPresent && SumOf(slot.old) == slot.sum) return keep();
    if (!FindChanged(slot)) return Fate::kLeaf;
    if (slot.dirty.empty()) return keep();
  }
  slot.merged = Merged(slot);
  if (slot.merged.size() <= kPatchesMax &&
      tree_->patch_count + slot.merged.size() <= kPatchesInMemory) {
    tree_->patch_count += slot.merged.size();
    return Fate::kPatches;
  }
  slot.dirty.clear();
  Prepare(slot);
  return slot.is_zero ? Fate::kNothing : Fate::kLeaf;
}

Status LeafWriter::Commit(size_t index) {
  switch (slots_[index].fate) {
    case Fate::kLeaf:
      return WriteLeaf(index);
    case Fate::kPatches:
      return WritePatches(index);
    default:
      free_.push_back(index);
      return Code::kOk;
  }
}

// Of a whole leaf in the bounce buffer: which pages the old one has otherwise. They are packed.
// False where a leaf of its own is due: there is no old one, its sums cannot be read, too much of
// it has changed.
bool LeafWriter::FindChanged(Slot& slot) const {
  if (!IsPresent(slot.old)) return false;
  const KeepLastError keep;
  PageSums old;
  const uint64_t sums_offset = LeafExtentOf(slot.old).end() - kPageSumsBytes;
  if (!file_.ReadExactly(&old, sizeof old, sums_offset).ok()) return false;
  if (Checksum128(&old, sizeof old) != SumOf(slot.old)) return false;
  if (const std::vector<Patch>* const patches = old_.PatchesOf(slot.position)) {
    for (const Patch& patch : *patches) {
      old.halves[2 * patch.page] = patch.sum_low;
      old.halves[2 * patch.page + 1] = patch.sum_high;
    }
  }
  const PageSums& now = slot.bounce()->sums;
  const auto differs = [&](uint32_t page) {
    return std::memcmp(&now.halves[2 * page], &old.halves[2 * page], sizeof(Sum128)) != 0;
  };
  std::vector<uint32_t> changed;
  for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
    if (differs(page)) changed.push_back(page);
  }
  if (changed.size() > kPatchesMax) return false;
  char* const pages = slot.bounce()->pages;
  for (size_t i = 0; i < changed.size(); ++i) {
    const uint32_t page = changed[i];
    slot.bounce()->list[i] = {0, page, 0, now.halves[2 * page], now.halves[2 * page + 1]};
  }
  // A leaf of its own may be due after all, so that the pages stay where they are if so.
  slot.dirty = std::move(changed);
  if (Merged(slot).size() > kPatchesMax) {
    slot.dirty.clear();
    return false;
  }
  for (size_t i = 0; i < slot.dirty.size(); ++i) {
    std::memmove(pages + i * kPageBytes, pages + slot.dirty[i] * kPageBytes, kPageBytes);
  }
  return true;
}

// The old patches, and in place of some the pages in the bounce buffer, which have no offset yet.
std::vector<Patch> LeafWriter::Merged(const Slot& slot) const {
  std::vector<Patch> merged;
  const Patch* fresh = slot.bounce()->list;
  const Patch* const end = fresh + slot.dirty.size();
  static const std::vector<Patch> kNone;
  const std::vector<Patch>* const old = old_.PatchesOf(slot.position);
  for (const Patch& patch : old != nullptr ? *old : kNone) {
    while (fresh != end && fresh->page < patch.page) merged.push_back(*fresh++);
    if (fresh == end || fresh->page != patch.page) merged.push_back(patch);
  }
  merged.insert(merged.end(), fresh, end);
  return merged;
}

// [IMG-1] [IMG-9]
Status LeafWriter::WriteLeaf(size_t index) {
  Slot& slot = slots_[index];
  Entry leaf{};
  leaf.kind = Kind::kPresent;
  leaf.codec = slot.encoded_bytes != 0 ? codec_ : Codec::kNone;
  leaf.stored_bytes = slot.encoded_bytes != 0 ? slot.encoded_bytes : kSubtreeBytes;
  leaf.sum_low = slot.sum.low;
  leaf.sum_high = slot.sum.high;
  const uint64_t size_bytes = LeafExtentOf(leaf).size_bytes;
  leaf.offset = space_.Take(size_bytes);
  written_.push_back({leaf.offset, size_bytes});
  EntryOf(slot.position) = leaf;
  const char* bytes = slot.bounce()->pages;
  if (slot.encoded_bytes != 0) {
    char* const end = slot.encoded() + slot.encoded_bytes;
    char* const sums = slot.encoded() + size_bytes - kPageSumsBytes;
    std::memset(end, 0, static_cast<size_t>(sums - end));
    std::memcpy(sums, &slot.bounce()->sums, kPageSumsBytes);
    bytes = slot.encoded();
  }
  return io_->StartWrite(bytes, size_bytes, leaf.offset, BufferOf(index), index);
}

// [IMG-1] The list and the pages behind it are written as one.
Status LeafWriter::WritePatches(size_t index) {
  Slot& slot = slots_[index];
  std::vector<Patch>& merged = slot.merged;
  const uint64_t size_bytes = kBlockBytes + slot.dirty.size() * kPageBytes;
  const uint64_t offset = space_.Take(size_bytes);
  written_.push_back({offset, size_bytes});
  uint64_t page_offset = offset + kBlockBytes;
  for (Patch& patch : merged) {
    if (patch.offset != 0) continue;
    patch.offset = page_offset;
    page_offset += kPageBytes;
  }
  Bounce& bounce = *slot.bounce();
  const uint64_t list_bytes = merged.size() * sizeof(Patch);
  std::memcpy(bounce.list, merged.data(), list_bytes);
  std::memset(reinterpret_cast<char*>(bounce.list) + list_bytes, 0, kBlockBytes - list_bytes);
  Entry leaf = slot.old;
  leaf.kind = Kind::kPatched;
  leaf.patch_offset = offset;
  leaf.patch_count = static_cast<uint32_t>(merged.size());
  const Sum128 sum = Checksum128(merged.data(), list_bytes);
  leaf.patch_sum_low = sum.low;
  leaf.patch_sum_high = sum.high;
  EntryOf(slot.position) = leaf;
  tree_->patches[slot.position] = std::move(merged);
  return io_->StartWrite(slot.memory.get(), size_bytes, offset, BufferOf(index), index);
}

Status LeafWriter::Reap() {
  const BlockIo::Done done = io_->Wait();
  free_.push_back(done.tag);
  return done.status;
}

}  // namespace morsel::pmem::image
