#include "morsel/image_file_at.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cinttypes>

#include "base/error.h"
#include "pmem/directory.h"
#include "pmem/image/image_copy.h"

namespace morsel {

using pmem::image::ImageFile;

namespace {

// A regular file, whatever is in it.
Result<pmem::File> OpenAt(pmem::SystemCalls& calls, const std::string& path) {
  Result<pmem::File> file = pmem::File::Open(calls, AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, path);
  if (!file) return file.status();
  struct stat status;
  if (fstat(file->descriptor(), &status) != 0) return FailErrno("'%s': fstat", path.c_str());
  if (!S_ISREG(status.st_mode)) {
    return Fail(Code::kInvalidArgument, "'%s' is not a regular file, and so no image",
                path.c_str());
  }
  return file;
}

/// Zeroed, as long as a morsel; what is not stored to takes nothing.
class Memory {
 public:
  explicit Memory(uint64_t size_bytes) : size_bytes_(size_bytes) {
    void* const memory = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) bytes_ = static_cast<char*>(memory);
  }
  ~Memory() {
    if (bytes_ != nullptr) munmap(bytes_, size_bytes_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  char* bytes() const { return bytes_; }

 private:
  uint64_t size_bytes_;
  char* bytes_ = nullptr;
};

Status WriteIntact(const ImageFile& image, const pmem::Directory& directory,
                   const std::string& name, const pmem::image::Damaged& damaged) {
  MORSEL_TRY(directory.ExpectNone(name));
  const pmem::image::ImageInfo info = image.info();
  const Memory memory(info.size_bytes);
  if (memory.bytes() == nullptr) {
    return Fail(Code::kNoMemory, "no %" PRIu64 " bytes of addresses to salvage '%s' in",
                info.size_bytes, image.file().path().c_str());
  }
  MORSEL_TRY(image.LoadIntact(memory.bytes(), damaged));
  MORSEL_TRY(pmem::image::ExpectKept(image));
  constexpr mode_t kOwnersOnly = 0600;
  return ImageFile::Create(directory, name, kOwnersOnly, info, memory.bytes()).status();
}

}  // namespace

Result<ImageFile> OpenImageAt(pmem::SystemCalls& calls, const std::string& path) {
  Result<pmem::File> file = OpenAt(calls, path);
  if (!file) return file.status();
  return ImageFile::Open(std::move(*file), /*read_only=*/true);
}

Status SalvageImage(pmem::SystemCalls& calls, const std::string& path, const std::string& to,
                    const std::function<void(const char* sentence)>& report) {
  const pmem::image::Damaged damaged = [&](Status) {
    report(LastError());
    return Status();
  };
  Result<pmem::File> file = OpenAt(calls, path);
  if (!file) return file.status();
  const Result<ImageFile> image = ImageFile::OpenIntact(std::move(*file), damaged);
  if (!image) return image.status();
  if (to.empty()) {
    MORSEL_TRY(image->Verify(report));
    return pmem::image::ExpectKept(*image);
  }
  const Result<pmem::SplitPath> split = pmem::SplitAtName(to);
  if (!split) return split.status();
  const Result<pmem::Directory> directory = pmem::Directory::Open(calls, split->directory);
  if (!directory) return directory.status();
  return WriteIntact(*image, *directory, split->name, damaged);
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
