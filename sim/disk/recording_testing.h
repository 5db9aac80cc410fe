// For tests: what a disk may hold of one file after a power cut.
//
// A write that was not synced is lost, kept or torn at 512-byte boundaries, independently of other
// writes and in any order. After a failed sync, what it should have written is lost, though the
// cache still shows it, and no later sync writes it.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "os/file/system_calls.h"

namespace morsel::image {

inline constexpr size_t kSectorBytes = 512;

/// A change of a file. A hole is a write of zeros.
struct Change {
  bool truncates = false;
  uint64_t offset = 0;  ///< or the new size
  std::string bytes;
};

using Random = std::mt19937_64;

/// Passes calls on to the kernel, and records the changes of one file.
class RecordingCalls : public os::SystemCalls {
 public:
  /// Called before a sync takes effect. Changes in pending() may be lost or kept at that moment.
  std::function<void()> before_sync;
  /// Called before a change of [offset, offset + size_bytes).
  std::function<void(uint64_t offset, uint64_t size_bytes)> before_change;
  /// How many syncs succeed before one fails; negative: none fails. Counted down.
  int syncs_until_failure = -1;

  explicit RecordingCalls(std::string durable = "") : durable_(std::move(durable)) {}

  const std::string& durable() const { return durable_; }
  const std::vector<Change>& pending() const { return pending_; }

  ssize_t PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) override {
    Announce(static_cast<uint64_t>(offset), size_bytes);
    pending_.push_back({.offset = static_cast<uint64_t>(offset),
                        .bytes = std::string(static_cast<const char*>(bytes), size_bytes)});
    return os::SystemCalls::PWrite(file, bytes, size_bytes, offset);
  }
  int FTruncate(int file, int64_t size_bytes) override {
    Announce(static_cast<uint64_t>(size_bytes), ~uint64_t{0} >> 1);
    pending_.push_back(
        {.truncates = true, .offset = static_cast<uint64_t>(size_bytes), .bytes = {}});
    return os::SystemCalls::FTruncate(file, size_bytes);
  }
  int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) override {
    Announce(static_cast<uint64_t>(offset), static_cast<uint64_t>(size_bytes));
    pending_.push_back({.offset = static_cast<uint64_t>(offset),
                        .bytes = std::string(static_cast<size_t>(size_bytes), '\0')});
    return os::SystemCalls::FAllocate(file, mode, offset, size_bytes);
  }
  int FDataSync(int) override { return Synced(); }
  int FSync(int) override { return Synced(); }

  static void Apply(const Change& change, std::string& file) {
    if (change.truncates) {
      file.resize(change.offset);
      return;
    }
    file.resize(std::max<size_t>(file.size(), change.offset + change.bytes.size()));
    std::memcpy(file.data() + change.offset, change.bytes.data(), change.bytes.size());
  }

  /// The durable file with those pending changes whose bit is set in `kept`.
  std::string Kept(uint64_t kept) const {
    std::string file = durable_;
    for (size_t i = 0; i < pending_.size(); ++i) {
      if ((kept >> i & 1) != 0) Apply(pending_[i], file);
    }
    return file;
  }

  /// The durable file with some of the pending changes, torn and in another order.
  std::string Torn(Random& random) const {
    std::string file = durable_;
    std::vector<size_t> order(pending_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t i : order) {
      const uint64_t fate = random() % 4;
      if (fate == 0) continue;
      if (fate == 1 || pending_[i].truncates) {
        Apply(pending_[i], file);
      } else {
        ApplySectors(pending_[i], random, file);
      }
    }
    return file;
  }

 private:
  void Announce(uint64_t offset, uint64_t size_bytes) const {
    if (before_change) before_change(offset, size_bytes);
  }

  int Synced() {
    if (before_sync) before_sync();
    if (syncs_until_failure >= 0 && syncs_until_failure-- == 0) {
      pending_.clear();
      errno = EIO;
      return -1;
    }
    for (const Change& change : pending_) Apply(change, durable_);
    pending_.clear();
    return 0;
  }

  static void ApplySectors(const Change& change, Random& random, std::string& file) {
    const bool mostly = random() % 2 == 0;
    for (size_t at = 0; at < change.bytes.size(); at += kSectorBytes) {
      if ((random() % 8 == 0) == mostly) continue;
      Apply({.offset = change.offset + at, .bytes = change.bytes.substr(at, kSectorBytes)}, file);
    }
  }

  std::string durable_;
  std::vector<Change> pending_;
};

}  // namespace morsel::image
