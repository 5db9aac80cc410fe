// The bytes of a morsel that is not open: those of its image, or of its memory on the medium.
#pragma once

#include <memory>
#include <utility>

#include "base/result.h"
#include "image/image_file.h"
#include "morsel/pool/pool.h"

namespace morsel {

class BytesOfImage final : public MorselBytes {
 public:
  BytesOfImage(CatalogRecord record, std::shared_ptr<const image::ImageFile> image)
      : MorselBytes(std::move(record)), image_(std::move(image)) {}

  uint64_t BytesMax() const override { return image_->LoadedBytes(); }
  Status Load(char* memory) override;

 private:
  std::shared_ptr<const image::ImageFile> image_;
};

class BytesOfBacking final : public MorselBytes {
 public:
  /// keeper  whatever has to live as long as the bytes are read.
  BytesOfBacking(std::unique_ptr<Backing> backing, std::shared_ptr<void> keeper)
      : MorselBytes(backing->record()), keeper_(std::move(keeper)), backing_(std::move(backing)) {}

  uint64_t BytesMax() const override { return record().size_bytes; }
  Status Load(char* memory) override;

 private:
  std::shared_ptr<void> keeper_;
  std::unique_ptr<Backing> backing_;
};

}  // namespace morsel
