#include "morsel/carved/metadata_copy.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/units.h"

namespace morsel {
namespace {

constexpr int kReadingsMax = 1000;
constexpr uint64_t kPieceBytes = 64 * kKiB;

using Visit = std::function<Status(uint64_t offset, uint64_t size_bytes)>;

// Calls `visit` for pieces of [0, size_bytes) of the file, all of it but the holes.
Status ForEachPiece(const os::File& file, uint64_t size_bytes, const Visit& visit) {
  const auto end = static_cast<off_t>(size_bytes);
  for (off_t at = 0; at < end;) {
    const off_t data = lseek(file.descriptor(), at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return Code::kOk;  // holes to the end
    const bool knows_holes = data >= 0;
    const off_t begin = knows_holes ? data : at;
    if (begin >= end) return Code::kOk;
    const off_t hole = knows_holes ? lseek(file.descriptor(), begin, SEEK_HOLE) : end;
    at = hole > begin ? std::min(hole, end) : end;
    for (off_t piece = begin; piece < at; piece += kPieceBytes) {
      MORSEL_TRY(visit(static_cast<uint64_t>(piece),
                       std::min(kPieceBytes, static_cast<uint64_t>(at - piece))));
    }
  }
  return Code::kOk;
}

// Reads into `copy` what is there, and says whether that changed anything.
Result<bool> ReadAgain(const os::File& file, const char* mapped, uint64_t size_bytes, char* copy) {
  const auto piece = std::make_unique<char[]>(kPieceBytes);
  bool changed = false;
  const Visit read = [&](uint64_t offset, uint64_t piece_bytes) -> Status {
    if (mapped != nullptr) {
      std::memcpy(piece.get(), mapped + offset, piece_bytes);
    } else {
      MORSEL_TRY(file.ReadExactly(piece.get(), piece_bytes, offset));
    }
    if (std::memcmp(copy + offset, piece.get(), piece_bytes) == 0) return Code::kOk;
    changed = true;
    std::memcpy(copy + offset, piece.get(), piece_bytes);
    return Code::kOk;
  };
  if (mapped == nullptr) {
    MORSEL_TRY(ForEachPiece(file, size_bytes, read));
    return changed;
  }
  for (uint64_t offset = 0; offset < size_bytes; offset += kPieceBytes) {
    MORSEL_TRY(read(offset, std::min(kPieceBytes, size_bytes - offset)));
  }
  return changed;
}

}  // namespace

Result<std::unique_ptr<MetadataCopy>> MetadataCopy::Take(const os::File& file,
                                                         const PoolSuperblock& superblock,
                                                         const char* mapped,
                                                         const std::string& subject) {
  const uint64_t size_bytes = superblock.metadata_bytes;
  void* const memory = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return Fail(Code::kNoMemory, "%s: no memory for a copy of its catalog", subject.c_str());
  }
  std::unique_ptr<MetadataCopy> copy(new MetadataCopy(static_cast<char*>(memory), size_bytes));
  bool changed = true;
  for (int readings = 0; changed; ++readings) {
    if (readings == kReadingsMax) {
      return Fail(Code::kBusy, "%s is changed faster than it can be read; try again",
                  subject.c_str());
    }
    const Result<bool> again = ReadAgain(file, mapped, size_bytes, copy->bytes_);
    if (!again) return again.status();
    changed = *again;
  }
  Result<std::unique_ptr<CarvedMetadata>> metadata = CarvedMetadata::Open(
      copy->bytes_, superblock, pmem::VolatilePersist(), CarvedMetadata::Access::kRead, subject);
  if (!metadata) return metadata.status();
  copy->metadata_ = std::move(*metadata);
  return copy;
}

MetadataCopy::~MetadataCopy() {
  metadata_.reset();
  munmap(bytes_, size_bytes_);
}

}  // namespace morsel
