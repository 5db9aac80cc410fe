// Writes an image anew with another codec, leaf by leaf.
#include <cstring>

#include "base/error.h"
#include "image/image_copy.h"
#include "image/load/leaf_reader.h"
#include "image/log/log_reader.h"
#include "image/store/leaf_source.h"

namespace morsel::image {
namespace {

std::vector<SubtreePosition> PresentIn(const Tree& tree) {
  std::vector<SubtreePosition> present;
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const std::vector<Entry>& leaves = tree.tables[giant].leaves;
    for (uint64_t i = 0; i < leaves.size(); ++i) {
      if (IsPresent(leaves[i])) present.emplace_back(giant * kEntriesPerTable + i);
    }
  }
  return present;
}

// The leaves of an image, with all pages in place.
class LeavesOf final : public LeafSource {
 public:
  LeavesOf(const ImageFile& image, const Damaged* damaged)
      : image_(image),
        damaged_(damaged),
        positions_(PresentIn(image.tree())),
        unsettled_(image.unsettled()),
        reader_(image.file(), image.superblock().base, unsettled_) {}

  Status Begin() { return reader_.BeginSingly(image_.tree()); }

  const std::vector<SubtreePosition>& positions() const override { return positions_; }
  size_t ahead_max() const override { return LeafReader::kAheadMax; }
  Status Start(SubtreePosition position, char* leaf) override {
    return reader_.Start(position, leaf);
  }
  Status Await(SubtreePosition position, char* leaf) override {
    Status read = reader_.Await(position);
    if (read.ok()) read = PutUnsettled(position, leaf);
    if (read.ok() || damaged_ == nullptr) return OrOverwritten(image_, read);
    std::memset(leaf, 0, kSubtreeBytes);
    return (*damaged_)(read);
  }
  Status Finish() override { return CheckNotOverwritten(image_); }
  void Drain() override { reader_.Drain(); }

 private:
  // Puts the pages of a leaf that lie elsewhere into their places.
  Status PutUnsettled(SubtreePosition position, char* leaf) {
    const uint64_t first = position.value() * kPagesPerLeaf;
    const UnsettledPages of_leaf(unsettled_.lower_bound(first),
                                 unsettled_.lower_bound(first + kPagesPerLeaf));
    return ReadUnsettledPages(image_.file(), image_.superblock().base, of_leaf,
                              [&](uint64_t page, const char* bytes, Status status) {
                                if (!status.ok()) return status;
                                std::memcpy(leaf + (page - first) * kPageBytes, bytes, kPageBytes);
                                return Status();
                              });
  }

  const ImageFile& image_;
  const Damaged* damaged_;
  std::vector<SubtreePosition> positions_;
  UnsettledPages unsettled_;
  LeafReader reader_;
};

}  // namespace

Status RecodeInto(const ImageFile& image, Codec codec, const os::Directory& directory,
                  const std::string& name, const CopyAs& as, const Damaged* damaged) {
  if (as.naming == os::Naming::kNew) MORSEL_TRY(directory.CheckNone(name));
  LeavesOf leaves(image, damaged);
  MORSEL_TRY(leaves.Begin());
  ImageInfo info = image.info();
  info.codec = codec;
  info.carried_name = as.carried_name;
  return ImageFile::CreateFrom(leaves, directory, name, as.rights, info, image.progress(),
                               as.naming)
      .status();
}

}  // namespace morsel::image
