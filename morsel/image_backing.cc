#include "morsel/image_backing.h"

#include <sys/stat.h>

#include <cinttypes>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "pmem/frames.h"

namespace morsel {

Result<Record> RecordOf(const std::string& name, const pmem::File& file,
                        const pmem::image::ImageInfo& info) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return FailErrno("'%s': fstat", file.path().c_str());
  return Record{.name = name,
                .id = info.id,
                .contract = static_cast<Contract>(info.contract),
                .grows = info.grows,
                .giant = false,
                .mode = status.st_mode & 07777,
                .user = status.st_uid,
                .group = status.st_gid,
                .base = info.base,
                .capacity_bytes = info.capacity_bytes,
                .size_bytes = info.size_bytes,
                .live_bytes = info.live_bytes,
                .generation = info.generation};
}

uint32_t ImageBacking::granularity_bytes() const { return kPageBytes; }

Status ImageBacking::Resize(uint64_t size_bytes) {
  MORSEL_CHECK(!read_only_ && IsAligned(size_bytes, kSubtreeBytes) &&
               size_bytes <= record_.capacity_bytes);
  const uint64_t before = record_.size_bytes;
  if (size_bytes > before) {
    MORSEL_TRY(pmem::PlaceFrames(range_, before, size_bytes - before));
  } else if (size_bytes < before) {
    MORSEL_TRY(range_.Withdraw(size_bytes, before - size_bytes));
  }
  record_.size_bytes = size_bytes;
  return Code::kOk;
}

Status ImageBacking::Checkpoint(uint64_t live_bytes) {
  MORSEL_CHECK(!read_only_);
  MORSEL_TRY(image_.Store(range_.at(0), record_.size_bytes, live_bytes));
  // Nobody would find the checkpoint again.
  if (const Status led = directory_.ExpectLeadsTo(record_.name, image_.file()); !led.ok()) {
    return Fail(led.code(),
                "%s; no checkpoint of the morsel can be kept: copy what matters into another one, "
                "then discard this one",
                LastError());
  }
  record_.live_bytes = live_bytes;
  record_.generation = image_.info().generation;
  return Code::kOk;
}

}  // namespace morsel
