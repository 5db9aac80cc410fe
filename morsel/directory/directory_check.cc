#include "morsel/directory/directory_check.h"

#include <fcntl.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <optional>

#include "base/error.h"
#include "image/image_copy.h"
#include "image/image_file.h"
#include "morsel/carved/fine_file.h"
#include "morsel/pool/while_overtaken.h"

namespace morsel {
namespace {

using image::ImageFile;
using image::ImageInfo;
using Report = std::function<void(const Finding&)>;

struct Named {
  std::string name;
  Id id;
  uint64_t base;
  uint64_t capacity_bytes;
  FileIdentity file;
  uint64_t end() const { return base + RangeBytes(capacity_bytes); }
};

std::string SubjectOf(const std::string& name) { return "morsel '" + name + "'"; }

void CompareTwo(const Named& one, const Named& other, const Report& report) {
  char text[512];
  Code code = Code::kCorrupt;
  if (one.file == other.file) {
    code = Code::kOk;
    std::snprintf(text, sizeof text,
                  "it is morsel '%s' by another name (a hard link), and is not written as long as "
                  "it has both: remove one of the names",
                  one.name.c_str());
  } else if (one.id == other.id) {
    code = Code::kOk;
    std::snprintf(text, sizeof text,
                  "it is a copy of morsel '%s': only one of the two can be open at a time",
                  one.name.c_str());
  } else {
    std::snprintf(text, sizeof text,
                  "its address range 0x%" PRIx64 "-0x%" PRIx64
                  " meets that of morsel '%s', 0x%" PRIx64 "-0x%" PRIx64
                  ": only one of the two can be open at a time",
                  other.base, other.end(), one.name.c_str(), one.base, one.end());
  }
  report({SubjectOf(other.name), text, code});
}

// A morsel whose range overlaps several others is reported once, with the one that reaches
// furthest.
void CompareRanges(std::vector<Named> morsels, const Report& report) {
  std::stable_sort(morsels.begin(), morsels.end(),
                   [](const Named& a, const Named& b) { return a.base < b.base; });
  const Named* furthest = nullptr;
  for (const Named& image : morsels) {
    if (furthest != nullptr && image.base < furthest->end()) {
      CompareTwo(*furthest, image, report);
    }
    if (furthest == nullptr || image.end() > furthest->end()) furthest = &image;
  }
}

// Reads the image once. What is wrong is added to `found`.
// Errors  kOvertaken: it was written over meanwhile, so that nothing that was found says anything.
Status ReadImage(const os::Directory& directory, const std::string& name,
                 std::vector<Finding>& found, std::optional<Named>& known) {
  Result<os::File> file = directory.OpenFile(name, O_RDONLY);
  if (!file) return file.status();
  const Result<ImageFile> image = ImageFile::Open(std::move(*file), true);
  if (!image) return image.status();
  const ImageInfo info = image->info();
  known = {name, info.id, info.base, info.capacity_bytes, image->file().identity()};
  MORSEL_TRY(image->Verify([&](const char* message) {
    found.push_back({SubjectOf(name), message, Code::kCorrupt});
  }));
  for (const image::CopyFinding& doubt : image->FindDoubts()) {
    found.push_back({SubjectOf(name), doubt.message, doubt.is_damage ? Code::kCorrupt : Code::kOk});
  }
  return found.empty() ? Status() : image::CheckNotOvertaken(*image);
}

// Another process may write the image meanwhile. That is no damage.
Status CheckImage(const os::Directory& directory, const std::string& name, const Report& report,
                  std::vector<Named>& known) {
  std::vector<Finding> found;
  std::optional<Named> named;
  const Status read = WhileOvertaken(kLetItRest, [&] {
    found.clear();
    named.reset();
    return ReadImage(directory, name, found, named);
  });
  if (read.code() == Code::kNoMemory) return read;
  if (read.code() == Code::kNotFound) return Code::kOk;  // it was removed meanwhile
  if (!read.ok()) found = {{SubjectOf(name), LastError(), read.code()}};
  for (const Finding& finding : found) report(finding);
  if (named) known.push_back(*named);
  return Code::kOk;
}

void CheckFine(const os::Directory& directory, const std::string& name, const Report& report,
               std::vector<Named>& known) {
  const Result<os::File> file = directory.OpenFile(name, O_RDONLY);
  if (file.error() == Code::kNotFound) return;  // it was removed meanwhile
  const Result<CatalogRecord> record = file ? ReadFineFile(*file, name) : file.status();
  if (!record) return report({SubjectOf(name), LastError(), record.error()});
  known.push_back({name, record->id, record->base, record->capacity_bytes, file->identity()});
  const Result<std::vector<Finding>> findings = CheckFineFile(*file, SubjectOf(name));
  if (!findings) return report({SubjectOf(name), LastError(), findings.error()});
  for (const Finding& finding : *findings) report(finding);
}

}  // namespace

Status CheckFiles(const os::Directory& directory, const std::vector<std::string>& images,
                  const std::vector<std::string>& direct, const Report& report) {
  std::vector<Named> known;
  for (const std::string& name : images) MORSEL_TRY(CheckImage(directory, name, report, known));
  for (const std::string& name : direct) CheckFine(directory, name, report, known);
  CompareRanges(std::move(known), report);
  return Code::kOk;
}

}  // namespace morsel
