// What is explored on a disk: code that keeps something in files, and an oracle that
// knows what must be found there after a crash.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/disk/promises.h"
#include "sim/disk/simulated_files.h"

namespace morsel::sim {

/// Numbers that the target gives to its operations.
using FileScript = std::vector<uint32_t>;

/// One incarnation of a target: from one crash, or the beginning, to the next.
class FileWorld {
 public:
  FileWorld(SimulatedFiles& files, std::string root, Promises promises, uint64_t seed)
      : files_(files), root_(std::move(root)), promises_(std::move(promises)), random_(seed) {}

  SimulatedFiles& files() { return files_; }
  const Disk& disk() const { return files_.disk(); }
  /// The directory to live in.
  const std::string& root() const { return root_; }
  std::mt19937_64& random() { return random_; }
  /// Whether calls may fail: one has been made to.
  bool may_fail() const { return files_.struck(); }

  const Promises& promises() const { return promises_; }
  void Begin(const std::string& subject, const std::string& state) {
    promises_.Begin(subject, state);
    files_.Promise(promises_, false);
  }
  void Settle(const std::string& subject, const std::string& state) {
    promises_.Settle(subject, state);
    files_.Promise(promises_, true);
  }
  void Exclude(const std::string& subject, const std::string& state) {
    promises_.Exclude(subject, state);
    files_.Promise(promises_, true);
  }

 private:
  SimulatedFiles& files_;
  std::string root_;
  Promises promises_;
  std::mt19937_64 random_;
};

/// What a failed call is told of, unless a failure was due: empty.
std::string Judge(const FileWorld& world, Status status, const char* tried);

/// A digest of a morsel's memory, in words.
std::string StateOf(const char* memory, uint64_t size_bytes);

class FileTarget {
 public:
  virtual ~FileTarget() = default;

  virtual std::string Name() const = 0;
  virtual std::string NameOf(uint32_t operation) const = 0;
  /// They are numbered from 0.
  virtual uint32_t operations() const = 0;
  /// Whether files are stored to through mappings.
  virtual bool maps_files() const { return false; }

  /// Opens what is on the disk, as a process does that finds it, and answers a message where it is
  /// not as it was promised. In a first incarnation there is nothing.
  virtual std::string Recover(FileWorld& world) = 0;

  /// A message where the operation fails though nothing made it to, or lies.
  virtual std::string Run(uint32_t operation, FileWorld& world) = 0;

  /// Gives up what is volatile, as the end of the process does.
  virtual void Forget() = 0;

  /// From now on whether Recover() reads all that its answer depends on, by the world's files:
  /// nothing is remembered of other incarnations.
  virtual void ReadAll(bool) {}

  /// How an incarnation goes on after a crash.
  virtual FileScript GoOn() const { return {}; }
};

}  // namespace morsel::sim
