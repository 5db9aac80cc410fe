// The memory of one open snapshot morsel: frames, and the image that a checkpoint makes of them.
#pragma once

#include <memory>
#include <optional>

#include "base/mutex.h"
#include "image/image_file.h"
#include "morsel/pool/pool.h"
#include "os/memory/dirty_tracker.h"
#include "os/memory/frames.h"
#include "os/memory/huge_watch.h"

namespace morsel {

class ImageBacking final : public Backing, private alloc::HeapFrames {
 public:
  /// range      RangeBytes(capacity) long; the frames and the process' page are mapped in it.
  /// frames     hold what the image holds.
  /// directory  has the image under the record's name, and must outlive the backing.
  /// dirty      nullptr if the morsel is open for reading only.
  ImageBacking(CatalogRecord record, bool read_only, os::AddressRange&& range, os::Frames&& frames,
               const os::Directory& directory, image::ImageFile&& image,
               std::unique_ptr<os::DirtyTracker> dirty);

  pmem::Persist persist() const override { return pmem::VolatilePersist(); }
  uint32_t granularity_bytes() const override;
  alloc::HeapFrames* frames_of_heap() override { return this; }
  Status Resize(uint64_t size_bytes) override;
  using Backing::Checkpoint;
  Status Checkpoint(uint64_t live_bytes, const Copied& copied) override;
  void TakeCheckpoint() override;
  Status Settle() override;
  const os::Frames& frames() const { return frames_; }
  Status Export(const os::Directory& to, const std::string& file_name,
                const ExportRequest& options) override;

 private:
  Status Write(const os::Directory& to, const std::string& file_name,
               const ExportRequest& options) const;
  Range FirstTouched(char* begin, char* end) override;
  void GiveBack(char* begin, char* end) override;
  void Expect(const char* begin, const char* end, Use use) override;
  void Watch() override { os::HugeThread::OfProcess().Begin(); }
  void TrackFrom(uint64_t begin);
  os::PageSet Collect();
  Status CheckIsFound() const;

  os::Frames frames_;
  std::optional<os::HugeWatch> huge_;  ///< nothing if the morsel is open for reading only
  const os::Directory& directory_;
  image::ImageFile image_;
  std::unique_ptr<os::DirtyTracker> dirty_;
  /// [IBK-1] A page that may differ from the image is in this set, or in that of the checkpoint
  /// that
  ///         is being made, or the dirty tracker will report it, or is_known_ is false. Only a
  ///         checkpoint that succeeded forgets what it had.
  os::PageSet pages_;
  uint64_t image_bytes_;  ///< the size that the image has
  /// Guards the two where the heap is not stopped.
  Mutex pages_mutex_{LockRank::kImagePages};
  bool is_known_ = true;
};

}  // namespace morsel
