#include "image/store/leaf_writer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "image/store/leaf_pieces.h"
#include "image/store/page_sums.h"
#include "image/store/touched_copy.h"

namespace morsel::image {
namespace {

// Enough for all writes in flight, and for some leaves that are being prepared. With a codec there
// are fewer, as each takes twice the memory.
constexpr uint64_t kSlots = os::kIoDepth + 4;
constexpr uint64_t kSlotsOfCodec = os::kIoDepth + 2;
/// Where fewer leaves are expected: more may come, one after the other.
constexpr uint64_t kSlotsMin = 2;
/// If more pages of a leaf have changed, it is written whole. That costs no more than to write them
/// elsewhere first, and then in their places.
constexpr size_t kChangedMax = kPagesPerLeaf / 2;

bool IsZero(const char* bytes, uint64_t size_bytes) {
  return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size_bytes - 1) == 0;
}

}  // namespace

LeafWriter::~LeafWriter() {
  workers_.reset();
  if (io_ != nullptr) io_->Drain();
}

Status LeafWriter::MakeSlots() {
  static_assert(sizeof(Bounce) == kSubtreeBytes + kPageSumsBytes);
  slots_.resize(std::clamp(expected_, kSlotsMin, encodes() ? kSlotsOfCodec : kSlots));
  for (Slot& slot : slots_) {
    slot.memory = MakeBuffer(slot_bytes());
    if (slot.memory == nullptr) {
      return Fail(Code::kNoMemory, "no memory for a checkpoint's buffers");
    }
    free_.push_back(free_.size());
  }
  return Code::kOk;
}

Status LeafWriter::Begin() {
  MORSEL_TRY(MakeSlots());
  const auto threads = static_cast<unsigned>(
      std::clamp<uint64_t>(std::min(expected_, slots_.size()), 1, ProcessorCount()));
  if (encodes()) decided_max_ = threads;
  for (unsigned i = 0; encodes() && i < threads; ++i) {
    Result<Encoder> encoder = Encoder::Make(target_.codec);
    if (!encoder) return encoder.status();
    encoders_.push_back(std::move(*encoder));
  }
  workers_ = std::make_unique<Workers>(
      slots_.size(), [this](size_t slot, unsigned thread) { Work(slots_[slot], thread); }, threads);
  return Code::kOk;
}

Status LeafWriter::BeginWriting() {
  if (io_ != nullptr) return Code::kOk;
  std::vector<os::IoBuffer> buffers;
  for (const Slot& slot : slots_) {
    if (is_registered()) buffers.push_back({slot.memory.get(), slot_bytes()});
  }
  Result<std::unique_ptr<os::BlockIo>> io = os::BlockIo::Open(target_.file, true, buffers);
  if (!io) return io.status();
  const Result<uint64_t> end = target_.file.SizeBytes();
  if (!end) return end.status();
  fresh_from_ = *end;
  io_ = std::move(*io);
  return Code::kOk;
}

// Runs on any of the workers' threads.
void LeafWriter::Work(Slot& slot, unsigned thread) {
  if (slot.fate == Fate::kUndecided) return Prepare(slot);
  slot.encoded_bytes = encoders_[thread].Encode(slot.bounce()->pages, slot.encoded());
}

// Compares a leaf with the old one, and copies it if it is to be written. Runs on any of the
// workers' threads.
// ORDER  copy  <  checksum  <  write
// WHY    the checksum must be of the bytes that are written, whatever is stored meanwhile. [IMG-6]
// CRASH  makes no difference. A leaf that is stored to while it is written would load as kCorrupt.
// TEST   image/store_test: AStoreDuringTheCheckpointDamagesNothing
void LeafWriter::Prepare(Slot& slot) {
  slot.is_copied = false;
  if (slot.compares) Compare(slot);
  const bool is_written = !slot.compares || (!slot.is_zero && slot.changed.count() > kChangedMax);
  if (is_written) CopyAndSum(slot);
}

// Sums the pages where they lie, without a copy. Most subtrees that are compared have not changed,
// or only in a few pages, which are copied when they are written. Copying all of a subtree would
// cost as much again as the sums.
void LeafWriter::Compare(Slot& slot) {
  PageSums& sums = slot.bounce()->sums;
  slot.changed.reset();
  slot.is_zero = true;
  for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
    const Sum128 sum = SumOfPage(slot.subtree, page, slot.touched);
    slot.changed.set(page, sum != slot.old_sums.of(page));
    slot.is_zero = slot.is_zero && sum == ZeroPageSum();
    sums.Set(page, sum);
  }
  slot.sum = Checksum128(&sums, sizeof sums);
}

void LeafWriter::CopyAndSum(Slot& slot) {
  Bounce& bounce = *slot.bounce();
  slot.is_copied = true;
  slot.is_zero = !CopyWhole(slot);
  if (!slot.is_zero) slot.sum = SumPages(bounce.pages, bounce.sums);
}

// Copies a subtree into its bounce buffer. Returns false if it is zero.
bool LeafWriter::CopyWhole(const Slot& slot) {
  char* const pages = slot.bounce()->pages;
  if (slot.touched.all()) {
    if (IsZero(slot.subtree, kSubtreeBytes)) return false;
    if (slot.subtree == pages) return true;
    std::memcpy(pages, slot.subtree, kSubtreeBytes);
    return true;
  }
  for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
    CopyPage(pages + page * kPageBytes, slot.subtree, page, slot.touched);
  }
  return !IsZero(pages, kSubtreeBytes);
}

Status LeafWriter::Add(SubtreePosition position, const char* subtree,
                       const os::PageSet::Pages& touched, bool compares) {
  if (touched.none()) return Code::kOk;
  const Result<size_t> index = FreeSlot();
  if (!index) return index.status();
  Slot& slot = slots_[*index];
  slot.position = position;
  slot.subtree = subtree;
  slot.old = old_.leaf(position);
  slot.fate = Fate::kUndecided;
  slot.encoded_bytes = 0;
  slot.touched = touched;
  // If nobody can tell what the old sums are, nobody can tell which pages have changed, and a new
  // leaf is written.
  slot.compares =
      compares && IsPresent(slot.old) && ReadPageSums(target_.file, old_, position, slot.old_sums);
  prepared_.push_back(*index);
  workers_->Start(*index);
  return Code::kOk;
}

Result<size_t> LeafWriter::FreeSlot() {
  if (slots_.empty()) {
    if (Status begun = Begin(); !begun.ok()) return begun;
  }
  while (free_.empty()) {
    if (Status advanced = Advance(); !advanced.ok()) return advanced;
  }
  const size_t index = free_.back();
  free_.pop_back();
  return index;
}

Result<char*> LeafWriter::Take() {
  static_assert(kTakenMax < std::min(kSlots, kSlotsOfCodec));
  MORSEL_CHECK(taken_.size() < kTakenMax);
  const Result<size_t> index = FreeSlot();
  if (!index) return index.status();
  taken_.push_back(*index);
  return slots_[*index].bounce()->pages;
}

Status LeafWriter::AddTaken(SubtreePosition position) {
  const size_t index = taken_.front();
  taken_.pop_front();
  Slot& slot = slots_[index];
  slot.position = position;
  slot.subtree = slot.bounce()->pages;
  slot.old = Entry{};
  slot.fate = Fate::kUndecided;
  slot.encoded_bytes = 0;
  slot.touched.set();
  slot.compares = false;
  prepared_.push_back(index);
  workers_->Start(index);
  return Code::kOk;
}

Status LeafWriter::Finish() {
  while (!prepared_.empty() || !decided_.empty()) MORSEL_TRY(Advance());
  MORSEL_TRY(sums_.Flush());
  while (in_flight() > 0) MORSEL_TRY(Reap());
  return Code::kOk;
}

// Takes one step towards a free slot, and keeps disk and processors busy. If the disk has finished
// a write, its slot is freed first, so that the processors get another leaf. Otherwise the disk's
// queue is filled before any write is waited for. With a codec, several leaves are decided before
// the first is waited for, so that they are compressed at the same time.
Status LeafWriter::Advance() {
  if (in_flight() > 0 && io_->HasDone()) return Reap();
  const bool nothing_waits = prepared_.empty() && decided_.empty();
  if (nothing_waits || in_flight() == os::kIoDepth) return Reap();
  if (!prepared_.empty() && decided_.size() < decided_max_) {
    const size_t slot = prepared_.front();
    prepared_.pop_front();
    workers_->Await(slot);
    return Decide(slot);
  }
  const size_t slot = decided_.front();
  decided_.pop_front();
  workers_->Await(slot);
  return Write(slot);
}

Status LeafWriter::Decide(size_t index) {
  const Result<Fate> fate = FateOf(slots_[index]);
  if (!fate) return fate.status();
  if (*fate == Fate::kDone) {
    free_.push_back(index);
    return Code::kOk;
  }
  slots_[index].fate = *fate;
  decided_.push_back(index);
  if (encodes()) workers_->Start(index);
  return Code::kOk;
}

// Decides what becomes of a leaf that was prepared, and sets it in the tree if it is not to be
// written.
Result<LeafWriter::Fate> LeafWriter::FateOf(Slot& slot) {
  if (slot.is_zero) return Fate::kDone;
  // An old leaf whose page sums could not be read does not stay, even if its bytes are the same: it
  // is written anew, with good sums.
  if (!slot.is_copied) {
    tree_.Keep(slot.position, old_);
    if (slot.changed.none()) return Fate::kDone;
    const Result<bool> replaced =
        patches_.Replace(slot.position, slot.changed, {slot.subtree, slot.touched}, tree_);
    if (!replaced) return replaced.status();
    if (*replaced) return Fate::kDone;
    tree_.Drop(slot.position);
    CopyAndSum(slot);
  }
  return slot.is_zero ? Fate::kDone : Fate::kWrite;
}

// [IMG-1] [IMG-9] [IMG-10]
Status LeafWriter::Write(size_t index) {
  MORSEL_TRY(BeginWriting());
  Slot& slot = slots_[index];
  const bool is_encoded = slot.encoded_bytes != 0;
  Entry leaf{};
  leaf.kind = Kind::kPresent;
  leaf.codec = is_encoded ? target_.codec : Codec::kNone;
  leaf.stored_bytes = is_encoded ? slot.encoded_bytes : kSubtreeBytes;
  leaf.sum_low = slot.sum.low;
  leaf.sum_high = slot.sum.high;
  leaf.generation = target_.generation;
  const uint64_t size_bytes = LeafExtentOf(leaf).size_bytes;
  leaf.offset = is_encoded ? target_.space.Take(size_bytes) : target_.space.TakePlace();
  target_.written.push_back({leaf.offset, size_bytes});
  const Result<uint64_t> sums = sums_.Add(slot.bounce()->sums);
  if (!sums) return sums.status();
  leaf.second = *sums;
  tree_.LeafToSet(slot.position) = leaf;
  if (!is_encoded && leaf.offset >= fresh_from_) return WriteWithHoles(index, leaf.offset);
  const char* bytes = slot.bounce()->pages;
  if (is_encoded) {
    char* const end = slot.encoded() + slot.encoded_bytes;
    std::memset(end, 0, size_bytes - slot.encoded_bytes);
    bytes = slot.encoded();
  }
  slot.writes_left = 1;
  return io_->StartWrite(bytes, size_bytes, leaf.offset, BufferOf(index), index);
}

Status LeafWriter::WriteWithHoles(size_t index, uint64_t offset) {
  Slot& slot = slots_[index];
  const std::vector<LeafPiece> pieces = PiecesOf(slot.bounce()->sums);
  slot.writes_left = pieces.size();
  for (const LeafPiece& piece : pieces) {
    while (in_flight() == io_->depth()) MORSEL_TRY(Reap());
    MORSEL_TRY(io_->StartWrite(slot.bounce()->pages + piece.offset(), piece.size_bytes(),
                               offset + piece.offset(), BufferOf(index), index));
  }
  return Code::kOk;
}

Status LeafWriter::Reap() {
  const os::BlockIo::Done done = io_->Wait();
  if (--slots_[done.tag].writes_left == 0) free_.push_back(done.tag);
  return done.status;
}

}  // namespace morsel::image
