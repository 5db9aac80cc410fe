// Records every store, flush and fence of the code under test on the memory that it watches.
//
// -fsanitize=thread calls a hook before each store (tsan_hooks.cc), so the recorder reads what was
// stored at the thread's next event. Flushes and fences come from persist(), the table of the
// simulated medium. The recorder keeps a shadow of the medium. Whatever differs from the shadow and
// was not announced was stored by code without hooks: a library, a system call or asm. The recorder
// takes such a store where it meets it: at an announced store to the same line, at a flush of the
// line, at a fence or at the end if the page was touched before, and at Inspect(). In strict mode
// such a store is an error.
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

/// There is one for the process, because hooks have no context.
/// Threads  while a trace is recorded, one at a time: the scheduler sees to that.
class Recorder {
 public:
  static Recorder& Get();
  /// The number of this thread of the scheduler; 0 for all others.
  static uint8_t ThisThread();

  /// Makes these spans, with what they hold now, the medium. Watch({}) ends that.
  void Watch(std::vector<Span> spans);

  /// Makes [address, address + size_bytes) a second view of the medium's bytes from `offset` on.
  /// Forget() undoes that for the part of a view that overlaps its range; Move() moves that part.
  void Alias(const void* address, uint64_t size_bytes, uint64_t offset);
  void Move(const void* from, const void* to, uint64_t size_bytes);
  void Forget(const void* address, uint64_t size_bytes);

  /// Records until End(). With `strict`, unseen() reports stores without a hook.
  void Begin(bool strict);
  Trace End();
  bool recording() const { return recording_; }
  const std::string& unseen() const { return unseen_; }

  /// The table of flush and fence that the code under test uses for the medium.
  pmem::Persist persist();

  /// Puts the image on the medium. Nothing may be recorded meanwhile.
  void Put(const Image& image);
  /// The lines that differ from the prepared medium now.
  Image Visible() const;
  const Line& Prepared(LineNumber line) const { return prepared_[line]; }

  /// Compares all of the medium with the shadow. Returns whether code without hooks stored
  /// something.
  bool Inspect();

  void NoteLog(uint64_t entries);

  /// Notes that a system call has made these bytes durable, and nothing else.
  void MadeDurable(const void* address, uint64_t size_bytes);

  /// The address at which the code under test has the line.
  char* AddressOf(LineNumber line) const;

  // Called by hooks.
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
  std::vector<bool> touched_;  ///< whether each page was stored to while recording
  std::vector<uint64_t> touched_pages_;
  Trace trace_;
  bool recording_ = false;
  bool strict_ = false;
  std::string unseen_;
};

/// Records the store that this thread's last hook announced. It has been made by now.
void RecordPending();

}  // namespace morsel::sim
