#include "morsel/registry/registry_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "os/file/file_lock.h"
#include "os/file/files_of_this_process.h"

namespace morsel {
namespace {

// The byte that the lock is on.
constexpr os::ByteSpan kLock = {0, 1};
// How long others are waited for who have the lock and change nothing: they have it for a sync, or
// are stopped.
constexpr uint64_t kPatienceNs = 2'000'000'000;
constexpr timespec kBetweenTries = {0, 200'000};
// How often the file may be replaced meanwhile.
constexpr int kOpensMax = 100;

uint64_t ChecksumOf(AddressesHeader header) {
  header.checksum = 0;
  return Checksum64(&header, sizeof header);
}

uint64_t ChecksumOf(RegisteredPoolSlot slot) {
  slot.checksum = 0;
  const uint64_t checksum = Checksum64(&slot, sizeof slot);
  return checksum != 0 ? checksum : 1;
}

AddressesHeader NewHeader() {
  AddressesHeader header{};
  header.magic = kAddressesMagic;
  header.version = kAddressesVersion;
  header.granule_mib = kGranuleBytes / kMiB;
  header.checksum = ChecksumOf(header);
  return header;
}

// Makes the file, unless somebody else does.
Status Make(const os::Directory& directory, const std::string& name) {
  const Result<os::TemporaryFile> temporary = directory.MakeTemporary(name, 0600);
  if (!temporary) return temporary.status();
  const AddressesHeader header = NewHeader();
  Status status = temporary->file.Resize(WordOffset(kGranuleCount));
  if (status.ok()) status = temporary->file.WriteAll(&header, sizeof header, 0);
  if (status.ok()) status = directory.Publish(temporary->file, temporary->name, name);
  if (!status.ok()) directory.Abandon(temporary->name);
  return status.code() == Code::kExists ? Status() : status;
}

Result<os::File> OpenOrMake(const os::Directory& directory, const std::string& name) {
  for (int tries = 0;; ++tries) {
    std::unique_lock no_fork = os::NoForkMeanwhile();
    Result<os::File> file = directory.OpenFile(name, O_RDWR);
    if (file) file->CloseInChildren();
    no_fork.unlock();
    if (file || file.error() != Code::kNotFound || tries == kOpensMax) return file;
    MORSEL_TRY(Make(directory, name));
  }
}

// Who could lock another user's file could stop him, and who can write it says what is free.
Status CheckIsOurs(const os::File& file) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) {
    return FailErrno("'%s': fstat", file.path().c_str());
  }
  if (status.st_uid == geteuid() && (status.st_mode & 0022) == 0) return Code::kOk;
  return Fail(Code::kPermission, "'%s' is another user's, or others may write it",
              file.path().c_str());
}

uint64_t Nanoseconds(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

uint64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Nanoseconds(now);
}

Status Lock(const os::File& file) {
  uint64_t changed = 0;
  for (uint64_t begin = Now(); Now() - begin < kPatienceNs; nanosleep(&kBetweenTries, nullptr)) {
    const Result<std::optional<os::ByteSpan>> other = os::LockSpan(file, kLock);
    if (!other) return other.status();
    if (!*other) return Code::kOk;
    struct stat status;
    if (fstat(file.descriptor(), &status) != 0 || Nanoseconds(status.st_mtim) == changed) continue;
    changed = Nanoseconds(status.st_mtim);
    begin = Now();
  }
  return Fail(Code::kBusy, "'%s' is locked by another process, which does not go on",
              file.path().c_str());
}

// Whether what the file begins with, of which at most a header was read, is neither a registry's
// nor what a crash leaves of one.
bool IsForeign(const AddressesHeader& header, uint64_t size_bytes) {
  if (size_bytes == 0) return false;
  const auto* const bytes = reinterpret_cast<const char*>(&header);
  const size_t read = std::min<uint64_t>(size_bytes, sizeof header.magic);
  return std::memcmp(bytes, &kAddressesMagic, read) != 0 &&
         std::any_of(bytes, bytes + read, [](char byte) { return byte != 0; });
}

// kCorrupt: it is to be made anew.
Status CheckHeader(const os::File& file) {
  AddressesHeader header{};
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  MORSEL_TRY(file.ReadExactly(&header, std::min<uint64_t>(sizeof header, *size_bytes), 0));
  if (IsForeign(header, *size_bytes)) {
    return Fail(Code::kInvalidArgument,
                "'%s' is no registry of addresses, and is left as it is: move it away, or let "
                "MORSEL_ADDRESSES name another file",
                file.path().c_str());
  }
  const bool is_one = header.magic == kAddressesMagic && header.checksum == ChecksumOf(header);
  if (is_one && header.version != kAddressesVersion) {
    return Fail(Code::kVersion,
                "'%s' is of version %" PRIu32 "; this library knows version %" PRIu32,
                file.path().c_str(), header.version, kAddressesVersion);
  }
  if (is_one && *size_bytes >= WordOffset(kGranuleCount)) return Code::kOk;
  return Fail(Code::kCorrupt, "'%s' does not begin like a registry of addresses, or was truncated",
              file.path().c_str());
}

}  // namespace

bool IsWhole(const RegisteredPoolSlot& slot) {
  return slot.checksum != 0 && slot.checksum == ChecksumOf(slot) &&
         slot.path_bytes < sizeof slot.path;
}

Result<RegistryFile> RegistryFile::OpenLocked(os::SystemCalls& calls, const std::string& path) {
  const Result<os::SplitPath> split = os::SplitAtName(path);
  if (!split) return split.status();
  const Result<os::Directory> directory = os::Directory::Open(calls, split->directory);
  if (!directory) return directory.status();
  for (int opens = 0; opens < kOpensMax; ++opens) {
    Result<os::File> file = OpenOrMake(*directory, split->name);
    if (!file) return file.status();
    MORSEL_TRY(CheckIsOurs(*file));
    MORSEL_TRY(Lock(*file));
    // Whoever had the lock before may have put the file aside.
    if (!directory->CheckLeadsTo(split->name, *file).ok()) continue;
    const Status checked = CheckHeader(*file);
    if (checked.ok()) return RegistryFile(std::move(*file));
    if (checked.code() != Code::kCorrupt) return checked;
    const std::string aside = split->name + ".damaged";
    if (calls.RenameAt2(directory->descriptor(), split->name.c_str(), aside.c_str(), 0) != 0) {
      return FailErrno("'%s' cannot be put aside", path.c_str());
    }
  }
  return Fail(Code::kBusy, "'%s' is replaced again and again", path.c_str());
}

void RegistryFile::Unlock() const { os::UnlockSpan(file_, kLock); }

Status RegistryFile::LockAgain() const {
  MORSEL_TRY(Lock(file_));
  struct stat now;
  if (stat(file_.path().c_str(), &now) == 0 &&
      FileIdentity{now.st_dev, now.st_ino} == file_.identity()) {
    return Code::kOk;
  }
  return Fail(Code::kNotFound, "another file is in the place of '%s'", file_.path().c_str());
}

Result<std::vector<RegisteredPoolSlot>> RegistryFile::ReadSlots(GranuleWord first,
                                                                uint64_t count) const {
  std::vector<RegisteredPoolSlot> slots(count);
  MORSEL_TRY(file_.ReadExactly(slots.data(), count * sizeof slots[0], SlotOffset(first)));
  return slots;
}

Status RegistryFile::WriteSlot(GranuleWord number, RegisteredPoolSlot slot) const {
  const bool is_free = slot.path_bytes == 0 && slot.id == Id{};
  slot.checksum = is_free ? 0 : ChecksumOf(slot);
  return file_.WriteAll(&slot, sizeof slot, SlotOffset(number));
}

Result<std::vector<GranuleWord>> RegistryFile::ReadWords(uint64_t begin, uint64_t end) const {
  std::vector<GranuleWord> words(end - begin);
  MORSEL_TRY(file_.ReadExactly(words.data(), words.size() * sizeof words[0], WordOffset(begin)));
  return words;
}

Status RegistryFile::WriteWords(uint64_t begin, const std::vector<GranuleWord>& words) const {
  return file_.WriteAll(words.data(), words.size() * sizeof words[0], WordOffset(begin));
}

}  // namespace morsel
