// Each allocation of memory for the library's own tables fails in turn. The call returns NO_MEMORY,
// or ends the process with a message. It never throws at a program in C.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>
#include <new>
#include <string>

#include "os/testing/allocations_testing.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

struct Handles {
  morsel_pool_t* pool;
  morsel_t* morsel;
  uint32_t contract;
  std::string file;  ///< where nothing is
};
using Call = std::function<morsel_code(const Handles&)>;

/// How a child ends that is not ended by the library.
enum Exit { kEnoughMemory = 10, kManaged, kNoMemory, kThrown, kOther };

const std::map<std::string, Call>& Calls() {
  static const std::map<std::string, Call> calls = {
      {"morsel_open",
       [](const Handles& handles) {
         morsel_options options{};
         options.flags = MORSEL_CREATE | handles.contract;
         options.size_bytes = options.capacity_bytes = uint64_t{2} << 20;
         morsel_t* opened = nullptr;
         return morsel_open(handles.pool, "b", &options, &opened);
       }},
      {"morsel_export_coded",
       [](const Handles& handles) {
         return morsel_export_coded(handles.pool, "other", handles.file.c_str(), MORSEL_CODEC_LZ4);
       }},
      {"morsel_rename",
       [](const Handles& handles) { return morsel_rename(handles.pool, "other", "renamed"); }},
      {"morsel_remove",
       [](const Handles& handles) { return morsel_remove(handles.pool, "other"); }},
      {"morsel_list",
       [](const Handles& handles) {
         return morsel_list(
             handles.pool, [](const morsel_info*, void*) { return 0; }, nullptr);
       }},
      {"morsel_resize",
       [](const Handles& handles) { return morsel_resize(handles.morsel, uint64_t{4} << 20); }},
      {"morsel_for_each_block",
       [](const Handles& handles) {
         return morsel_for_each_block(
             handles.morsel, [](void*, size_t, void*) { return 0; }, nullptr);
       }},
      {"morsel_find_unreached",
       [](const Handles& handles) {
         return morsel_find_unreached(handles.morsel, nullptr, nullptr, nullptr);
       }},
      {"morsel_stat",
       [](const Handles& handles) {
         morsel_info info{};
         info.struct_size = sizeof info;
         return morsel_stat(handles.morsel, &info);
       }},
      {"morsel_begin",
       [](const Handles& handles) {
         return handles.contract == kFine ? MORSEL_OK : morsel_begin(handles.morsel);
       }},
      {"morsel_checkpoint",
       [](const Handles& handles) { return morsel_checkpoint(handles.morsel); }},
      {"morsel_close", [](const Handles& handles) { return morsel_close(handles.morsel); }}};
  return calls;
}

class MemoryTest : public TroubleTest, public testing::WithParamInterface<bool> {
 protected:
  std::string Path() const { return GetParam() ? carved_ : directory_; }
  uint32_t Contract() const { return GetParam() ? kFine : 0; }

  // In a child, the call has memory for this many allocations.
  Exit CallWith(long allocations, const Call& call) {
    morsel_pool_t* const pool = OpenPool(Path());
    const Handles handles = {pool, Open(pool, "a"), Contract(),
                             folder_ + "/" + std::to_string(getpid()) + ".image"};
    os::allocations_left = allocations;
    morsel_code code = MORSEL_OK;
    try {
      code = call(handles);
    } catch (...) {
      return kThrown;
    }
    const bool was_enough = os::allocations_left > 0;
    os::allocations_left = -1;
    if (code == MORSEL_OK) return was_enough ? kEnoughMemory : kManaged;
    return code == MORSEL_NO_MEMORY ? kNoMemory : kOther;
  }

  // How the child ended, and what it said.
  int StatusWith(long allocations, const Call& call, std::string& said) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      dup2(ends[1], STDERR_FILENO);
      _exit(CallWith(allocations, call));
    }
    close(ends[1]);
    char text[1024];
    for (ssize_t got; (got = read(ends[0], text, sizeof text)) > 0;) {
      said.append(text, static_cast<size_t>(got));
    }
    close(ends[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }

  // The call with memory for every number of allocations, until it has enough.
  void ExpectToldEverywhere(const std::string& name, const Call& call) {
    for (long allocations = 1;; ++allocations) {
      SCOPED_TRACE(testing::Message() << name << " with " << allocations << " allocations");
      std::string said;
      const int status = StatusWith(allocations, call, said);
      if (WIFEXITED(status) && WEXITSTATUS(status) == kEnoughMemory) break;
      ++shortages_;
      const bool was_told = WIFEXITED(status) &&
                            (WEXITSTATUS(status) == kNoMemory || WEXITSTATUS(status) == kManaged);
      const bool ended = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
                         said.find(name + ": the process has no memory") != std::string::npos;
      ASSERT_TRUE(was_told || ended) << "status " << status << ": " << said;
      // As after any crash.
      morsel_pool_t* const pool = OpenPool(Path());
      morsel_t* const morsel = Open(pool, "a");
      ASSERT_EQ(TextOf(morsel), "as it was");
      ASSERT_EQ(morsel_discard(morsel), MORSEL_OK) << morsel_last_error();
      // It may have been removed, or have another name.
      (void)morsel_rename(pool, "renamed", "other");
      morsel_t* const other = Open(pool, "other", MORSEL_CREATE | Contract());
      ASSERT_EQ(morsel_close(other), MORSEL_OK) << morsel_last_error();
      ASSERT_EQ(morsel_pool_close(pool), MORSEL_OK) << morsel_last_error();
    }
  }

  int shortages_ = 0;
};

TEST_P(MemoryTest, EachFailingAllocationIsReportedAndNothingThrown) {
  for (const auto& [name, call] : Calls()) {
    Make(Path(), GetParam() ? uint32_t{MORSEL_CARVED} : 0, {"a", "other"});
    ExpectToldEverywhere(name, call);
    if (HasFailure()) return;
    std::filesystem::remove_all(Path());
  }
  EXPECT_GT(shortages_, 20);
}

INSTANTIATE_TEST_SUITE_P(Pools, MemoryTest, testing::Bool(), [](const auto& info) {
  return std::string(info.param ? "Carved" : "Directory");
});

}  // namespace
}  // namespace morsel::trouble
