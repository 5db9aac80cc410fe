// For tests: system calls that follow a script. It makes them fail, fall short or do nothing. They
// are counted, and can be logged.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "os/file/system_calls.h"

namespace morsel::os {

/// A system call that is about to be made. What its kind does not have is empty or 0.
struct Call {
  enum Kind : uint8_t {
    kOpen,
    kRead,
    kWrite,
    kWriteSynced,
    kTruncate,
    kAllocate,
    kDataSync,
    kSync,
    kRename,
    kLink,
    kUnlink,
    kMakeDirectory,
    kChangeMode,
    kChangeGroup,
    kSetAttribute,
    kKinds
  };
  Kind kind;
  int file;                     ///< or the directory that the name is in
  const char* name = "";        ///< the old name, if there are two
  const char* to = "";          ///< the new name
  int flags = 0;                ///< of an open, or the mode of an allocation
  mode_t mode = 0;              ///< of kChangeMode
  const void* bytes = nullptr;  ///< what is written
  uint64_t size_bytes = 0;      ///< the new size, of kTruncate
  uint64_t offset = 0;
  int64_t number = 0;    ///< how many calls there were before it; see ScriptedCalls::Play()
  int64_t returned = 0;  ///< once it has been made, with `size_bytes`
};

/// Returns what happens to a call: the errno that it fails with, or 0 if the kernel makes it, or
/// one of the following.
using Script = std::function<int(const Call& call)>;
inline constexpr int kShort = -1;    ///< a read or write is made with half the bytes
inline constexpr int kOmit = -2;     ///< the call returns 0 and does nothing
inline constexpr int kPartial = -3;  ///< a write is made with half the bytes, and fails: EIO

/// The call with this number fails.
Script FailOnce(int64_t number, int error);
/// The call with this number and all later ones fail, as on a broken disk.
Script FailFrom(int64_t number, int error);
/// Calls of one kind fail, except for the first `good` ones.
Script FailEach(Call::Kind kind, int error, int good = 0);
/// Reads of a range that has the byte at `offset` fail, as those of a bad block do.
Script FailReadsOf(uint64_t offset, int error = EIO);
/// Calls of one kind do nothing.
Script Omit(Call::Kind kind);

/// Makes the calls as the script says. Syncs do nothing: the power stays on, and a disk would take
/// its time.
/// Threads  any make calls, while none changes the script or the log. Only one makes calls that are
///          logged, or that FailEach() counts.
class ScriptedCalls : public SystemCalls {
 public:
  explicit ScriptedCalls(Script script = nullptr) : script_(std::move(script)) {}

  /// Follows this script from now on, and counts from 0. With none, all calls are made.
  void Play(Script script);
  void Heal() { Play(nullptr); }
  /// From now on calls `after` each time when a call has been made.
  void AfterEach(std::function<void(const Call&)> after) { after_ = std::move(after); }

  /// How many calls there were, those that failed included; also the number of the next call.
  int64_t count() const { return count_; }
  uint64_t count(Call::Kind kind) const { return counts_[kind]; }
  /// How many bytes the calls of one kind were to read, write or allocate.
  uint64_t size_bytes(Call::Kind kind) const { return size_bytes_[kind]; }
  void CountAnew();

  /// Begins a log of calls of these kinds. It leaves out a call that the script makes fail.
  void Log(std::initializer_list<Call::Kind> kinds);
  /// What each call does: "rename", "make NAME", "sync file", "sync directory NAME".
  const std::vector<std::string>& log() const { return log_; }

  int OpenAt(int directory, const char* name, int flags, mode_t mode) override;
  ssize_t PRead(int file, void* bytes, size_t size_bytes, int64_t offset) override;
  ssize_t PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) override;
  ssize_t PWriteSynced(int file, const void* bytes, size_t size_bytes, int64_t offset) override;
  int FTruncate(int file, int64_t size_bytes) override;
  int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) override;
  int FDataSync(int file) override;
  int FSync(int file) override;
  int RenameAt2(int directory, const char* from, const char* to, unsigned flags) override;
  int LinkAt(int directory, const char* from, const char* to) override;
  int UnlinkAt(int directory, const char* name, int flags) override;
  int MkDirAt(int directory, const char* name, mode_t mode) override;
  int FChMod(int file, mode_t mode) override;
  int FChOwn(int file, gid_t group) override;
  int FSetXAttr(int file, const char* name, const void* value, size_t size_bytes) override;

 private:
  template <class Make>
  auto Follow(Call call, Make make);

  Script script_;
  std::function<void(const Call&)> after_;
  std::atomic<int64_t> count_ = 0;
  std::array<std::atomic<uint64_t>, Call::kKinds> counts_{};
  std::array<std::atomic<uint64_t>, Call::kKinds> size_bytes_{};
  uint32_t logged_ = 0;  // a bit for each kind
  std::vector<std::string> log_;
};

}  // namespace morsel::os
