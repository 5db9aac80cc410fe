// For tests: processes that read a morsel without loading it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "base/checksum.h"
#include "base/error.h"
#include "morsel/directory/directory_pool.h"
#include "morsel/directory/image_backing.h"
#include "os/memory/frames.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {

/// What a reader finds.
struct Found {
  uint64_t sum = 0;           ///< of all its memory; 0: it could not open the morsel
  uint64_t mapped_bytes = 0;  ///< how much of it is a mapping of the file
};

inline uint64_t SumOf(const Backing& backing) {
  return Checksum64(reinterpret_cast<const char*>(backing.record().base),
                    backing.record().size_bytes);
}

/// Lets the kernel forget what it has of the file, as far as it can.
inline void DropCache(const std::string& path, const Backing& backing) {
  constexpr int kPageOut = 21;  // MADV_PAGEOUT, which the headers may be too old for
  (void)madvise(reinterpret_cast<void*>(backing.record().base), backing.record().size_bytes,
                kPageOut);
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  close(file);
}

/// How many bytes of the morsel are a mapping of a file.
inline uint64_t MappedBytesOf(const Backing& backing) {
  uint64_t bytes = 0;
  for (const os::FrameRun& run : static_cast<const ImageBacking&>(backing).frames().runs()) {
    if (run.kind == os::FrameKind::kFile) bytes += run.size_bytes;
  }
  return bytes;
}

/// A process that has the morsel "a" open, lazily.
class Reader {
 public:
  // prepare  is called in that process before the morsel is opened, and may set what is called
  //          after each of its system calls; opened after that.
  using Prepare = std::function<void(os::ScriptedCalls& calls)>;
  explicit Reader(const std::string& path, const Prepare& prepare = {},
                  const std::function<void()>& opened = {}) {
    EXPECT_EQ(pipe2(ask_, O_CLOEXEC) + pipe2(answer_, O_CLOEXEC), 0);
    process_ = fork();
    if (process_ == 0) {
      Run(path, prepare, opened);
      _exit(0);
    }
    close(ask_[0]);
    close(answer_[1]);
    now_ = Read();
  }
  ~Reader() {
    EXPECT_EQ(write(ask_[1], "e", 1), 1);
    EXPECT_EQ(waitpid(process_, nullptr, 0), process_);
    close(ask_[1]);
    close(answer_[0]);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// What it found when it had opened the morsel.
  const Found& first() const { return now_; }
  /// What it finds now.
  Found Again() {
    EXPECT_EQ(write(ask_[1], "a", 1), 1);
    return Read();
  }

 private:
  Found Read() {
    Found found;
    EXPECT_EQ(read(answer_[0], &found, sizeof found), static_cast<ssize_t>(sizeof found));
    return found;
  }
  void Answer(const Found& found) const {
    if (write(answer_[1], &found, sizeof found) != sizeof found) _exit(1);
  }
  void Run(const std::string& path, const Prepare& prepare, const std::function<void()>& opened) {
    os::ScriptedCalls calls;
    const auto pool = DirectoryPool::Open(path, {.read_only = true}, calls);
    if (!pool) return Answer({});
    calls.Heal();
    if (prepare) prepare(calls);
    const auto morsel = (*pool)->OpenLazily("a", {});
    if (!morsel) {
      std::fprintf(stderr, "the reader: %s\n", LastError());
      return Answer({});
    }
    if (opened) opened();
    for (char byte = 'a'; byte == 'a';) {
      DropCache(path + "/a", **morsel);
      Answer({SumOf(**morsel), MappedBytesOf(**morsel)});
      if (read(ask_[0], &byte, 1) != 1) return;
    }
  }

  int ask_[2] = {};
  int answer_[2] = {};
  pid_t process_ = -1;
  Found now_;
};

/// Calls `meanwhile` in this process after the call number `call` of a reader that opens "a".
/// Returns the reader, and whether it made that call.
class Interrupted {
 public:
  Interrupted(const std::string& path, int64_t call, const std::function<void()>& meanwhile) {
    EXPECT_EQ(pipe2(turn_, O_CLOEXEC) + pipe2(back_, O_CLOEXEC), 0);
    std::thread thread([&] {
      char byte = 0;
      if (read(turn_[0], &byte, 1) != 1 || byte != 't') return;
      meanwhile();
      was_made_ = true;
      EXPECT_EQ(write(back_[1], "t", 1), 1);
    });
    reader_.emplace(path, [&](os::ScriptedCalls& calls) {
      calls.AfterEach([&](const os::Call& made) {
        char byte = 0;
        if (made.number != call) return;
        if (write(turn_[1], "t", 1) != 1 || read(back_[0], &byte, 1) != 1) _exit(1);
      });
    });
    EXPECT_EQ(write(turn_[1], "e", 1), 1);
    thread.join();
    for (const int end : {turn_[0], turn_[1], back_[0], back_[1]}) close(end);
  }
  Reader& reader() { return *reader_; }
  bool was_made() const { return was_made_; }

 private:
  int turn_[2] = {};
  int back_[2] = {};
  bool was_made_ = false;
  std::optional<Reader> reader_;
};

}  // namespace morsel
