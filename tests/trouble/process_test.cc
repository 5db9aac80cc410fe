// A pool that another process has open, and processes that fork while they have one open.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "morsel/tools.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

class ProcessTest : public TroubleTest, public testing::WithParamInterface<bool> {
 protected:
  bool carved() const { return GetParam(); }
  const std::string& path() const { return carved() ? carved_ : directory_; }
  void MakeIt() { Make(path(), carved() ? unsigned{MORSEL_CARVED} : 0u, {"a"}); }
};
INSTANTIATE_TEST_SUITE_P(Kinds, ProcessTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

// Another process, which has what `hold` opened until it is let go.
class Holder {
 public:
  explicit Holder(const std::function<void()>& hold) {
    int ready[2];
    int end[2];
    EXPECT_EQ(pipe(ready) + pipe(end), 0);
    process_ = fork();
    if (process_ == 0) {
      close(end[1]);
      hold();
      char byte = 0;
      (void)!write(ready[1], "h", 1);
      (void)!read(end[0], &byte, 1);
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    close(ready[1]);
    close(end[0]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    end_ = end[1];
  }
  ~Holder() {
    close(end_);
    int status = 0;
    EXPECT_EQ(waitpid(process_, &status, 0), process_);
    EXPECT_EQ(status, 0);
  }
  std::string name() const { return "process " + std::to_string(process_); }

 private:
  pid_t process_;
  int end_;
};

TEST_P(ProcessTest, WhoWritesTheSameIsToldOfTheOtherAndReadersAreNotInTheWay) {
  MakeIt();
  const Holder reader([&] { Open(OpenPool(path(), MORSEL_READ_ONLY), "a", MORSEL_READ_ONLY); });
  {
    const Holder writer([&] { Open(OpenPool(path()), "a"); });
    for (const uint32_t flags : {0u, unsigned{MORSEL_CREATE}}) {
      if (carved()) {
        ExpectFailure(TryPool(path(), flags), MORSEL_BUSY,
                      {"'" + path() + "'", writer.name(), "close it"});
        continue;
      }
      morsel_pool_t* const beside = OpenPool(path(), flags);
      ExpectFailure(Try(beside, "a"), MORSEL_BUSY, {"'a'", writer.name(), "close it"});
      ExpectFailure(morsel_remove(beside, "a"), MORSEL_BUSY, {"'a'", writer.name(), "close it"});
      ExpectFailure(morsel_rename(beside, "a", "b"), MORSEL_BUSY,
                    {"'a'", writer.name(), "close it"});
      EXPECT_EQ(morsel_pool_close(beside), MORSEL_OK);
    }
    morsel_pool_t* const beside = OpenPool(path(), MORSEL_READ_ONLY);
    morsel_t* const morsel = Open(beside, "a", MORSEL_READ_ONLY);
    EXPECT_EQ(TextOf(morsel), "as it was");
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(beside), MORSEL_OK);
  }
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const morsel = Open(pool, "a");
  EXPECT_EQ(TextOf(morsel), "as it was");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_remove(pool, "a"), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

// A process that checkpoints, allocates and frees without a pause while others look for damage.
class BusyWriter {
 public:
  explicit BusyWriter(const std::function<morsel_t*()>& open) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    process_ = fork();
    if (process_ != 0) {
      char byte = 0;
      close(ready[1]);
      EXPECT_EQ(read(ready[0], &byte, 1), 1);
      close(ready[0]);
      return;
    }
    morsel_t* const morsel = open();
    for (unsigned round = 0;; ++round) {
      void* blocks[100];
      for (void*& block : blocks) {
        block = morsel_malloc(morsel, 1000 + round * 37 % 20'000);
        if (block != nullptr) *static_cast<unsigned*>(block) = round;
      }
      if (morsel_checkpoint(morsel) != MORSEL_OK) _exit(1);
      for (void* const block : blocks) morsel_free(morsel, block);
      if (round == 2) (void)!write(ready[1], "r", 1);
    }
  }
  ~BusyWriter() {
    int status = 0;
    kill(process_, SIGKILL);
    EXPECT_EQ(waitpid(process_, &status, 0), process_);
    EXPECT_TRUE(WIFSIGNALED(status));
  }
  void Stop() const { Send(SIGSTOP, WUNTRACED); }
  void GoOn() const { Send(SIGCONT, WCONTINUED); }

 private:
  void Send(int signal, int until) const {
    EXPECT_EQ(kill(process_, signal), 0);
    EXPECT_EQ(waitpid(process_, nullptr, until), process_);
  }
  pid_t process_;
};

// Whoever checks waits for nobody: the writer is stopped in the middle of whatever it does, again
// and again, and is told of damage never.
TEST_P(ProcessTest, WhatIsBeingWrittenIsCheckedAtOnceAndNotToldAsDamage) {
  MakeIt();
  const BusyWriter writer([&] { return Open(OpenPool(path()), "a"); });
  morsel_pool_t* const pool = OpenPool(path(), MORSEL_READ_ONLY);
  for (int round = 0; round < 20; ++round) {
    if (round % 2 == 0) writer.Stop();
    std::string found;
    const auto add = [](const morsel_finding* finding, void* all) {
      *static_cast<std::string*>(all) += std::string(finding->subject) + ": " + finding->message;
    };
    morsel_check_info info = {};
    EXPECT_EQ(morsel_check(pool, nullptr, add, &found, &info), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(info.damages, 0u) << found;
    EXPECT_TRUE(info.obstacle == MORSEL_OK || info.obstacle == MORSEL_BUSY) << found;
    if (round % 2 == 0) writer.GoOn();
  }
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_P(ProcessTest, OpenNamesThisProcessWhenItWrites) {
  MakeIt();
  morsel_pool_t* const writer = OpenPool(path());
  morsel_t* const morsel = Open(writer, "a");
  if (carved()) {
    ExpectFailure(TryPool(path()), MORSEL_BUSY, {"'" + path() + "'", "this process"});
  } else {
    morsel_pool_t* const second = OpenPool(path());
    ExpectFailure(Try(second, "a"), MORSEL_BUSY, {"'a'", "'" + path() + "'", "this process"});
    EXPECT_EQ(morsel_pool_close(second), MORSEL_OK);
  }
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(writer), MORSEL_OK);
}

// Every call of a child on what its parent opened.
void ExpectAllBusy(morsel_pool_t* pool, morsel_t* morsel, void* block) {
  const auto busy = [](morsel_code code) { ExpectFailure(code, MORSEL_BUSY, {"forked", "again"}); };
  const auto null_busy = [](const void* pointer) {
    EXPECT_EQ(pointer, nullptr);
    EXPECT_EQ(errno, EBUSY);
  };
  morsel_t* opened = nullptr;
  morsel_info info{};
  busy(morsel_open(pool, "a", nullptr, &opened));
  busy(morsel_remove(pool, "a"));
  busy(morsel_rename(pool, "a", "b"));
  busy(morsel_list(
      pool, [](const morsel_info*, void*) { return 0; }, nullptr));
  null_busy(morsel_malloc(morsel, 1));
  null_busy(morsel_calloc(morsel, 1, 1));
  null_busy(morsel_realloc(morsel, block, 100));
  null_busy(morsel_aligned_alloc(morsel, 64, 1));
  null_busy(morsel_root(morsel, "text"));
  morsel_free(morsel, block);
  EXPECT_EQ(morsel_usable_size(morsel, block), 0u);
  EXPECT_EQ(morsel_of(block), nullptr);
  busy(morsel_set_root(morsel, "text", nullptr));
  busy(morsel_persist(morsel, block, 1));
  busy(morsel_fence(morsel));
  busy(morsel_checkpoint(morsel));
  busy(morsel_stat(morsel, &info));
  busy(morsel_resize(morsel, 4 << 20));
  busy(morsel_discard(morsel));
  busy(morsel_close(morsel));
  busy(morsel_pool_close(pool));
  // The range itself is not there.
  EXPECT_EQ(msync(morsel_base(morsel), 4096, MS_ASYNC), -1);
  EXPECT_EQ(errno, ENOMEM);
}

TEST_P(ProcessTest, CallsOfAForkedChildFailAsBusyAndChangeNothing) {
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const morsel = Open(pool, "a");
  void* const block = morsel_root(morsel, "text");
  const Bytes before = AllBytes(folder_);
  InChild([&] { ExpectAllBusy(pool, morsel, block); });
  EXPECT_TRUE(AllBytes(folder_) == before);
  EXPECT_EQ(TextOf(morsel), "as it was");
  EXPECT_EQ(morsel_of(block), morsel);
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_P(ProcessTest, AForkedChildHoldsNoLock) {
  MakeIt();
  int parent_may_go[2];
  int child_may_go[2];
  ASSERT_EQ(pipe(parent_may_go), 0);
  ASSERT_EQ(pipe(child_may_go), 0);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    morsel_pool_t* const pool = OpenPool(path());
    Open(pool, "a");
    char byte = 0;
    if (fork() == 0) {
      close(child_may_go[1]);
      (void)!write(parent_may_go[1], "c", 1);
      (void)!read(child_may_go[0], &byte, 1);  // until the test closes its end
      _exit(0);
    }
    (void)!read(parent_may_go[0], &byte, 1);
    _exit(testing::Test::HasFailure() ? 1 : 0);  // closes nothing, as if killed
  }
  close(child_may_go[0]);
  int status = 0;
  ASSERT_EQ(waitpid(parent, &status, 0), parent);
  EXPECT_EQ(status, 0);
  // The child is there still.
  morsel_pool_t* const pool = OpenPool(path());
  ASSERT_NE(pool, nullptr);
  morsel_t* const morsel = Open(pool, "a");
  EXPECT_EQ(TextOf(morsel), "as it was");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  for (const int end : {child_may_go[1], parent_may_go[0], parent_may_go[1]}) close(end);
}

TEST_P(ProcessTest, AForkedChildOpensThePoolAfterItsParentClosedIt) {
  MakeIt();
  morsel_pool_t* const pool = OpenPool(path());
  EXPECT_EQ(morsel_close(Open(pool, "a")), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  InChild([&] {
    morsel_pool_t* const own = OpenPool(path());
    morsel_t* const morsel = Open(own, "a");
    EXPECT_EQ(TextOf(morsel), "as it was");
    EXPECT_NE(morsel_malloc(morsel, 100), nullptr) << morsel_last_error();
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(own), MORSEL_OK);
  });
}

class GrowthTest : public TroubleTest {};

TEST_F(GrowthTest, ARootInMemoryThatAReaderHasNotMappedIsBusy) {
  Make(carved_, MORSEL_CARVED, {"a"});
  int opened[2];
  int grown[2];
  ASSERT_EQ(pipe(opened) + pipe(grown), 0);
  const pid_t reader = fork();
  char byte = 0;
  if (reader == 0) {
    morsel_t* const a = Open(OpenPool(carved_, MORSEL_READ_ONLY), "a", MORSEL_READ_ONLY);
    EXPECT_EQ(write(opened[1], "o", 1), 1);
    EXPECT_EQ(read(grown[0], &byte, 1), 1);
    EXPECT_EQ(TextOf(a), "as it was");
    EXPECT_EQ(morsel_root(a, "late"), nullptr);
    EXPECT_EQ(errno, EBUSY) << morsel_last_error();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  EXPECT_EQ(read(opened[0], &byte, 1), 1);
  morsel_pool_t* const pool = OpenPool(carved_);
  morsel_t* const a = Open(pool, "a");
  ASSERT_EQ(morsel_resize(a, 4 << 20), MORSEL_OK) << morsel_last_error();
  constexpr size_t kBytes = 2500 << 10;
  auto* const block = static_cast<char*>(morsel_malloc(a, kBytes));
  ASSERT_NE(block, nullptr) << morsel_last_error();
  EXPECT_EQ(morsel_set_root(a, "late", block + kBytes - 64), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(write(grown[1], "g", 1), 1);
  int status = -1;
  EXPECT_EQ(waitpid(reader, &status, 0), reader);
  EXPECT_EQ(status, 0);
  for (const int file : {opened[0], opened[1], grown[0], grown[1]}) close(file);
  EXPECT_EQ(morsel_close(a), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK) << morsel_last_error();
}

}  // namespace
}  // namespace morsel::trouble
