#include "morsel/image_file_at.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cinttypes>

#include "base/error.h"
#include "pmem/image/image_copy.h"

namespace morsel {

using pmem::image::ImageFile;

Result<ImageFile> OpenImageAt(pmem::SystemCalls& calls, const std::string& path) {
  Result<pmem::File> file = pmem::File::Open(calls, AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, path);
  if (!file) return file.status();
  struct stat status;
  if (fstat(file->descriptor(), &status) != 0) return FailErrno("'%s': fstat", path.c_str());
  if (!S_ISREG(status.st_mode)) {
    return Fail(Code::kInvalidArgument, "'%s' is not a regular file, and so no image",
                path.c_str());
  }
  return ImageFile::Open(std::move(*file), /*read_only=*/true);
}

Status VerifyImage(const ImageFile& image,
                   const std::function<void(const char* sentence)>& report) {
  uint64_t damaged = 0;
  MORSEL_TRY(image.Verify([&](const char* sentence) {
    ++damaged;
    report(sentence);
  }));
  MORSEL_TRY(pmem::image::ExpectKept(image));
  if (damaged == 0) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s': %" PRIu64 " of its subtrees cannot be believed; restore it from a copy",
              image.file().path().c_str(), damaged);
}

}  // namespace morsel
