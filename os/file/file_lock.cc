#include "os/file/file_lock.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "os/file/file_users.h"

namespace morsel::os {
namespace {

// The byte that a writer locks. No file has one there, so that no program's own locks meet it.
constexpr uint64_t kWritersByte = uint64_t{1} << 62;
constexpr ByteSpan kWriters = {kWritersByte, kWritersByte + 1};

struct flock LockOf(short type, const ByteSpan& span) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(span.begin);
  lock.l_len = static_cast<off_t>(span.end - span.begin);
  return lock;
}

// Tries to set the lock. Returns false and sets errno.
bool TryTo(const File& file, short type, const ByteSpan& span) {
  struct flock lock = LockOf(type, span);
  int failed = 0;
  do {
    failed = fcntl(file.descriptor(), F_OFD_SETLK, &lock);
  } while (failed != 0 && errno == EINTR);
  return failed == 0;
}

bool IsTaken(int error) { return error == EAGAIN || error == EACCES; }

// The error of a lock that could not be tried. `subject` is what messages call the file.
Status NoLock(const std::string& subject) {
  if (errno != ENOLCK && !IsNotDoneHere(errno)) {
    return FailErrno("%s cannot be locked", subject.c_str());
  }
  return Fail(Code::kUnsupported,
              "%s lies on a file system that has no locks (%s), so that two processes might write "
              "it at once; put it on another one, or only read it",
              subject.c_str(), std::strerror(errno));
}

Status IsWrittenBy(const std::string& subject, const std::string& process) {
  return Fail(
      Code::kBusy,
      "%s is written by %s, also if that knows it by another name or in another pool; close "
      "it there first, or open it read-only",
      subject.c_str(), process.c_str());
}

}  // namespace

Result<bool> TryLockForWriting(const File& file, const std::string& subject) {
  if (TryTo(file, F_WRLCK, kWriters)) return true;
  if (!IsTaken(errno)) return NoLock(subject);
  struct flock other = LockOf(F_WRLCK, kWriters);
  const bool is_known = fcntl(file.descriptor(), F_OFD_GETLK, &other) == 0;
  // It may have been given back in this moment.
  if (is_known && other.l_type == F_UNLCK && TryTo(file, F_WRLCK, kWriters)) return true;
  // A lock for reading is none of a writer's who has his own.
  if (is_known && other.l_type == F_RDLCK) return false;
  return IsWrittenBy(subject, HolderOfLock(file, kWritersByte));
}

Status LockUnderReaders(const File& file, const std::string& subject) {
  if (TryTo(file, F_RDLCK, kWriters)) return Code::kOk;
  return IsTaken(errno) ? IsWrittenBy(subject, HolderOfLock(file, kWritersByte)) : NoLock(subject);
}

Status IsWrittenUnderReaders(const File& file, const std::string& subject) {
  const std::string writer = OtherWriterOf(file);
  return Fail(Code::kBusy,
              "%s is written by %s, which a reader's lock on the file hides; close it there first, "
              "or open it read-only",
              subject.c_str(), writer.empty() ? "another process" : writer.c_str());
}

// A writer under a reader's lock puts its own there before it looks for another's, so that of two
// that come at the same time one at least finds the other. Who has the lock for writing need not
// look: nobody has one for reading then.
Status LockForWriting(const File& file, const std::string& subject) {
  const Result<bool> has_own = TryLockForWriting(file, subject);
  if (!has_own) return has_own.status();
  if (*has_own) return Code::kOk;
  MORSEL_TRY(LockUnderReaders(file, subject));
  const int writers = ReadersOfByte(file, kWritersByte);
  if (writers == 1) return Code::kOk;  // this one
  if (writers > 1) return IsWrittenUnderReaders(file, subject);
  return Fail(Code::kBusy,
              "%s is locked by a process that reads it, and /proc/locks does not show whether "
              "another one writes it; end the reader's lock, or mount /proc",
              subject.c_str());
}

Status CheckNotWritten(const File& file, const std::string& subject) {
  struct flock other = LockOf(F_WRLCK, kWriters);
  const bool is_known = fcntl(file.descriptor(), F_OFD_GETLK, &other) == 0;
  if (!is_known || other.l_type == F_UNLCK) return Code::kOk;
  if (other.l_type == F_WRLCK) return IsWrittenBy(subject, HolderOfLock(file, kWritersByte));
  return ReadersOfByte(file, kWritersByte) == 0 ? Status() : IsWrittenUnderReaders(file, subject);
}

bool LockAlone(const File& file) { return TryTo(file, F_WRLCK, kWriters) || !IsTaken(errno); }

bool KeepFromWriting(const File& file) { return TryTo(file, F_RDLCK, kWriters) || !IsTaken(errno); }

Result<std::optional<ByteSpan>> LockSpan(const File& file, const ByteSpan& span) {
  // Others may take it and give it back between the two calls.
  constexpr int kTriesMax = 100;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    if (TryTo(file, F_WRLCK, span)) return std::optional<ByteSpan>();
    if (!IsTaken(errno)) return NoLock("'" + file.path() + "'");
    struct flock other = LockOf(F_WRLCK, span);
    if (fcntl(file.descriptor(), F_OFD_GETLK, &other) != 0) break;
    if (other.l_type == F_UNLCK) continue;
    const auto begin = static_cast<uint64_t>(other.l_start);
    const uint64_t end = other.l_len == 0 ? span.end : begin + static_cast<uint64_t>(other.l_len);
    return std::optional(ByteSpan{std::max(begin, span.begin), std::min(end, span.end)});
  }
  return std::optional(span);
}

void UnlockSpan(const File& file, const ByteSpan& span) { (void)TryTo(file, F_UNLCK, span); }

namespace {

// So far behind itself a byte is locked that is mapped. No file is so long, and a program's own
// locks do not lie there.
constexpr uint64_t kMappedBytes = uint64_t{1} << 60;
constexpr ByteSpan kMapped = {kMappedBytes, 2 * kMappedBytes};

ByteSpan LockOfMapped(const ByteSpan& span) {
  return {kMappedBytes + span.begin, kMappedBytes + span.end};
}

// The first lock of others that meets `span`, as the kernel finds them, cut to it.
std::optional<ByteSpan> LockIn(const File& file, const ByteSpan& span) {
  struct flock other = LockOf(F_WRLCK, span);
  if (fcntl(file.descriptor(), F_OFD_GETLK, &other) != 0 || other.l_type == F_UNLCK) return {};
  const auto begin = static_cast<uint64_t>(other.l_start);
  const uint64_t end = other.l_len == 0 ? span.end : begin + static_cast<uint64_t>(other.l_len);
  return ByteSpan{std::max(begin, span.begin), std::min(end, span.end)};
}

}  // namespace

bool LockMapped(const File& file, const std::vector<ByteSpan>& spans) {
  for (const ByteSpan& span : spans) {
    if (TryTo(file, F_RDLCK, LockOfMapped(span))) continue;
    UnlockMapped(file);
    return false;
  }
  return true;
}

void UnlockMapped(const File& file) { UnlockSpan(file, kMapped); }

bool MayBeWritten(const File& file) {
  struct flock other = LockOf(F_WRLCK, kWriters);
  return fcntl(file.descriptor(), F_OFD_GETLK, &other) != 0 || other.l_type != F_UNLCK;
}

std::vector<ByteSpan> MappedByOthers(const File& file, uint64_t end) {
  constexpr int kAsksMax = 4096;
  std::vector<ByteSpan> found;
  std::vector<ByteSpan> unknown = {LockOfMapped({0, end})};
  for (int asks = 0; !unknown.empty(); ++asks) {
    if (asks == kAsksMax) return {{0, end}};
    const ByteSpan span = unknown.back();
    unknown.pop_back();
    if (span.begin >= span.end) continue;
    const std::optional<ByteSpan> lock = LockIn(file, span);
    if (!lock) continue;
    found.push_back({lock->begin - kMappedBytes, lock->end - kMappedBytes});
    unknown.push_back({lock->end, span.end});
    unknown.push_back({span.begin, lock->begin});
  }
  const auto by_begin = [](const ByteSpan& a, const ByteSpan& b) { return a.begin < b.begin; };
  std::sort(found.begin(), found.end(), by_begin);
  return found;
}

}  // namespace morsel::os
