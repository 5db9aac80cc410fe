// Locks on files: of a file's one writer, and of ranges of bytes. All are tried and never waited
// for. Each ends when the last descriptor of its file description is closed; forked children have
// such descriptors, too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::os {

/// Makes this process the one that writes `file`, which is open for writing. The lock is on the
/// file itself, whatever names it has. It is one that only who may write the file can take from
/// others (F_OFD_SETLK of fcntl(2)). Where somebody who may only read has put a lock in its place,
/// writers find each other in /proc/locks. Messages call the file `subject`, e.g. "pool '/data'".
/// Errors  kBusy: another writes the file, the message names the process if /proc does; or a reader
///         has locked it, and there is no /proc/locks. kUnsupported: the file system has no such
///         locks. kIo.
Status LockForWriting(const File& file, const std::string& subject);

/// As LockForWriting(), but false where there is a reader's lock. The caller keeps other writers
/// away by another lock then, on what no reader can open, and calls LockUnderReaders().
Result<bool> TryLockForWriting(const File& file, const std::string& subject);

/// Puts a lock for reading beside a reader's: nobody gets the writer's lock until `file` is closed.
/// Errors  kBusy: somebody has got it. Others as LockForWriting().
Status LockUnderReaders(const File& file, const std::string& subject);

/// The error of a file that another writes under a reader's lock.
Status IsWrittenUnderReaders(const File& file, const std::string& subject);

/// Checks that nobody has LockForWriting() of `file`, which may be open for reading only.
/// Errors  kBusy, as LockForWriting(); where a reader's lock is, /proc/locks is looked at.
Status CheckNotWritten(const File& file, const std::string& subject);

/// As LockForWriting(), but fails under anybody's lock: for a file that others hardly know.
bool LockAlone(const File& file);

/// Whether nobody writes `file`, which is open for reading. If so, nobody gets LockAlone() of it
/// until the file is closed.
bool KeepFromWriting(const File& file);

/// The bytes [begin, end) of a file.
struct ByteSpan {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// Locks `span` of `file`, which is open for writing, exclusively. Returns nothing if it has the
/// lock now, and else bytes in `span` that another file description has locked.
/// Errors  kUnsupported: the file system has no such locks. kIo.
Result<std::optional<ByteSpan>> LockSpan(const File& file, const ByteSpan& span);

/// Gives a lock of LockSpan() back.
void UnlockSpan(const File& file, const ByteSpan& span);

/// Tells who writes `file` from now on that this process maps `spans` of it, by locks for reading
/// on bytes that no file has. They are in nobody's way. They end with the last descriptor and the
/// last mapping of the file description, or with UnlockMapped().
/// Returns false, and nothing is locked, if the file system has no such locks, or somebody is in
/// the way.
bool LockMapped(const File& file, const std::vector<ByteSpan>& spans);
void UnlockMapped(const File& file);

/// Whether somebody may be writing `file`: there is a lock of a writer, or one in its place, or
/// nothing tells.
bool MayBeWritten(const File& file);

/// The bytes of `file`, up to `end`, that others have LockMapped(), in order. Who has made very
/// many locks counts as having all.
std::vector<ByteSpan> MappedByOthers(const File& file, uint64_t end);

}  // namespace morsel::os
