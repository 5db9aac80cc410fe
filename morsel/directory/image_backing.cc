#include "morsel/directory/image_backing.h"

#include <algorithm>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "image/image_copy.h"
#include "morsel/pool/image_record.h"

namespace morsel {

ImageBacking::ImageBacking(CatalogRecord record, bool read_only, os::AddressRange&& range,
                           os::Frames&& frames, const os::Directory& directory,
                           image::ImageFile&& image, std::unique_ptr<os::DirtyTracker> dirty)
    : Backing(std::move(record), read_only),
      frames_(std::move(frames)),
      directory_(directory),
      image_(std::move(image)),
      dirty_(std::move(dirty)),
      image_bytes_(image_.info().size_bytes) {
  range_ = std::move(range);
  if (read_only) return;
  huge_.emplace(frames_);
  TrackFrom(0);
}

// If the kernel cannot track writes, checkpoints compare all pages from now on.
void ImageBacking::TrackFrom(uint64_t begin) {
  if (!is_known_) return;
  const KeepLastError keep;
  is_known_ = dirty_->Track(frames_, begin).ok();
}

// ORDER  the written pages join the set  <  the checkpoint  <  the set is empty
// WHY    the tracker reports a page once only, and if the checkpoint fails, the next one needs the
//        page, too.                                                                      [IBK-1]
// CRASH  no difference: the set is volatile.
// TEST   morsel/directory/image_backing_test: AFailedCheckpointForgetsNoPage
// Returns what the tracker has reported.
os::PageSet ImageBacking::Collect() {
  const KeepLastError keep;
  os::PageSet told;
  if (!is_known_) return told;
  const Result<bool> known = dirty_->Collect(frames_, told);
  is_known_ = known && *known;
  pages_.Add(told);
  return told;
}

uint32_t ImageBacking::granularity_bytes() const { return kPageBytes; }

Status ImageBacking::Resize(uint64_t size_bytes) {
  MORSEL_CHECK(!read_only_ && IsAligned(size_bytes, kSubtreeBytes) &&
               size_bytes <= record_.capacity_bytes);
  const uint64_t before = record_.size_bytes;
  const uint64_t frames_before = frames_.end();
  {
    const auto paused = huge_->Pause();
    MORSEL_TRY(frames_.Resize(range_, size_bytes));
    huge_->Resized(frames_before);
  }
  if (frames_.end() > frames_before) TrackFrom(frames_before);
  // Memory that was cut off and comes back is zero, but the image may still have its old contents.
  {
    const std::lock_guard lock(pages_mutex_);
    const uint64_t in_image = std::min(size_bytes, image_bytes_);
    if (in_image > before) pages_.Add(before, in_image - before);
  }
  record_.size_bytes = size_bytes;
  return Code::kOk;
}

// A call looks at one subtree that was touched, and finds the first pages there.
alloc::HeapFrames::Range ImageBacking::FirstTouched(char* begin, char* end) {
  const uint64_t limit = static_cast<uint64_t>(end - frames_.at(0));
  const SubtreePosition last(DivideUp(limit, kSubtreeBytes));
  for (uint64_t at = static_cast<uint64_t>(begin - frames_.at(0)); at < limit;) {
    const SubtreePosition here(at / kSubtreeBytes);
    const SubtreePosition next = frames_.Next(here, last);
    if (next != here) {
      at = next.value() * kSubtreeBytes;
      continue;
    }
    const os::PageSet::Pages pages = frames_.Of(here);
    const auto is_touched = [&](uint64_t offset) {
      return pages.test(offset / kPageBytes % os::kPagesPerSubtree);
    };
    const uint64_t subtree_end = std::min(limit, (here.value() + 1) * kSubtreeBytes);
    const auto next_page = [](uint64_t offset) { return (offset / kPageBytes + 1) * kPageBytes; };
    while (at < subtree_end && !is_touched(at)) at = next_page(at);
    if (at >= subtree_end) continue;
    uint64_t past = next_page(at);
    while (past < subtree_end && is_touched(past)) past = next_page(past);
    return {frames_.at(at), frames_.at(std::min(past, subtree_end))};
  }
  return {end, end};
}

// ORDER  the pages join the set  <  the kernel takes them
// WHY    they become zero without a store that the tracker could see, while the image has what was
//        in them.                                                                        [IBK-1]
// CRASH  no difference: the set is volatile, and frames are no medium.
// TEST   morsel/directory/image_backing_test: WhatWasGivenBackIsZeroInTheNextImage
void ImageBacking::GiveBack(char* begin, char* end) {
  const uint64_t offset = static_cast<uint64_t>(begin - frames_.at(0));
  const uint64_t size_bytes = static_cast<uint64_t>(end - begin);
  {
    const std::lock_guard lock(pages_mutex_);
    pages_.Add(offset, size_bytes);
  }
  frames_.GiveBack(offset, size_bytes);
  huge_->GaveBack(offset, size_bytes);
}

void ImageBacking::Expect(const char* begin, const char* end, Use use) {
  const uint64_t offset = static_cast<uint64_t>(begin - frames_.at(0));
  const uint64_t size_bytes = static_cast<uint64_t>(end - begin);
  if (use == Use::kDense) {
    huge_->ExpectDense(offset, size_bytes);
  } else {
    huge_->ExpectAnything(offset, size_bytes);
  }
}

// Before a byte is written: what a checkpoint answers is what is on the medium. Where the name
// leads elsewhere, nobody would find it again; where there is a second name, it would change what
// others took for a copy.
Status ImageBacking::CheckIsFound() const {
  const os::File& file = image_.file();
  if (directory_.IsOnlyNameOf(record_.name, file)) return Code::kOk;
  Status found;
  std::string message;
  {
    const KeepLastError keep;
    found = directory_.CheckLeadsTo(record_.name, file);
    message = LastError();
  }
  // Who has given up the right to look learns nothing either way.
  if (found.ok() || found.code() == Code::kPermission) {
    return directory_.CheckHasOneName(record_.name, file);
  }
  return Fail(found.code(),
              "%s; no checkpoint of the morsel can be kept: save what matters elsewhere "
              "(morsel_export), then discard the morsel",
              message.c_str());
}

namespace {

/// The frames' pages that were touched. Those that were just reported as written are, and the
/// kernel is not asked for them again.
class TouchedFrames final : public os::PageFilter {
 public:
  TouchedFrames(const os::Frames& frames, os::PageSet written)
      : frames_(frames), written_(std::move(written)) {}
  os::PageSet::Pages Of(SubtreePosition position) const override { return frames_.Of(position); }
  os::PageSet::Pages Among(const os::PageSet::Pages& pages,
                           SubtreePosition position) const override {
    const os::PageSet::Pages* const written = written_.Of(position);
    const bool are_written = written != nullptr && (pages & ~*written).none();
    return are_written ? pages : frames_.Of(position);
  }
  SubtreePosition Next(SubtreePosition from, SubtreePosition end) const override {
    return frames_.Next(from, end);
  }

 private:
  const os::Frames& frames_;
  os::PageSet written_;
};

}  // namespace

// ORDER  the pages leave the set  <  `copied`  <  they are stored, or join it again
// WHY    what joins the set after `copied` is not in this checkpoint, and belongs to the next.
//                                                                                         [IBK-1]
// CRASH  no difference: the set is volatile.
// TEST   morsel/directory/image_backing_test: WhatIsGivenBackWhileItIsStoredIsOfTheNextCheckpoint
Status ImageBacking::Checkpoint(uint64_t live_bytes, const Copied& copied) {
  MORSEL_CHECK(!read_only_);
  MORSEL_TRY(CheckIsFound());
  huge_->LookAtAll();  // what is tracked once cannot be joined any more
  const TouchedFrames touched(frames_, Collect());
  const os::PageSet stored = std::exchange(pages_, {});
  const uint64_t size_bytes = record_.size_bytes;
  const Status status = image_.Store(range_.at(0), size_bytes, live_bytes,
                                     is_known_ ? &stored : nullptr, &touched, &copied);
  const std::lock_guard lock(pages_mutex_);
  if (!status.ok()) {
    pages_.Add(stored);
  } else {
    image_bytes_ = size_bytes;
  }
  return status;
}

void ImageBacking::TakeCheckpoint() {
  record_.live_bytes = image_.info().live_bytes;
  record_.generation = image_.info().generation;
}

Status ImageBacking::Settle() {
  MORSEL_TRY(image_.Settle(range_.at(0), &frames_));
  record_.generation = image_.info().generation;
  return Code::kOk;
}

Status ImageBacking::Export(const os::Directory& to, const std::string& file_name,
                            const ExportRequest& options) {
  if (options.skipped != nullptr) return IsAnImage("morsel '" + record_.name + "'");
  const image::Progress own = image_.progress();
  if (options.progress) image_.set_progress(options.progress);
  const Status made = Write(to, file_name, options);
  image_.set_progress(own);
  return made;
}

Status ImageBacking::Write(const os::Directory& to, const std::string& file_name,
                           const ExportRequest& options) const {
  const os::FileRights rights = RightsOfCopy(record_);
  image::ImageInfo info = image_.info();
  info.carried_name = record_.name;
  const image::Codec codec = options.codec.value_or(info.codec);
  if (codec == info.codec && !options.live_bytes_in_memory) {
    const Status copied =
        image::CopyInto(image_, to, file_name, {.rights = rights, .carried_name = record_.name});
    // What the file does not hold any more the memory does: of a reader, too.
    if (copied.code() != kOvertaken && copied.code() != Code::kCorrupt) return copied;
  }
  // If the memory may be written, the caller has just made a checkpoint of it, or has tried. It has
  // also stopped the heap.
  info.codec = codec;
  info.size_bytes = record_.size_bytes;
  info.live_bytes = options.live_bytes_in_memory.value_or(info.live_bytes);
  return image::ImageFile::Create(to, file_name, rights, info, range_.at(0), &frames_,
                                  image_.progress())
      .status();
}

}  // namespace morsel
