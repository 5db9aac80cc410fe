#include "image/load/leaf_reader.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <map>
#include <string>

#include "base/bits.h"
#include "base/error.h"
#include "base/on_heap.h"
#include "image/format/tree_reader.h"

namespace morsel::image {
namespace {

// Enough for all reads in flight, and for some pieces that are being verified.
constexpr size_t kSlots = os::kIoDepth + 4;

// How much is put into frames.
uint64_t LoadedBytes(const Tree& tree) {
  uint64_t bytes = 0;
  for (const Table& table : tree.tables) {
    for (const Entry& leaf : table.leaves) bytes += IsPresent(leaf) ? kSubtreeBytes : 0;
  }
  return bytes;
}

bool HasEncoded(const Tree& tree) {
  for (const Table& table : tree.tables) {
    for (const Entry& leaf : table.leaves) {
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

Status LeafReader::BeginMemory(size_t memories, uint64_t memory_bytes, unsigned threads) {
  memory_bytes_ = memory_bytes;
  memory_ = MakeBuffer(memories * memory_bytes);
  if (verifies_) decoded_ = MakeBuffer(threads * kSubtreeBytes);
  if (memory_ == nullptr || (verifies_ && decoded_ == nullptr)) {
    return Fail(Code::kNoMemory, "no memory to read an image with");
  }
  for (size_t i = 0; i < memories; ++i) {
    buffers_.push_back({memory_.get() + i * memory_bytes, memory_bytes});
    free_memory_.push_back(buffers_.back().bytes);
  }
  for (unsigned i = 0; i < threads; ++i) {
    Result<Decoder> decoder = Decoder::Make();
    if (!decoder) return decoder.status();
    decoders_.push_back(std::move(*decoder));
  }
  return Code::kOk;
}

// Makes `memories` buffers of memory_bytes each; none if that is 0, as all is read into frames
// then.
Status LeafReader::Begin(size_t memories, uint64_t memory_bytes) {
  const auto threads = std::min<unsigned>(ProcessorCount(), kSlots);
  if (memory_bytes != 0) MORSEL_TRY(BeginMemory(memories, memory_bytes, threads));
  slots_.resize(kSlots);
  sums_.resize(threads);
  verifying_.reserve(kSlots);
  for (size_t slot = 0; slot < kSlots; ++slot) free_.push_back(slot);
  Result<std::unique_ptr<os::BlockIo>> io = os::BlockIo::Open(file_, false, buffers_);
  if (!io) return io.status();
  io_ = std::move(*io);
  workers_ = std::make_unique<Workers>(
      kSlots, [this](size_t slot, unsigned thread) { Look(slots_[slot], thread); }, threads);
  return Code::kOk;
}

Status LeafReader::Load(const Tree& tree, char* frames, const Progress& progress) {
  return LoadAll(
      tree, frames, [](SubtreePosition, Status status) { return status; }, progress);
}

Status LeafReader::LoadIntact(
    const Tree& tree, char* frames,
    const std::function<Status(SubtreePosition position, Status status)>& report,
    const Progress& progress) {
  const Ended ended = [&](SubtreePosition position, Status status) {
    return status.ok() ? status : report(position, status);
  };
  return LoadAll(tree, frames, ended, progress);
}

Status LeafReader::LoadAll(const Tree& tree, char* frames, const Ended& ended,
                           const Progress& progress) {
  const uint64_t bytes = LoadedBytes(tree);
  if (bytes == 0) return Code::kOk;
  ProgressMeter meter(progress, Activity::kLoading, bytes);
  meter_ = &meter;
  MORSEL_TRY(Begin(kSlots, HasEncoded(tree) ? kEncodedBytesMax : 0));
  MORSEL_TRY(ReadAll(tree, frames, ended));
  meter.Finish();
  return Code::kOk;
}

Status LeafReader::Verify(const Tree& tree, Verified what,
                          const std::function<void(SubtreePosition, const char*)>& report,
                          const Progress& progress) {
  if (tree.tables.empty()) return Code::kOk;
  verifies_ = true;
  ProgressMeter meter(progress, Activity::kVerifying, LoadedBytes(tree));
  meter_ = &meter;
  std::map<SubtreePosition, std::string> messages;
  const Ended ended = [&](SubtreePosition position, const Status& status) {
    if (!status.ok()) messages.emplace(position, LastError());
    return Status();
  };
  Status read = Begin(kSlots, kSubtreeBytes);
  if (read.ok()) read = ReadAll(tree, nullptr, ended);
  // Of a subtree whose pages are damaged nothing more is said.
  if (read.ok() && what == Verified::kAll) read = ReadAllSums(tree, ended);
  if (read.ok()) meter.Finish();
  for (const auto& [position, message] : messages) report(position, message.c_str());
  return read;
}

Status LeafReader::ReadAllSums(const Tree& tree, const Ended& ended) {
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const std::vector<Entry>& leaves = tree.tables[giant].leaves;
    for (uint64_t i = 0; i < leaves.size(); ++i) {
      if (!IsPresent(leaves[i])) continue;
      const SubtreePosition position(giant * kEntriesPerTable + i);
      const Piece sums = {position,       nullptr,      leaves[i].second, 0,
                          kPageSumsBytes, Codec::kNone, SumOf(leaves[i])};
      MORSEL_TRY(Read(sums, ended));
    }
  }
  return Finish(ended);
}

Status LeafReader::ReadAll(const Tree& tree, char* frames, const Ended& ended) {
  const auto frame_of = [&](SubtreePosition position) {
    return verifies_ ? nullptr : frames + position.value() * kSubtreeBytes;
  };
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const std::vector<Entry>& leaves = tree.tables[giant].leaves;
    for (uint64_t i = 0; i < leaves.size(); ++i) {
      const SubtreePosition position(giant * kEntriesPerTable + i);
      if (IsPresent(leaves[i])) {
        MORSEL_TRY(Read(PieceOf(position, leaves[i], frame_of(position)), ended));
      }
    }
  }
  return Finish(ended);
}

LeafReader::Piece LeafReader::PieceOf(SubtreePosition position, const Entry& leaf, char* frame) {
  return {position, frame, leaf.offset, leaf.second, leaf.stored_bytes, leaf.codec, SumOf(leaf)};
}

Status LeafReader::Read(const Piece& piece, const Ended& ended) {
  const bool in_memory = verifies_ || piece.codec != Codec::kNone;
  while (free_.empty() || io_->in_flight() == os::kIoDepth || (in_memory && free_memory_.empty())) {
    MORSEL_TRY(Advance(ended));
  }
  const size_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.piece = piece;
  slot.memory = nullptr;
  if (in_memory) {
    slot.memory = free_memory_.back();
    free_memory_.pop_back();
  }
  slot.stored = in_memory ? slot.memory : piece.frame;
  const uint64_t size_bytes = AlignUp(piece.stored_bytes, kBlockBytes);
  const int buffer =
      in_memory
          ? static_cast<int>(static_cast<uint64_t>(slot.memory - memory_.get()) / memory_bytes_)
          : -1;
  const Status begun = io_->StartRead(slot.stored, size_bytes, piece.offset, buffer, index);
  return begun.ok() ? begun : End(index, FailRead(base_, piece.position, begun), ended);
}

Status LeafReader::Finish(const Ended& ended) {
  while (io_->in_flight() > 0 || !verifying_.empty()) MORSEL_TRY(Advance(ended));
  return Code::kOk;
}

Status LeafReader::BeginSingly(const Tree& tree) {
  tree_ = &tree;
  return Begin(kAheadMax, HasEncoded(tree) ? kEncodedBytesMax : 0);
}

// Keeps the failure of each leaf.
LeafReader::Ended LeafReader::EndedSingly() {
  return [this](SubtreePosition position, const Status& status) {
    Single& single = singles_.at(position);
    single.is_done = true;
    single.code = status.code();
    if (!status.ok()) single.message = LastError();
    return Status();
  };
}

Status LeafReader::Start(SubtreePosition position, char* leaf) {
  Single& single = singles_[position];
  single = {leaf, false, Code::kOk, {}};
  return Read(PieceOf(position, tree_->leaf(position), leaf), EndedSingly());
}

Status LeafReader::Await(SubtreePosition position) {
  Single& single = singles_.at(position);
  const Ended ended = EndedSingly();
  while (!single.is_done) MORSEL_TRY(Advance(ended));
  const Code code = single.code;
  const std::string message = std::move(single.message);
  singles_.erase(position);
  return code == Code::kOk ? Status() : Fail(code, "%s", message.c_str());
}

void LeafReader::Drain() {
  const KeepLastError keep;
  if (io_ != nullptr) (void)Finish([](SubtreePosition, const Status&) { return Status(); });
  singles_.clear();
}

// Verifies a piece that was read, and decompresses it. Runs on any of the workers' threads.
void LeafReader::Look(Slot& slot, unsigned thread) {
  const Piece& piece = slot.piece;
  if (piece.is_sums()) {
    slot.is_sound = Checksum128(slot.stored, piece.stored_bytes) == piece.sum;
    return;
  }
  char* leaf = slot.stored;
  if (piece.codec != Codec::kNone) {
    leaf = verifies_ ? decoded_.get() + thread * kSubtreeBytes : piece.frame;
    slot.is_sound = decoders_[thread].Decode(piece.codec, slot.stored, piece.stored_bytes, leaf);
    if (!slot.is_sound) return;
  }
  slot.is_sound = SumPages(leaf, sums_[thread]) == piece.sum;
}

// Finishes one piece, or hands one that was read to the workers. They verify it while the disk goes
// on reading.
Status LeafReader::Advance(const Ended& ended) {
  if (!verifying_.empty() && io_->in_flight() < os::kIoDepth) {
    const size_t slot = verifying_.front();
    verifying_.erase(verifying_.begin());
    workers_->Await(slot);
    return End(slot, Judge(slots_[slot]), ended);
  }
  const os::BlockIo::Done done = io_->Wait();
  if (!done.status.ok()) {
    const SubtreePosition position = slots_[done.tag].piece.position;
    return End(done.tag, FailRead(base_, position, done.status), ended);
  }
  verifying_.push_back(done.tag);
  workers_->Start(done.tag);
  return Code::kOk;
}

Status LeafReader::End(size_t index, const Status& status, const Ended& ended) {
  const Slot& slot = slots_[index];
  free_.push_back(index);
  if (slot.memory != nullptr) free_memory_.push_back(slot.memory);
  if (meter_ != nullptr) meter_->Advance(slot.piece.frame_bytes());
  return ended(slot.piece.position, status);
}

// Whether all pages of a leaf are sound but for those that lie elsewhere.                  [STL-1]
bool LeafReader::IsSoundElsewhere(const Slot& slot) const {
  const Piece& piece = slot.piece;
  const uint64_t first = piece.position.value() * kPagesPerLeaf;
  const auto elsewhere = unsettled_.lower_bound(first);
  const bool has_any = elsewhere != unsettled_.end() && elsewhere->first < first + kPagesPerLeaf;
  if (piece.codec != Codec::kNone || !has_any) return false;
  OnHeap<PageSums> sums;
  if (!ReadSumsAt(file_, piece.sums_offset, piece.sum, *sums)) return false;
  for (uint64_t page = 0; page < kPagesPerLeaf; ++page) {
    const Sum128 found = Checksum128(slot.stored + page * kPageBytes, kPageBytes);
    const bool is_sound = found == sums->of(page);
    if (!is_sound && !unsettled_.contains(first + page)) return false;
  }
  return true;
}

Status LeafReader::Judge(const Slot& slot) const {
  const Piece& piece = slot.piece;
  if (slot.is_sound) return Code::kOk;
  if (!piece.is_sums() && IsSoundElsewhere(slot)) return Code::kOk;
  if (piece.is_sums()) {
    return Fail(
        Code::kCorrupt,
        "image '%s': the sums of the pages of %s, %" PRIu64 " bytes at offset %" PRIu64
        ", are damaged, the pages are not: `morselctl salvage FILE --to` another loses nothing "
        "of them",
        file_.path().c_str(), SubtreeName(base_, piece.position).c_str(), kPageSumsBytes,
        piece.offset);
  }
  return FailSum(file_, base_, piece.position, {piece.offset, piece.stored_bytes});
}

}  // namespace morsel::image
