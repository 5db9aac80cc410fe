// An image and its directory as a pool keeps them. Operations make, store, reopen and remove it.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "image/image_file.h"
#include "os/file/directory.h"
#include "os/memory/page_set.h"
#include "sim/disk/file_target.h"

namespace morsel::sim {

class ImageTarget : public FileTarget {
 public:
  enum Operation : uint32_t {
    kTouch,
    kZero,
    kGrow,
    kShrink,
    kReopen,
    kRemove,
    kSettle,  ///< of images that may have a log
    kOperations
  };

  static bool IsCheckpoint(uint32_t operation) { return operation < kReopen; }

  /// `has_log`: the image says which pages are dirty, so that MORSEL_LOG may let it have a log.
  explicit ImageTarget(std::string name, bool has_log = false)
      : name_(std::move(name)), has_log_(has_log) {}

  std::string Name() const override { return name_; }
  std::string NameOf(uint32_t operation) const override;
  uint32_t operations() const override { return has_log_ ? kOperations : kSettle; }
  std::string Recover(FileWorld& world) override;
  std::string Run(uint32_t operation, FileWorld& world) override;
  void Forget() override;
  FileScript GoOn() const override { return {kTouch, kReopen}; }
  void ReadAll(bool reads_all) override { reads_all_ = reads_all; }

 private:
  std::string OlderOf(FileWorld& world);
  std::string OpenImage(FileWorld& world);
  std::string Create(FileWorld& world);
  std::string Remove(FileWorld& world);
  std::string Store(FileWorld& world);
  std::string Settle(FileWorld& world);
  os::PageSet Dirty() const;
  void Change(uint32_t operation, FileWorld& world);

  std::string name_;
  std::optional<os::Directory> directory_;
  std::optional<image::ImageFile> image_;
  bool has_log_;
  std::string memory_;  ///< of the morsel
  std::string stored_;  ///< the memory that was stored or loaded last
  /// By the hash of an image's bytes, what is wrong with its older generation.
  std::unordered_map<uint64_t, std::string> olders_;
  bool reads_all_ = false;
};

}  // namespace morsel::sim
