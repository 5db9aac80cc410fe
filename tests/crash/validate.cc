#include "tests/crash/validate.h"

#include <memory>

#include "base/error.h"
#include "morsel/check/check.h"
#include "morsel/open/open_pool.h"
#include "os/file/system_calls.h"

namespace morsel::crash {

Findings Validate(const std::string& pool_path) {
  const morsel_pool_options read_only = {sizeof read_only, MORSEL_READ_ONLY, 0, 0, 0};
  const Result<std::unique_ptr<OpenPool>> pool =
      OpenPool::Open(pool_path.c_str(), &read_only, os::KernelCalls());
  if (!pool) return {std::string("validating: ") + LastError()};
  Findings findings;
  const Result<CheckSummary> summary =
      CheckPool((*pool)->pool(), /*only=*/"", [&](const Finding& finding) {
        findings.push_back("validating: " + finding.subject + ": " + finding.message);
      });
  if (!summary) findings.push_back(std::string("validating: ") + LastError());
  return findings;
}

}  // namespace morsel::crash
