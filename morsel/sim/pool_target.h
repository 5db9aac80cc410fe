// The simulator's target for users' code: their workloads run on a morsel of a simulated carved
// pool.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "morsel/sim.hpp"
#include "sim/stores/target.h"
#include "sim/stores/watched_file.h"

namespace morsel::sim {

/// Ownership  the destructor removes the pool's file. The workloads and the check must outlive the
///            object.
class PoolTarget : public Target {
 public:
  PoolTarget(const std::vector<Workload>& workloads, const RecoverAndCheck& recover_and_check,
             uint64_t capacity_bytes);
  ~PoolTarget() override;

  std::string Name() const override { return "morsel"; }
  std::string NameOf(uint32_t operation) const override;
  std::vector<Span> Memory() override { return file_->spans(); }
  void Prepare() override;
  std::string Recover(Log& log) override;
  void Perform(uint32_t operation, Log& log) override;
  void Forget(bool orderly) override;
  Script GoOn(uint64_t pick) override;

 private:
  const std::vector<Workload>& workloads_;
  const RecoverAndCheck& recover_and_check_;
  uint64_t capacity_bytes_;
  std::string path_;
  std::unique_ptr<WatchedFile> file_;
  std::optional<Pool> pool_;
  Morsel morsel_;
};

}  // namespace morsel::sim
