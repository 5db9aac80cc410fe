#include "morsel/directory/address_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/units.h"
#include "os/file/files_of_this_process.h"

namespace morsel {
namespace {

// From this byte on writers of morsels lock. It is beyond all addresses.
constexpr uint64_t kWritersBegin = uint64_t{1} << 61;

// What the count of names may take on the disk, about.
constexpr uint64_t kCountBytesMax = 64 * kKiB;

// Who may write the directory may open the file, and nobody else may: who can open it can lock it.
mode_t ModeBeside(const struct stat& directory) {
  const mode_t writers = directory.st_mode & 0222;
  return writers | writers << 1;
}

// Not every process may set it, nor does every file system let it be set.
void SetMode(const os::Directory& directory, const os::File& file) {
  struct stat beside;
  struct stat own;
  if (fstat(directory.descriptor(), &beside) != 0 || fstat(file.descriptor(), &own) != 0) return;
  const KeepLastError keep;
  if (own.st_uid == geteuid()) (void)file.SetMode(ModeBeside(beside));
}

Result<os::File> OpenOrMake(const os::Directory& directory) {
  // Others may make it or remove it in between.
  constexpr int kTriesMax = 100;
  for (int tries = 1;; ++tries) {
    Result<os::File> file = directory.OpenFile(kLockFileName, O_RDWR | O_APPEND);
    if (file || file.error() != Code::kNotFound || tries == kTriesMax) return file;
    file = os::File::Open(directory.calls(), directory.descriptor(), kLockFileName,
                          O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0600,
                          directory.PathOf(kLockFileName));
    if (file) directory.GiveGroup(*file);
    if (file) SetMode(directory, *file);
    // Where it is not found now either, the directory itself was removed.
    if (file || file.error() != Code::kExists) return file;
  }
}

}  // namespace

void AddressLock::Prepare(const os::Directory& directory) {
  const KeepLastError keep;
  const Result<os::File> file = OpenOrMake(directory);
  if (file) SetMode(directory, *file);
}

Result<AddressLock> AddressLock::Open(const os::Directory& directory) {
  std::unique_lock no_fork = os::NoForkMeanwhile();
  Result<os::File> file = OpenOrMake(directory);
  if (file) file->CloseInChildren();
  no_fork.unlock();
  if (file) return AddressLock(std::move(*file));
  if (file.error() != Code::kPermission) return file.status();
  return Fail(Code::kPermission,
              "%s; who makes morsels in the pool needs it: its owner gives it the rights of the "
              "directory by opening the pool, or removes it",
              LastError());
}

Result<std::optional<os::ByteSpan>> AddressLock::TryLock(uint64_t base, uint64_t size_bytes) {
  const os::ByteSpan span = {base, base + size_bytes};
  Result<std::optional<os::ByteSpan>> other = os::LockSpan(file_, span);
  if (other && !*other) locked_ = span;
  return other;
}

Result<bool> AddressLock::TryLockWriter(const FileIdentity& morsel) {
  // An inode's number may have 64 bits. Two morsels that meet keep each other out, and are safe.
  const uint64_t byte = kWritersBegin + morsel.inode % kWritersBegin;
  const Result<std::optional<os::ByteSpan>> other = TryLock(byte, 1);
  if (!other) return other.status();
  return !other->has_value();
}

void AddressLock::Unlock() {
  if (locked_.end != 0) os::UnlockSpan(file_, locked_);
  locked_ = {};
}

void AddressLock::CountName() const {
  const KeepLastError keep;
  // The kernel appends it, whoever else does the same at this moment.
  const Result<struct stat> file = file_.Stat();
  if (!file || !file_.WriteAll("+", 1, static_cast<uint64_t>(file->st_size)).ok()) return;
  // Only the length counts, so the disk need not keep the bytes. Some file systems have to.
  constexpr blkcnt_t kBlocksMax = kCountBytesMax / 512;
  if (file->st_blocks <= kBlocksMax) return;
  (void)file_.calls().FAllocate(file_.descriptor(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                                file->st_size);
}

uint64_t AddressLock::NamesGiven() const {
  const KeepLastError keep;
  const Result<uint64_t> bytes = file_.SizeBytes();
  return bytes ? *bytes : 0;
}

}  // namespace morsel
