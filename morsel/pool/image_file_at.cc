#include "morsel/pool/image_file_at.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cinttypes>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/format/superblock.h"
#include "image/image_copy.h"
#include "morsel/pool/while_overtaken.h"
#include "os/file/directory.h"

namespace morsel {

using image::ImageFile;

namespace {

Result<os::File> OpenRegularAt(os::SystemCalls& calls, const std::string& path) {
  Result<os::File> file = os::File::Open(calls, AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, path);
  struct stat status;
  // A socket cannot be opened, which is no failure of a medium.
  const bool is_there =
      file ? fstat(file->descriptor(), &status) == 0 : stat(path.c_str(), &status) == 0;
  if (is_there && !S_ISREG(status.st_mode)) {
    return Fail(Code::kInvalidArgument, "'%s' is not a regular file, and so no image",
                path.c_str());
  }
  return file;
}

}  // namespace

Result<os::File> OpenImageFileAt(os::SystemCalls& calls, const std::string& path) {
  Result<os::File> file = OpenRegularAt(calls, path);
  if (!file) return file.status();
  const Result<bool> is_image = image::LooksLikeImage(*file);
  if (!is_image) return is_image.status();
  if (*is_image) return file;
  return Fail(Code::kInvalidArgument,
              "'%s' does not begin as the image of a morsel does; name one that was exported, or a "
              "morsel's file in a directory pool",
              path.c_str());
}

Result<ImageFile> OpenImageAt(os::SystemCalls& calls, const std::string& path) {
  return WhileOvertaken(kLetItExport, [&]() -> Result<ImageFile> {
    Result<os::File> file = OpenImageFileAt(calls, path);
    if (!file) return file.status();
    return ImageFile::Open(std::move(*file), /*read_only=*/true);
  });
}

namespace {

using Report = std::function<void(const char* message)>;

Status LookForLost(const ImageFile& image, const Report& lost) {
  bool found = false;
  MORSEL_TRY(image.Verify(
      [&](const char* message) {
        found = true;
        lost(message);
      },
      image::Verified::kLoadable));
  return image::CheckAfterReading(image, found);
}

Status WriteIntact(const ImageFile& image, os::SystemCalls& calls, const std::string& to,
                   const Report& lost) {
  const Result<os::SplitPath> split = os::SplitAtNewName(to);
  if (!split) return split.status();
  const Result<os::Directory> directory = os::Directory::Open(calls, split->directory);
  if (!directory) return directory.status();
  const image::Damaged damaged = [&](Status) {
    lost(LastError());
    return Status();
  };
  constexpr mode_t kOwnersOnly = 0600;
  return image::RecodeInto(image, image.info().codec, *directory, split->name,
                           {.rights = kOwnersOnly, .carried_name = image.info().carried_name},
                           &damaged);
}

Result<uint64_t> SalvageOnce(os::SystemCalls& calls, const std::string& path, const std::string& to,
                             const Report& report, const image::Progress& progress) {
  const image::Damaged damaged = [&](Status) {
    report(LastError());
    return Status();
  };
  Result<os::File> file = OpenImageFileAt(calls, path);
  if (!file) return file.status();
  Result<ImageFile> image = ImageFile::OpenIntact(std::move(*file), damaged);
  if (!image) return image.status();
  image->set_progress(progress);
  // OpenIntact() has reported the damaged tables already; their leaves are not counted here.
  uint64_t intact_bytes = image->LoadedBytes();
  const auto lost = [&](const char* message) {
    intact_bytes -= kSubtreeBytes;
    report(message);
  };
  const Status status =
      to.empty() ? LookForLost(*image, lost) : WriteIntact(*image, calls, to, lost);
  if (!status.ok()) return status;
  return image->is_cut() ? 0 : intact_bytes;
}

Status VerifyOnce(os::SystemCalls& calls, const std::string& path, const Report& report,
                  const image::Progress& progress) {
  Result<ImageFile> image = OpenImageAt(calls, path);
  if (!image) return image.status();
  image->set_progress(progress);
  uint64_t damaged = 0;
  MORSEL_TRY(image->Verify([&](const char* message) {
    ++damaged;
    report(message);
  }));
  std::string doubtful;
  for (const image::CopyFinding& doubt : image->FindDoubts()) {
    report(doubt.message.c_str());
    if (doubt.is_damage) doubtful = doubt.message;
  }
  MORSEL_TRY(image::CheckAfterReading(*image, damaged > 0));
  if (damaged == 0 && !doubtful.empty()) return Fail(Code::kCorrupt, "%s", doubtful.c_str());
  if (damaged == 0) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s': %" PRIu64 " of its subtrees cannot be believed; restore it from a copy",
              image->file().path().c_str(), damaged);
}

// Calls read(report) again as long as it was overtaken, and passes on what the last reading has
// reported: what a reader who was overtaken finds is no damage.
template <class Read>
auto ReportLast(const Report& report, const Read& read) {
  std::vector<std::string> found;
  const auto done = WhileOvertaken(kLetItExport, [&] {
    found.clear();
    return read([&](const char* message) { found.emplace_back(message); });
  });
  for (const std::string& message : found) report(message.c_str());
  return done;
}

}  // namespace

Result<uint64_t> SalvageImage(os::SystemCalls& calls, const std::string& path,
                              const std::string& to, const Report& report,
                              const image::Progress& progress) {
  return ReportLast(
      report, [&](const Report& found) { return SalvageOnce(calls, path, to, found, progress); });
}

Status VerifyImage(os::SystemCalls& calls, const std::string& path, const Report& report,
                   const image::Progress& progress) {
  return ReportLast(report,
                    [&](const Report& found) { return VerifyOnce(calls, path, found, progress); });
}

}  // namespace morsel
