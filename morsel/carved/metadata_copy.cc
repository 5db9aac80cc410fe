#include "morsel/carved/metadata_copy.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
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

// Reads [offset, offset + size_bytes) of the metadata.
Status ReadPart(const os::File& file, const char* mapped, uint64_t offset, uint64_t size_bytes,
                char* to) {
  if (mapped == nullptr) return file.ReadExactly(to, size_bytes, offset);
  std::atomic_thread_fence(std::memory_order_acquire);
  std::memcpy(to, mapped + offset, size_bytes);
  std::atomic_thread_fence(std::memory_order_acquire);
  return Code::kOk;
}

Status ReadAll(const os::File& file, const char* mapped, uint64_t size_bytes, char* copy) {
  if (mapped != nullptr) return ReadPart(file, mapped, 0, size_bytes, copy);
  return ForEachPiece(file, size_bytes, [&](uint64_t offset, uint64_t piece_bytes) {
    return ReadPart(file, nullptr, offset, piece_bytes, copy + offset);
  });
}

bool AreSame(const pmem::JournalHead& one, const pmem::JournalHead& other) {
  return std::memcmp(&one, &other, sizeof one) == 0;
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
  pmem::JournalHead after{};
  for (int readings = 0; readings == 0 || !AreSame(copy->head_, after); ++readings) {
    if (readings == kReadingsMax) {
      return Fail(Code::kBusy, "%s is changed faster than it can be read; try again",
                  subject.c_str());
    }
    MORSEL_TRY(ReadHead(file, superblock, mapped, copy->head_));
    MORSEL_TRY(ReadAll(file, mapped, size_bytes, copy->bytes_));
    MORSEL_TRY(ReadHead(file, superblock, mapped, after));
  }
  Result<std::unique_ptr<CarvedMetadata>> metadata = CarvedMetadata::Open(
      copy->bytes_, superblock, pmem::VolatilePersist(), CarvedMetadata::Access::kRead, subject);
  if (!metadata) return metadata.status();
  copy->metadata_ = std::move(*metadata);
  return copy;
}

Status MetadataCopy::ReadHead(const os::File& file, const PoolSuperblock& superblock,
                              const char* mapped, pmem::JournalHead& head) {
  return ReadPart(file, mapped, superblock.journal_offset, sizeof head,
                  reinterpret_cast<char*>(&head));
}

Result<bool> MetadataCopy::IsCurrent(const os::File& file, const PoolSuperblock& superblock,
                                     const char* mapped) const {
  pmem::JournalHead now{};
  MORSEL_TRY(ReadHead(file, superblock, mapped, now));
  return AreSame(head_, now);
}

MetadataCopy::~MetadataCopy() {
  metadata_.reset();
  munmap(bytes_, size_bytes_);
}

}  // namespace morsel
