// For the mutation check only: system calls whose syncs of files and directories misbehave.
#pragma once

#include <cerrno>
#include <map>
#include <memory>
#include <mutex>

#include "os/file/system_calls.h"
#include "tests/mutation/seam/mutation_switch.h"

namespace morsel::pmem::mutation {

class MutantCalls;

/// A sync that is postponed until after the thread's next change of a file or a directory. Only a
/// change through the same calls counts, since other calls may outlive these.
struct LateSync {
  MutantCalls* calls = nullptr;
  int file = -1;
  bool data_only = false;
};

inline thread_local LateSync late_sync;

/// Passes calls on, except for syncs that the switch names.
class MutantCalls : public os::SystemCalls {
 public:
  explicit MutantCalls(os::SystemCalls& calls) : calls_(calls) {}

  int OpenAt(int directory, const char* name, int flags, mode_t mode) override {
    return calls_.OpenAt(directory, name, flags, mode);
  }
  ssize_t PRead(int file, void* bytes, size_t size_bytes, int64_t offset) override {
    return calls_.PRead(file, bytes, size_bytes, offset);
  }
  ssize_t PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) override {
    return Changed(calls_.PWrite(file, bytes, size_bytes, offset));
  }
  ssize_t PWriteSynced(int file, const void* bytes, size_t size_bytes, int64_t offset) override {
    return WriteSynced(file, bytes, size_bytes, offset);
  }
  int FTruncate(int file, int64_t size_bytes) override {
    return Changed(calls_.FTruncate(file, size_bytes));
  }
  int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) override {
    return Changed(calls_.FAllocate(file, mode, offset, size_bytes));
  }
  int FDataSync(int file) override { return Sync(file, true); }
  int FSync(int file) override { return Sync(file, false); }
  int RenameAt2(int directory, const char* from, const char* to, unsigned flags) override {
    return Changed(calls_.RenameAt2(directory, from, to, flags));
  }
  int LinkAt(int directory, const char* from, const char* to) override {
    return Changed(calls_.LinkAt(directory, from, to));
  }
  int UnlinkAt(int directory, const char* name, int flags) override {
    return Changed(calls_.UnlinkAt(directory, name, flags));
  }
  int MkDirAt(int directory, const char* name, mode_t mode) override {
    return Changed(calls_.MkDirAt(directory, name, mode));
  }
  int FChMod(int file, mode_t mode) override { return Changed(calls_.FChMod(file, mode)); }
  int FChOwn(int file, gid_t group) override { return Changed(calls_.FChOwn(file, group)); }
  int FSetXAttr(int file, const char* name, const void* value, size_t size_bytes) override {
    return Changed(calls_.FSetXAttr(file, name, value, size_bytes));
  }

 private:
  [[gnu::noinline]] int Sync(int file, bool data_only) {
    const Mutation mutation = MutationHere("sync");
    if (mutation == Mutation::kDrop) return Changed(0);
    if (mutation == Mutation::kDelay) {
      CatchUp();
      late_sync = {this, file, data_only};
      return 0;
    }
    return Changed(data_only ? calls_.FDataSync(file) : calls_.FSync(file));
  }

  // Without the sync where that misbehaves. Late, it would come with the thread's next change.
  [[gnu::noinline]] ssize_t WriteSynced(int file, const void* bytes, size_t size_bytes,
                                        int64_t offset) {
    const Mutation mutation = MutationHere("sync");
    if (mutation == Mutation::kNone) {
      return Changed(calls_.PWriteSynced(file, bytes, size_bytes, offset));
    }
    const ssize_t written = Changed(calls_.PWrite(file, bytes, size_bytes, offset));
    if (mutation == Mutation::kDelay) late_sync = {this, file, true};
    return written;
  }

  template <class Answer>
  Answer Changed(Answer answer) {
    const int error = errno;
    CatchUp();
    errno = error;
    return answer;
  }

  void CatchUp() {
    const LateSync late = late_sync;
    late_sync = {};
    if (late.calls != this) return;
    late.data_only ? calls_.FDataSync(late.file) : calls_.FSync(late.file);
  }

  os::SystemCalls& calls_;
};

/// `calls` with the switch before them. It exists as long as the process.
inline os::SystemCalls& Above(os::SystemCalls& calls) {
  if (dynamic_cast<MutantCalls*>(&calls) != nullptr) return calls;
  static std::mutex mutex;
  static auto& all = *new std::map<os::SystemCalls*, std::unique_ptr<MutantCalls>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<MutantCalls>& above = all[&calls];
  if (above == nullptr) above = std::make_unique<MutantCalls>(calls);
  return *above;
}

}  // namespace morsel::pmem::mutation
