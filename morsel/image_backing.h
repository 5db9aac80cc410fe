// A morsel of a directory pool: frames, and the image that a checkpoint makes of them.
#pragma once

#include <memory>

#include "morsel/pool.h"
#include "pmem/image/image_file.h"

namespace morsel {

/// What the image and its file say, as a pool's record.
/// Errors  kIo.
Result<Record> RecordOf(const std::string& name, const pmem::File& file,
                        const pmem::image::ImageInfo& info);

class ImageBacking final : public Backing {
 public:
  /// `range` is RangeBytes(capacity) long and has frames and the process' page. `directory`, where
  /// the record's name leads to the image, outlives it.
  ImageBacking(Record record, bool read_only, pmem::AddressRange range,
               const pmem::Directory& directory, pmem::image::ImageFile image)
      : Backing(std::move(record), read_only), directory_(directory), image_(std::move(image)) {
    range_ = std::move(range);
  }

  pmem::Persist persist() const override { return pmem::VolatilePersist(); }
  uint32_t granularity_bytes() const override;
  Status Resize(uint64_t size_bytes) override;
  Status Checkpoint(uint64_t live_bytes) override;

 private:
  const pmem::Directory& directory_;
  pmem::image::ImageFile image_;
};

}  // namespace morsel
