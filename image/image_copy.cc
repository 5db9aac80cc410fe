#include "image/image_copy.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"
#include "image/format/superblock.h"
#include "image/pipeline/buffer.h"
#include "image/store/leaf_pieces.h"
#include "os/file/block_io.h"

namespace morsel::image {
namespace {

// Enough for all reads and all writes in flight.
constexpr size_t kSlots = 2 * os::kIoDepth;
constexpr uint64_t kPieceBytes = kSubtreeBytes;

// Returns all that the tree leads to, in pieces that fit into a buffer.
std::vector<FileExtent> ToCopy(const Tree& tree) {
  std::vector<FileExtent> pieces;
  for (const FileExtent& extent : tree.Extents()) {
    for (uint64_t done = 0; done < extent.size_bytes; done += kPieceBytes) {
      pieces.push_back({extent.offset + done, std::min(kPieceBytes, extent.size_bytes - done)});
    }
  }
  return pieces;
}

uint64_t BytesOf(const std::vector<FileExtent>& pieces) {
  uint64_t bytes = 0;
  for (const FileExtent& piece : pieces) bytes += piece.size_bytes;
  return bytes;
}

// Copies pieces from one file to another, and reads and writes at the same time.
class Copying {
 public:
  Copying(const os::File& from, const os::File& to, std::vector<FileExtent> pieces,
          const Progress& progress)
      : from_(from),
        to_(to),
        pieces_(std::move(pieces)),
        meter_(progress, Activity::kStoring, BytesOf(pieces_)) {}

  Status Run() {
    MORSEL_TRY(Begin());
    size_t next = 0;
    while (next < pieces_.size() || reads_->in_flight() > 0 || writes_->in_flight() > 0) {
      if (next < pieces_.size() && !free_.empty() && reads_->in_flight() < os::kIoDepth) {
        MORSEL_TRY(Read(pieces_[next++]));
      } else if (reads_->in_flight() > 0) {
        MORSEL_TRY(Write());
      } else {
        MORSEL_TRY(Finish());
      }
    }
    meter_.Finish();
    return Code::kOk;
  }

 private:
  Status Begin() {
    memory_ = MakeBuffer(kSlots * kPieceBytes);
    if (memory_ == nullptr) return Fail(Code::kNoMemory, "no memory to copy an image with");
    std::vector<os::IoBuffer> buffers;
    for (size_t slot = 0; slot < kSlots; ++slot) {
      buffers.push_back({memory_.get() + slot * kPieceBytes, kPieceBytes});
      free_.push_back(slot);
    }
    Result<std::unique_ptr<os::BlockIo>> reads = os::BlockIo::Open(from_, false, buffers);
    if (!reads) return reads.status();
    reads_ = std::move(*reads);
    Result<std::unique_ptr<os::BlockIo>> writes = os::BlockIo::Open(to_, true, buffers);
    if (!writes) return writes.status();
    writes_ = std::move(*writes);
    return Code::kOk;
  }

  char* SlotAt(size_t slot) const { return memory_.get() + slot * kPieceBytes; }

  Status Read(const FileExtent& piece) {
    const size_t slot = free_.back();
    in_slots_[slot] = piece;
    MORSEL_TRY(reads_->StartRead(SlotAt(slot), piece.size_bytes, piece.offset,
                                 static_cast<int>(slot), slot));
    free_.pop_back();
    return Code::kOk;
  }

  // Waits for a piece to be read, and begins to write what of it is not zero: the copy is new.
  Status Write() {
    const os::BlockIo::Done done = reads_->Wait();
    if (!done.status.ok()) return done.status;
    const FileExtent& piece = in_slots_[done.tag];
    const char* const bytes = SlotAt(done.tag);
    const auto is_zero = [&](uint32_t page) {
      const char* const begin = bytes + page * kPageBytes;
      return *begin == 0 && std::memcmp(begin, begin + 1, kPageBytes - 1) == 0;
    };
    const std::vector<LeafPiece> parts =
        PiecesOf(static_cast<uint32_t>(piece.size_bytes / kPageBytes), is_zero);
    parts_in_flight_[done.tag] = parts.size();
    for (const LeafPiece& part : parts) {
      if (writes_->in_flight() == os::kIoDepth) MORSEL_TRY(Finish());
      MORSEL_TRY(writes_->StartWrite(bytes + part.offset(), part.size_bytes(),
                                     piece.offset + part.offset(), static_cast<int>(done.tag),
                                     done.tag));
    }
    return Code::kOk;
  }

  // Waits for a part of a piece to be written.
  Status Finish() {
    const os::BlockIo::Done done = writes_->Wait();
    if (--parts_in_flight_[done.tag] > 0) return done.status;
    free_.push_back(done.tag);
    meter_.Advance(in_slots_[done.tag].size_bytes);
    return done.status;
  }

  const os::File& from_;
  const os::File& to_;
  std::vector<FileExtent> pieces_;
  ProgressMeter meter_;
  FileExtent in_slots_[kSlots];
  size_t parts_in_flight_[kSlots] = {};
  std::vector<size_t> free_;
  Buffer memory_;  // outlives the requests
  std::unique_ptr<os::BlockIo> reads_;
  std::unique_ptr<os::BlockIo> writes_;
};

// Copies what the tree leads to, and the superblocks last. The rest of the copy is holes.
Status CopyBytes(const ImageFile& image, const os::File& copy, const std::string& carried_name) {
  std::vector<FileExtent> pieces = ToCopy(image.tree());
  MORSEL_TRY(
      copy.Resize(pieces.empty() ? kFileBytesMin : std::max(kFileBytesMin, pieces.back().end())));
  MORSEL_TRY(
      OrOverwritten(image, Copying(image.file(), copy, std::move(pieces), image.progress()).Run()));
  MORSEL_TRY(CheckNotOverwritten(image));
  OnHeap<ImageSuperblock> superblock(image.superblock());
  SetCarriedName(*superblock, carried_name);
  MORSEL_TRY(WriteSuperblock(copy, *superblock));
  ++superblock->sequence;
  return WriteSuperblock(copy, *superblock);
}

}  // namespace

Status CheckNotOverwritten(const ImageFile& image) {
  return CheckNotOverwritten(image.file(), image.superblock());
}

// Pages of later records may be in the places of leaves already, while the superblocks stay.
Status CheckNotOvertaken(const ImageFile& image) {
  MORSEL_TRY(CheckNotOverwritten(image));
  const Result<bool> has_later = HasRecordAt(image.file(), image.superblock(), image.log_end());
  if (!has_later) return has_later.status();
  return *has_later ? IsOvertaken(image.file()) : Status();
}

Status CheckAfterReading(const ImageFile& image, bool has_found_damage) {
  return has_found_damage ? CheckNotOvertaken(image) : CheckNotOverwritten(image);
}

Status OrOverwritten(const ImageFile& image, Status failure) {
  if (failure.code() != Code::kCorrupt) return failure;
  KeepLastError keep;
  const Status now = CheckNotOvertaken(image);
  if (now.code() != kOvertaken) return failure;
  keep.LetGo();
  return now;
}

Status LoadBesideWriter(const ImageFile& image, char* frames) {
  const Status loaded = image.Load(frames);
  return loaded.ok() ? CheckNotOverwritten(image) : OrOverwritten(image, loaded);
}

Status CheckSound(const ImageFile& image) {
  std::string first;
  uint64_t others = 0;
  MORSEL_TRY(image.Verify([&](const char* message) {
    if (first.empty()) {
      first = message;
    } else {
      ++others;
    }
  }));
  MORSEL_TRY(CheckAfterReading(image, !first.empty()));
  if (first.empty()) return Code::kOk;
  if (others == 0) return Fail(Code::kCorrupt, "%s", first.c_str());
  return Fail(Code::kCorrupt, "%s; so do %" PRIu64 " others: `morselctl verify` names them",
              first.c_str(), others);
}

// The copy gets its name only when it is whole and synced, so that the order in which its parts are
// written does not matter.
Status CopyInto(const ImageFile& image, const os::Directory& directory, const std::string& name,
                const CopyAs& as) {
  MORSEL_TRY(CheckSound(image));
  // A copy has no log: what it has is put in its place. Images are made of this version only.
  if (HasLog(image.superblock()) || IsOfVersion4(image.superblock())) {
    return RecodeInto(image, image.superblock().codec, directory, name, as);
  }
  const Result<os::TemporaryFile> temporary = directory.MakeTemporary(name, as.rights);
  if (!temporary) return temporary.status();
  Status status = CopyBytes(image, temporary->file, as.carried_name);
  if (status.ok()) status = directory.Publish(temporary->file, temporary->name, name, as.naming);
  if (!status.ok()) directory.Abandon(temporary->name);
  return status;
}

}  // namespace morsel::image
