// A directory pool and its morsels as a program uses them. Operations make, open, checkpoint,
// resize, close, discard and remove them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "morsel/open/open_pool.h"
#include "sim/disk/file_target.h"

namespace morsel::sim {

class PoolTarget : public FileTarget {
 public:
  static constexpr char kMorsel[] = "a";
  static constexpr char kOtherMorsel[] = "b";
  static constexpr char kBackup[] = "backup";
  /// The state of an image that cannot be read.
  static constexpr char kDamaged[] = "damaged";

  enum Operation : uint32_t {
    kCheckpoint,
    kResize,
    kClose,
    kDiscard,
    kRemove,
    kReopen,   ///< reopens the pool, as the next process does
    kOther,    ///< makes or removes another morsel
    kCopy,     ///< copies the morsel's file and opens the copy
    kRename,   ///< gives the morsel the other's name, or the other one the morsel's
    kMove,     ///< gives the morsel its other address
    kRestore,  ///< exports the morsel, if there is no backup, or puts the backup in its place
    kOperations
  };

  std::string Name() const override { return "directory pool"; }
  std::string NameOf(uint32_t operation) const override;
  uint32_t operations() const override { return kOperations; }
  std::string Recover(FileWorld& world) override;
  std::string Run(uint32_t operation, FileWorld& world) override;
  void Forget() override;
  FileScript GoOn() const override { return {kCheckpoint, kReopen}; }
  void ReadAll(bool reads_all) override { reads_all_ = reads_all; }

 private:
  std::string OpenPoolOf(FileWorld& world, bool create);
  std::string LookAt(FileWorld& world, const std::string& name);
  std::string LookForTemporaries(FileWorld& world) const;
  std::string OpenMorselOf(FileWorld& world, const std::string& name, OpenMorsel** morsel);
  std::string JudgeRoot();
  void Change(FileWorld& world);
  std::string Resize(FileWorld& world);
  std::string Checkpoint(FileWorld& world, bool closes);
  std::string Close(FileWorld& world, bool discards);
  std::string Remove(FileWorld& world, const std::string& name);
  std::string MakeOrRemoveOther(FileWorld& world);
  std::string CopyToOther(FileWorld& world);
  std::string Rename(FileWorld& world);
  std::string JudgeNames(FileWorld& world) const;
  std::string MoveMorsel(FileWorld& world);
  std::string MakeBackup(FileWorld& world);
  std::string PutBackupInPlace(FileWorld& world);
  static std::string PathOf(const FileWorld& world);
  /// That of a morsel, or of kBackup, which lies beside the pool.
  static std::string PathOfImage(const FileWorld& world, const std::string& name);
  /// The file as the disk shows it; nullptr: none.
  static const Node* FileOf(const FileWorld& world, const std::string& name);
  std::string StateOfImage(FileWorld& world, const std::string& name);
  /// What the morsel will hold at the address `base`; empty: it cannot be known.
  static std::string StateWhenMoved(FileWorld& world, uint64_t base);
  static std::string ReadState(os::SystemCalls& calls, const std::string& path);

  std::unique_ptr<OpenPool> pool_;
  OpenMorsel* morsel_ = nullptr;
  /// What the object of the root holds in each state. It is kept over all incarnations.
  std::map<std::string, uint64_t> values_;
  /// By the hash of an image's bytes, the state that it holds.
  std::unordered_map<uint64_t, std::string> states_;
  bool reads_all_ = false;
};

}  // namespace morsel::sim
