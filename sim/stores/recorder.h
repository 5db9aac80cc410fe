// Sees every store, flush and fence of the code under test, on the memory that it
// watches, and writes them down.
//
// Stores come from the hooks that -fsanitize=thread puts before them
// (tsan_hooks.cc), so what was stored is read at the thread's next event; flushes
// and fences come from persist(), the simulated medium's table. The recorder keeps
// a shadow of the medium: what differs from it without having been announced was
// stored by code that has no hooks (a library's, a system call, asm). It is taken
// where it is met: at an announced store to the same line, at a flush of the line,
// at a fence or the end if its page was
// touched before, and at Inspect(). Strict, it is an
// error.
//
// [SIM-1] While nothing runs, shadow == medium.
// [SIM-2] Every line where the medium may differ from the prepared one is in dirty_.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "pmem/persist/persist.h"
#include "sim/model/crash_model.h"

namespace morsel::sim {

/// One for the process: hooks have no context.
/// Threads  while a trace is recorded: one at a time, as the scheduler lets them.
class Recorder {
 public:
  static Recorder& Get();
  /// Of the threads that the scheduler runs; 0 for all others.
  static uint8_t ThisThread();

  /// From now on the medium is these spans, as they are. Watch({}) ends it.
  void Watch(std::vector<Span> spans);

  /// The bytes [address, address + size_bytes) are those of the medium from `offset` on: a second
  /// view of a span. Undone by Forget(), followed by Move(), for the part that meets the range.
  void Alias(const void* address, uint64_t size_bytes, uint64_t offset);
  void Move(const void* from, const void* to, uint64_t size_bytes);
  void Forget(const void* address, uint64_t size_bytes);

  /// Records until End(). strict: a store without a hook is told by unseen().
  void Begin(bool strict);
  Trace End();
  bool recording() const { return recording_; }
  const std::string& unseen() const { return unseen_; }

  /// The seam's table for the medium.
  pmem::Persist persist();

  /// Makes the medium what the image says. Nothing is recorded meanwhile.
  void Put(const Image& image);
  /// The lines that differ, now.
  Image Visible() const;
  const Line& Prepared(LineNumber line) const { return prepared_[line]; }

  /// Compares all of the medium with the shadow. Whether something was stored unseen.
  bool Inspect();

  void NoteLog(uint64_t entries);

  /// A system call has made the bytes durable as they are; nothing else.
  void MadeDurable(const void* address, uint64_t size_bytes);

  /// Where the code under test has the line.
  char* AddressOf(LineNumber line) const;

  // For the hooks.
  void Stored(const void* address, uint64_t size_bytes, const void* pc);
  void Flush(const void* address, uint64_t size_bytes, const void* pc);
  void Fence(const void* pc);

 private:
  struct Window {
    uintptr_t begin;
    uint64_t size_bytes;
    uint64_t offset;  ///< in the medium
  };

  Recorder() = default;
  void SetBounds();
  const Window* WindowOf(uintptr_t address) const;
  void FlushAs(uint8_t thread, const void* address, uint64_t size_bytes, const void* pc);
  void Take(LineNumber line, uint64_t first_word, uint64_t last_word, const void* pc);
  bool TakePage(uint64_t page);
  void TakeWord(LineNumber line, uint64_t word, const Line& now, const void* pc);
  char* ViewOf(LineNumber line) const;

  std::vector<Span> spans_;
  std::vector<Window> windows_;
  std::vector<Line> prepared_;
  std::vector<Line> shadow_;
  std::set<LineNumber> dirty_;
  std::vector<bool> touched_;  ///< by page: stored to while recording
  std::vector<uint64_t> touched_pages_;
  Trace trace_;
  bool recording_ = false;
  bool strict_ = false;
  std::string unseen_;
};

/// Records the store that this thread's last hook announced: it has been made by now.
void RecordPending();

}  // namespace morsel::sim
