// What the explorer explores on a disk: code that keeps something in files, and an oracle that
// knows what must be there after a crash.
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

/// The world of one incarnation of a target, from the beginning or a crash to the next crash.
class FileWorld {
 public:
  FileWorld(SimulatedFiles& files, std::string root, Promises promises, uint64_t seed)
      : files_(files), root_(std::move(root)), promises_(std::move(promises)), random_(seed) {}

  SimulatedFiles& files() { return files_; }
  const Disk& disk() const { return files_.disk(); }
  /// The directory that the target uses.
  const std::string& root() const { return root_; }
  std::mt19937_64& random() { return random_; }
  /// Whether calls may fail, because one has been made to fail.
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

/// Returns a message if the call failed and no call was made to fail, or with an error that a
/// failing call must not lead to, e.g. damage. Else returns empty.
std::string Judge(const FileWorld& world, Status status, const char* tried);

/// A digest of a morsel's memory, as text.
std::string StateOf(const char* memory, uint64_t size_bytes);

class FileTarget {
 public:
  virtual ~FileTarget() = default;

  virtual std::string Name() const = 0;
  virtual std::string NameOf(uint32_t operation) const = 0;
  /// How many operations there are. They are numbered from 0.
  virtual uint32_t operations() const = 0;
  /// Whether the target stores to files through mappings.
  virtual bool maps_files() const { return false; }

  /// Opens what is on the disk, as the next process does. Returns a message where it is not what
  /// was promised. In a first incarnation there is nothing.
  virtual std::string Recover(FileWorld& world) = 0;

  /// Does one operation. Returns a message where it fails though no call was made to fail, or where
  /// its result is wrong.
  virtual std::string Run(uint32_t operation, FileWorld& world) = 0;

  /// Drops what is volatile, as the end of the process does.
  virtual void Forget() = 0;

  /// Whether Recover() must read all that its answer depends on by the world's files from now on,
  /// and use nothing that it remembers of other incarnations.
  virtual void ReadAll(bool) {}

  /// The script of an incarnation after a crash.
  virtual FileScript GoOn() const { return {}; }
};

}  // namespace morsel::sim
