#include "base/check.h"
#include "morsel/sim/pool_target.h"
#include "sim/stores/explorer.h"

namespace morsel::sim {

ExploreReport Explore(const std::vector<Workload>& workloads,
                      const RecoverAndCheck& recover_and_check, const ExploreOptions& options) {
  MORSEL_CHECK(!workloads.empty() && workloads.size() <= 3);
  PoolTarget target(workloads, recover_and_check, options.capacity_bytes);
  Explorer explorer(target,
                    FromEnvironment({.seed = options.seed,
                                     .crashes = options.crashes,
                                     .effort = {.images_max = options.images_max,
                                                .later_images_max = options.later_images_max,
                                                .crash_again_one_in = options.crash_again_one_in},
                                     .schedules = options.schedules,
                                     .print_failure = false,
                                     .seconds = options.seconds}));
  Script script;
  for (uint32_t i = 0; i < workloads.size(); ++i) script.push_back({i});
  ExploreReport report;
  report.ok = explorer.Explore(script);
  report.text = report.ok ? explorer.Summary() : explorer.failure()->text;
  report.images = explorer.counts().images;
  return report;
}

ExploreReport Explore(const Workload& workload, const RecoverAndCheck& recover_and_check,
                      const ExploreOptions& options) {
  return Explore(std::vector<Workload>{workload}, recover_and_check, options);
}

}  // namespace morsel::sim
