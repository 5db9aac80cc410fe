// A morsel of a directory pool: frames, and the image that a checkpoint makes of them.
#pragma once

#include <memory>

#include "image/image_file.h"
#include "morsel/pool/pool.h"
#include "os/memory/dirty_tracker.h"
#include "os/memory/frames.h"

namespace morsel {

class ImageBacking final : public Backing {
 public:
  /// `range` is RangeBytes(capacity) long and has the frames and the process' page. `directory`,
  /// where the record's name leads to the image, outlives it. The frames hold what the image does.
  /// `dirty`: nullptr where it is read only.
  ImageBacking(CatalogRecord record, bool read_only, pmem::AddressRange range, pmem::Frames frames,
               const pmem::Directory& directory, pmem::image::ImageFile image,
               std::unique_ptr<pmem::DirtyTracker> dirty);

  pmem::Persist persist() const override { return pmem::VolatilePersist(); }
  uint32_t granularity_bytes() const override;
  Status Resize(uint64_t size_bytes) override;
  Status Checkpoint(uint64_t live_bytes) override;
  const pmem::Frames& frames() const { return frames_; }
  Status Export(const pmem::Directory& to, const std::string& file_name,
                const ExportOptions& options) override;

 private:
  Status Write(const pmem::Directory& to, const std::string& file_name,
               const ExportOptions& options) const;
  void TrackFrom(uint64_t begin);
  void Collect();

  pmem::Frames frames_;
  const pmem::Directory& directory_;
  pmem::image::ImageFile image_;
  std::unique_ptr<pmem::DirtyTracker> dirty_;
  /// [IBK-1] Pages that may differ from the image are in here, or the kernel tells them, or
  ///         is_known_ is false. Only a checkpoint that succeeded empties it.
  pmem::PageSet pages_;
  bool is_known_ = true;
};

}  // namespace morsel
