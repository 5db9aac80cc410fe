// An image and its directory as a pool keeps them. Operations make, store, reopen and remove it.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "image/image_file.h"
#include "os/file/directory.h"
#include "sim/disk/file_target.h"

namespace morsel::sim {

class ImageTarget : public FileTarget {
 public:
  enum Operation : uint32_t { kTouch, kZero, kGrow, kShrink, kReopen, kRemove, kOperations };

  static bool IsCheckpoint(uint32_t operation) { return operation < kReopen; }

  explicit ImageTarget(std::string name) : name_(std::move(name)) {}

  std::string Name() const override { return name_; }
  std::string NameOf(uint32_t operation) const override;
  uint32_t operations() const override { return kOperations; }
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
  void Change(uint32_t operation, FileWorld& world);

  std::string name_;
  std::optional<os::Directory> directory_;
  std::optional<image::ImageFile> image_;
  std::string memory_;  ///< of the morsel
  /// By the hash of an image's bytes, what is wrong with its older generation.
  std::unordered_map<uint64_t, std::string> olders_;
  bool reads_all_ = false;
};

}  // namespace morsel::sim
