#include "os/memory/open_dirty_tracker.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace morsel::os {
namespace {

class Comparing final : public DirtyTracker {
 public:
  const char* method() const override { return "compare"; }
  Status Track(const Frames&, uint64_t) override { return Code::kOk; }
  Result<bool> Collect(const Frames&, PageSet&) override { return false; }
};

Result<std::unique_ptr<DirtyTracker>> Forced(std::unique_ptr<DirtyTracker> method,
                                             const char* name) {
  if (method != nullptr) return method;
  const int error = errno;
  return Fail(Code::kUnsupported,
              "MORSEL_DIRTY is %s, and the kernel does not track stores so for this process: %s; "
              "set MORSEL_DIRTY=compare, or nothing",
              name, std::strerror(error));
}

}  // namespace

Result<std::unique_ptr<DirtyTracker>> OpenDirtyTracker() {
  const char* const set = std::getenv("MORSEL_DIRTY");
  const std::string_view method = set != nullptr ? set : "";
  if (method == "compare") return std::unique_ptr<DirtyTracker>(new Comparing);
  if (method == "scan") return Forced(OpenScanTracker(), set);
  if (method == "fault") return Forced(OpenFaultTracker(), set);
  if (!method.empty() && method != "auto") {
    return Fail(Code::kInvalidArgument,
                "MORSEL_DIRTY is '%s'; it must be auto, scan, fault or compare", set);
  }
  std::unique_ptr<DirtyTracker> found = OpenScanTracker();
  if (found == nullptr) found = OpenFaultTracker();
  if (found == nullptr) found.reset(new Comparing);
  return found;
}

}  // namespace morsel::os
