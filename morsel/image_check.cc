#include "morsel/image_check.h"

#include <fcntl.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "base/error.h"
#include "pmem/image/image_file.h"

namespace morsel {
namespace {

using pmem::image::ImageFile;
using pmem::image::ImageInfo;

struct Named {
  std::string name;
  ImageInfo info;
  uint64_t end() const { return info.base + RangeBytes(info.capacity_bytes); }
};

std::string SubjectOf(const std::string& name) { return "morsel '" + name + "'"; }

void CompareTwo(const Named& one, const Named& other,
                const std::function<void(const Finding&)>& report) {
  char text[512];
  Code code = Code::kCorrupt;
  if (one.info.id == other.info.id) {
    code = Code::kOk;
    std::snprintf(text, sizeof text,
                  "it is a copy of morsel '%s': only one of the two can be open at a time",
                  one.name.c_str());
  } else {
    std::snprintf(text, sizeof text,
                  "its address range 0x%" PRIx64 "-0x%" PRIx64
                  " meets that of morsel '%s', 0x%" PRIx64 "-0x%" PRIx64
                  ": only one of the two can be open at a time",
                  other.info.base, other.end(), one.name.c_str(), one.info.base, one.end());
  }
  report({SubjectOf(other.name), text, code});
}

// An image that meets several others is reported with the one that reaches furthest.
void CompareRanges(std::vector<Named> images, const std::function<void(const Finding&)>& report) {
  std::stable_sort(images.begin(), images.end(),
                   [](const Named& a, const Named& b) { return a.info.base < b.info.base; });
  const Named* furthest = nullptr;
  for (const Named& image : images) {
    if (furthest != nullptr && image.info.base < furthest->end()) {
      CompareTwo(*furthest, image, report);
    }
    if (furthest == nullptr || image.end() > furthest->end()) furthest = &image;
  }
}

}  // namespace

Status CheckImages(const pmem::Directory& directory, const std::vector<std::string>& names,
                   const std::function<void(const Finding&)>& report) {
  std::vector<Named> images;
  for (const std::string& name : names) {
    Result<pmem::File> file = directory.OpenFile(name, O_RDONLY);
    Result<ImageFile> image = file ? ImageFile::Open(std::move(*file), true) : file.status();
    if (!image) {
      report({SubjectOf(name), LastError(), image.error()});
      continue;
    }
    MORSEL_TRY(image->Verify([&](const char* sentence) { report({SubjectOf(name), sentence, Code::kCorrupt}); }));
    images.push_back({name, image->info()});
  }
  CompareRanges(std::move(images), report);
  return Code::kOk;
}

}  // namespace morsel
