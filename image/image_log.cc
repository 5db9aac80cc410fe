#include "image/image_log.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"

namespace morsel::image {
namespace {

constexpr uint64_t kLogPart = 16;  // of what is used
constexpr uint64_t kLogBytesLeast = kMiB;
/// While nobody but checkpoints settles it, one that finds it full waits for that.
constexpr uint64_t kLogBytesMost = 16 * kMiB;
static_assert(kLogBytesMost <= kLogBytesMax);

}  // namespace

Result<LogUse> ChosenLogUse() {
  const char* const set = std::getenv("MORSEL_LOG");
  if (set == nullptr || *set == '\0' || std::strcmp(set, "auto") == 0) return LogUse::kAuto;
  if (std::strcmp(set, "always") == 0) return LogUse::kAlways;
  if (std::strcmp(set, "never") == 0) return LogUse::kNever;
  return Fail(Code::kInvalidArgument, "MORSEL_LOG is '%s'; it must be auto, always or never", set);
}

uint64_t LogBytesFor(uint64_t used_bytes) {
  return std::clamp(AlignUp(used_bytes / kLogPart, kMiB), kLogBytesLeast, kLogBytesMost);
}

void ImageLog::Take(LogContents contents) {
  pages_ = std::move(contents.pages);
  end_ = contents.end;
}

void ImageLog::Stop() {
  if (!is_started()) return;
  end_ = writer_->end();
  writer_->Stop();
}

void ImageLog::Start(const ImageSuperblock& superblock) {
  end_ = superblock.log_position;
  if (!HasLog(superblock)) DropWriter();
  if (writer_) writer_->Start(superblock);
}

os::PageSet ImageLog::WithLogged(const os::PageSet& dirty) const {
  os::PageSet all = dirty;
  for (const auto& [page, logged] : pages_) all.Add(page * kPageBytes, kPageBytes);
  return all;
}

void ImageLog::PutOff() {
  DropWriter();
  few_count_ = 0;
  few_min_ *= 2;
}

}  // namespace morsel::image
