// For tests: what a disk may hold of one file after a power cut, without a whole simulated disk.
#pragma once

#include <algorithm>
#include <cerrno>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "os/testing/scripted_calls_testing.h"
#include "sim/disk/disk.h"
#include "sim/disk/disk_choices.h"

namespace morsel::sim {

/// Passes calls on to the kernel, and records the changes of one file as those of a Disk. All calls
/// are of that file.
class RecordingCalls : public os::ScriptedCalls {
 public:
  /// Called before a sync takes effect. What is undecided may be lost or kept at that moment.
  std::function<void()> before_sync;
  /// Called before a change of [offset, offset + size_bytes).
  std::function<void(uint64_t offset, uint64_t size_bytes)> before_change;
  /// How many syncs succeed before one fails; negative: none fails. Counted down.
  int syncs_until_failure = -1;

  /// The file holds `durable`.
  explicit RecordingCalls(const std::string& durable) : file_(disk_.Make(false, 0600)) {
    Apply(disk_.Writing(file_, 0, durable.data(), durable.size()));
    disk_.Sync(file_, false, true);
    Play([this](const os::Call& call) { return Record(call); });
  }

  std::string durable() const { return BytesOf(disk_.node(file_).durable); }

  /// Calls `visit` with what a power cut may leave. ForEachAnswers() says what of that it visits.
  void ForEachImage(uint64_t images_max, std::mt19937_64& random,
                    const std::function<void(const std::string& bytes)>& visit) const {
    const std::vector<Question> questions = QuestionsOf(disk_, {}, kTearsMax, random);
    ForEachAnswers(questions, images_max, random, [&](const Answers& answers) {
      visit(BytesOf(DiskAfter(disk_, questions, answers).node(file_).durable));
      return true;
    });
  }

 private:
  /// A change of up to this many sectors is torn in every way.
  static constexpr size_t kTearsMax = 3;

  static std::string BytesOf(const NodeState& node) {
    std::string bytes;
    bytes.reserve(node.content.size_bytes());
    for (uint64_t page = 0; page < node.content.pages(); ++page) {
      const uint64_t left = node.content.size_bytes() - bytes.size();
      bytes.append(node.content.PageOrZeros(page).bytes.data(),
                   std::min(left, Content::kPageBytes));
    }
    return bytes;
  }

  void Announce(uint64_t offset, uint64_t size_bytes) const {
    if (before_change) before_change(offset, size_bytes);
  }
  void Apply(const std::vector<Change>& changes) {
    for (const Change& change : changes) disk_.Apply(file_, change);
  }

  int Record(const os::Call& call) {
    switch (call.kind) {
      case os::Call::kWrite:
        Announce(call.offset, call.size_bytes);
        Apply(disk_.Writing(file_, call.offset, static_cast<const char*>(call.bytes),
                            call.size_bytes));
        return 0;
      case os::Call::kWriteSynced:
        Announce(call.offset, call.size_bytes);
        Apply(disk_.Writing(file_, call.offset, static_cast<const char*>(call.bytes),
                            call.size_bytes));
        if (before_sync) before_sync();
        disk_.SyncRange(file_, call.offset, call.size_bytes);
        return 0;
      case os::Call::kTruncate:
        Announce(call.size_bytes, ~uint64_t{0} >> 1);
        Apply(disk_.Resizing(file_, call.size_bytes));
        return 0;
      case os::Call::kAllocate:
        Announce(call.offset, call.size_bytes);
        if (call.offset + call.size_bytes > disk_.node(file_).visible.content.size_bytes()) {
          Apply(disk_.Resizing(file_, call.offset + call.size_bytes));
        }
        Apply(disk_.Zeroing(file_, call.offset, call.size_bytes));
        return 0;
      case os::Call::kDataSync:
      case os::Call::kSync:
        return Sync();
      default:
        return 0;
    }
  }

  int Sync() {
    if (before_sync) before_sync();
    const bool succeeds = syncs_until_failure < 0 || syncs_until_failure-- != 0;
    disk_.Sync(file_, false, succeeds);
    return succeeds ? 0 : EIO;
  }

  Disk disk_;
  NodeId file_;
};

}  // namespace morsel::sim
