#include "os/file/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "base/descriptor_floor.h"
#include "base/error.h"
#include "os/file/files_of_this_process.h"

namespace morsel::os {

File::File(File&& other) noexcept
    : calls_(other.calls_),
      descriptor_(std::move(other.descriptor_)),
      is_closed_in_children_(std::exchange(other.is_closed_in_children_, false)),
      leaves_locks_(std::exchange(other.leaves_locks_, false)),
      path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    Close();
    calls_ = other.calls_;
    descriptor_ = std::move(other.descriptor_);
    is_closed_in_children_ = std::exchange(other.is_closed_in_children_, false);
    leaves_locks_ = std::exchange(other.leaves_locks_, false);
    path_ = std::move(other.path_);
  }
  return *this;
}

File::~File() { Close(); }

namespace {

// A child that another thread has just made has the file's description, too, and with it its locks,
// until it begins or until it runs another program: posix_spawn(3) and vfork(2) call no handlers.
void GiveLocksBack(const Descriptor& descriptor) {
  struct flock all {};
  all.l_type = F_UNLCK;
  all.l_whence = SEEK_SET;
  (void)fcntl(descriptor.number(), F_OFD_SETLK, &all);
}

}  // namespace

void File::Close() {
  if (!is_open()) return;
  if (std::exchange(is_closed_in_children_, false)) {
    if (KeepInChildren(descriptor_)) {
      if (!leaves_locks_) GiveLocksBack(descriptor_);
    } else {
      // In a child it is closed already, and the number may be of the same file, opened anew.
      descriptor_.Forget();
    }
  }
  descriptor_.Close();
}

void File::CloseInChildren() {
  os::CloseInChildren(descriptor_);
  is_closed_in_children_ = true;
}

Result<File> File::SecondDescriptor(std::string path) const {
  const auto no_fork = NoForkMeanwhile();
  const DescriptorFloor floor;
  const int descriptor = fcntl(this->descriptor(), F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) return FailErrno("'%s'", path.c_str());
  File second(*calls_, descriptor, std::move(path));
  second.CloseInChildren();
  leaves_locks_ = true;
  return second;
}

Result<File> File::Open(SystemCalls& calls, int directory, const std::string& name, int flags,
                        mode_t mode, std::string path) {
  const int descriptor = calls.OpenAt(directory, name.c_str(), flags, mode);
  if (descriptor < 0) return FailErrno("'%s' cannot be opened", path.c_str());
  return File(calls, descriptor, std::move(path));
}

Result<struct stat> File::Stat() const {
  struct stat status;
  const bool is_told = fstat(descriptor_.number_at_open(), &status) == 0;
  if (is_told && FileIdentity{status.st_dev, status.st_ino} == identity()) return status;
  if (is_told) errno = EBADF;
  return FailErrno("'%s': fstat", path_.c_str());
}

Result<uint64_t> File::SizeBytes() const {
  const Result<struct stat> status = Stat();
  if (!status) return status.status();
  return static_cast<uint64_t>(status->st_size);
}

Result<uint64_t> File::AllocatedBytes() const {
  constexpr uint64_t kUnitBytes = 512;  // of st_blocks, whatever the file system's blocks are
  struct stat status;
  if (fstat(descriptor(), &status) != 0) return FailErrno("'%s': fstat", path_.c_str());
  return static_cast<uint64_t>(status.st_blocks) * kUnitBytes;
}

Status File::ReadExactly(void* bytes, size_t size_bytes, uint64_t offset) const {
  return ReadBy(descriptor(), bytes, size_bytes, offset);
}

Result<struct stat> File::StatAndRead(void* bytes, size_t size_bytes, uint64_t offset) const {
  Result<struct stat> status = Stat();
  if (status) MORSEL_TRY(ReadBy(descriptor_at_open(), bytes, size_bytes, offset));
  return status;
}

Status File::ReadBy(int descriptor, void* bytes, size_t size_bytes, uint64_t offset) const {
  char* to = static_cast<char*>(bytes);
  while (size_bytes > 0) {
    const ssize_t got = calls_->PRead(descriptor, to, size_bytes, static_cast<int64_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return FailErrno("'%s': reading %zu bytes at offset %" PRIu64, path_.c_str(), size_bytes,
                       offset);
    }
    if (got == 0) {
      return Fail(Code::kCorrupt,
                  "'%s' ends at offset %" PRIu64
                  ", where %zu more bytes are due: it was truncated; "
                  "restore it from a copy",
                  path_.c_str(), offset, size_bytes);
    }
    to += got;
    size_bytes -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
  return Code::kOk;
}

namespace {

// Puts all bytes, by a call that may put fewer.
template <class Put>
Status PutAll(const File& file, const void* bytes, size_t size_bytes, uint64_t offset, Put put) {
  const char* from = static_cast<const char*>(bytes);
  while (size_bytes > 0) {
    const ssize_t done = put(from, size_bytes, static_cast<int64_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done == 0) errno = EIO;
    if (done <= 0) {
      return FailErrno("'%s': writing %zu bytes at offset %" PRIu64, file.path().c_str(),
                       size_bytes, offset);
    }
    from += done;
    size_bytes -= static_cast<size_t>(done);
    offset += static_cast<uint64_t>(done);
  }
  return Code::kOk;
}

}  // namespace

Status File::WriteAll(const void* bytes, size_t size_bytes, uint64_t offset) const {
  return PutAll(*this, bytes, size_bytes, offset, [&](const char* from, size_t left, int64_t at) {
    return calls_->PWrite(descriptor(), from, left, at);
  });
}

Status File::WriteSynced(const void* bytes, size_t size_bytes, uint64_t offset) const {
  return PutAll(*this, bytes, size_bytes, offset, [&](const char* from, size_t left, int64_t at) {
    return calls_->PWriteSynced(descriptor(), from, left, at);
  });
}

Result<File> File::OpenDirect(bool writes) const {
  char name[64];
  std::snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor());
  const int flags = writes ? O_RDWR : O_RDONLY;
  Result<File> direct = Open(*calls_, AT_FDCWD, name, flags | O_DIRECT, 0, path_);
  if (direct || errno != EINVAL) return direct;
  return Open(*calls_, AT_FDCWD, name, flags, 0, path_);
}

Status File::Sync() const {
  if (calls_->FDataSync(descriptor()) != 0) return FailErrno("'%s': fdatasync", path_.c_str());
  return Code::kOk;
}

Status File::SetMode(mode_t mode) const {
  struct stat status;
  if (fstat(descriptor(), &status) != 0) return FailErrno("'%s': fstat", path_.c_str());
  const unsigned now = status.st_mode & 07777;
  // What is made in a group's directory stays the group's.
  if (S_ISDIR(status.st_mode)) mode |= now & S_ISGID;
  if (now == mode || calls_->FChMod(descriptor(), mode) == 0) return Code::kOk;
  const bool is_fixed =
      IsNotDoneHere(errno) || (errno == EPERM && (status.st_uid == geteuid() || geteuid() == 0));
  if (!is_fixed) return FailErrno("'%s' cannot get the permissions 0%o", path_.c_str(), mode);
  return Fail(
      Code::kUnsupported,
      "'%s' cannot get the permissions 0%o: its file system gives it 0%o and keeps to that; "
      "ask for 0%o, or use another file system",
      path_.c_str(), mode, now, now);
}

Status File::Resize(uint64_t size_bytes) const {
  if (calls_->FTruncate(descriptor(), static_cast<int64_t>(size_bytes)) != 0) {
    return FailErrno("'%s': making it %" PRIu64 " bytes long", path_.c_str(), size_bytes);
  }
  return Code::kOk;
}

}  // namespace morsel::os
