// The system calls of a small commit: which, how many, and what each is for. A commit that needs
// one more, or one less, changes this list on purpose.
//
// Stores are found by the kernel (`scan`), in pages of 4 KiB. On huge pages the kernel tells 2 MiB
// at a time: then the sums of each such piece are read, which is two calls more for each. Large
// blocks that may become huge are looked at, a call for each that is not yet touched all over.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "morsel/morsel.h"
#include "os/testing/call_log_testing.h"
#include "os/testing/scratch_testing.h"

namespace morsel {
namespace {

struct Call {
  const char* name;
  const char* reason;
};
using Calls = std::vector<Call>;

constexpr size_t kCallsMost = 8;

/// Where no other thread has changed the morsel since the last commit.
const Calls kAlone = {
    {"fstatat",
     "the name leads to the image, which has no second one: nobody removed, replaced or "
     "linked it, so that the next open finds what is written now"},
    {"ioctl", "PAGEMAP_SCAN: which pages were written; it protects them again"},
    {"fstat", "the number is still the image's, and nobody has cut the file"},
    {"pread64", "a superblock: nobody has written another image over this one"},
    {"fstat", "the number is still the log's: the record lands in no file of the program's"},
    {"pwritev2", "the record, which the medium has when this returns"},
};
/// Where others have begun sections.
const Call kSections = {"membarrier", "who begins a section sees that the gate is closed"};
/// Where others have allocated or freed since.
const Call kHeap = {"membarrier", "who calls malloc or free sees that the heap's is"};

void Must(morsel_code code) {
  if (code == MORSEL_OK) return;
  std::fprintf(stderr, "%s\n", morsel_last_error());
  _exit(3);
}

/// A morsel.
class Warm {
 public:
  explicit Warm(const std::string& path) {
    morsel_pool_options pool = {};
    pool.flags = MORSEL_CREATE;
    morsel_options options = {};
    options.flags = MORSEL_CREATE;
    options.size_bytes = options.capacity_bytes = 8 << 20;
    Must(morsel_pool_open(path.c_str(), &pool, &pool_));
    Must(morsel_open(pool_, "m", &options, &morsel_));
    // All of the memory is touched: of what is not, somebody looks whether it becomes huge.
    void* last = nullptr;
    for (void* block; (block = morsel_malloc(morsel_, kBlockBytes)) != nullptr; last = block) {
      std::memset(block, 1, kBlockBytes);
      if (block_ == nullptr) block_ = static_cast<char*>(block);
    }
    morsel_free(morsel_, last);
    Must(morsel_checkpoint(morsel_));
  }
  void Begin() { Must(morsel_begin(morsel_)); }
  void End() { Must(morsel_end(morsel_)); }
  void Change() {
    ++*block_;
    Allocate();
  }
  void Allocate() { morsel_free(morsel_, morsel_malloc(morsel_, 64)); }
  void Store(bool by_commit) {
    if (by_commit) Begin();
    Change();
    Must(by_commit ? morsel_commit(morsel_) : morsel_checkpoint(morsel_));
  }

 private:
  static constexpr size_t kBlockBytes = 1000;

  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
  char* block_ = nullptr;
};

/// A thread that works each time it is told to.
class Worker {
 public:
  explicit Worker(std::function<void()> work) : work_(std::move(work)) {
    if (pipe(orders_) != 0 || pipe(done_) != 0) _exit(3);
    thread_ = std::thread([this] {
      for (char order = 0; read(orders_[0], &order, 1) == 1;) {
        work_();
        if (write(done_[1], &order, 1) != 1) _exit(3);
      }
    });
  }
  ~Worker() { _exit(3); }  // it ends with the process
  void Work() {
    char order = 1;
    if (write(orders_[1], &order, 1) != 1 || read(done_[0], &order, 1) != 1) _exit(3);
  }

 private:
  std::function<void()> work_;
  int orders_[2]{};
  int done_[2]{};
  std::thread thread_;
};

/// What another thread does before each commit.
using Others = std::function<void(Warm&)>;

// Of one commit each, by spaces, three times. The process ends.
[[noreturn]] void PrintCalls(const std::string& path, bool by_commit, const Others& others,
                             int to) {
  setenv("MORSEL_DIRTY", "scan", 1);
  setenv("MORSEL_FRAMES", "anonymous", 1);  // others may have reserved pages of hugetlb
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  Warm morsel(path);
  Worker worker([&] { others(morsel); });
  // By now the image has a log, and each thread what it has of the morsel.
  for (int i = 0; i < 40; ++i) {
    worker.Work();
    morsel.Store(by_commit);
  }
  if (!os::LogCallsOfThisThread()) _exit(2);
  for (int i = 0; i < 3; ++i) {
    worker.Work();
    (void)os::TakeLoggedCalls();
    morsel.Store(by_commit);
    std::string text;
    for (const std::string& name : os::TakeLoggedCalls()) text += name + " ";
    text += "\n";
    if (write(to, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(3);
  }
  _exit(0);
}

void Expect(const Calls& calls, bool by_commit, const Others& others) {
  const os::Scratch folder = os::Scratch::OnDisk();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) PrintCalls(folder.At("pool"), by_commit, others, ends[1]);
  close(ends[1]);
  std::string made;
  char part[4096];
  for (ssize_t got = 0; (got = read(ends[0], part, sizeof part)) > 0;) {
    made.append(part, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  ASSERT_EQ(WEXITSTATUS(status), 0) << "2: the kernel does not let calls be trapped";
  std::string expected;
  for (const Call& call : calls) expected += std::string(call.name) + " ";
  expected += "\n";
  EXPECT_EQ(made, expected + expected + expected);
  EXPECT_LE(calls.size(), kCallsMost);
}

const Others kNothing = [](Warm&) {};

TEST(CommitCalls, ACheckpointOfOneThreadMakesThese) { Expect(kAlone, false, kNothing); }
TEST(CommitCalls, ACommitOfOneThreadMakesTheSame) { Expect(kAlone, true, kNothing); }

Calls WithBarriers(Calls barriers) {
  barriers.insert(barriers.end(), kAlone.begin(), kAlone.end());
  return barriers;
}

TEST(CommitCalls, WhereOthersHaveSectionsThereIsABarrierMore) {
  Expect(WithBarriers({kSections}), true, [](Warm& morsel) {
    morsel.Begin();
    morsel.End();
  });
}

TEST(CommitCalls, WhereOthersAllocateInSectionsThereAreTwoMore) {
  Expect(WithBarriers({kSections, kHeap}), true, [](Warm& morsel) {
    morsel.Begin();
    morsel.Allocate();
    morsel.End();
  });
}

TEST(CommitCalls, WhereOthersAllocateACheckpointHasABarrierMore) {
  Expect(WithBarriers({kHeap}), false, [](Warm& morsel) { morsel.Allocate(); });
}

}  // namespace
}  // namespace morsel
