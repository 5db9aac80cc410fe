// Bob may only read Alice's pools, and locks what he can of them, in every way that there is. He is
// in nobody's way.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <thread>

#include "os/testing/other_user_testing.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

using os::ExpectAs;
using os::kAlice;
using os::kBob;

constexpr os::User kCarol = {61003, 61001};  // in Alice's group

// Locks the file as a reader can: by flock(2), and all of its bytes. False if it cannot be opened.
bool LockAll(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  EXPECT_EQ(flock(file, LOCK_EX | LOCK_NB), 0) << path;
  struct flock all {};
  all.l_type = F_RDLCK;
  EXPECT_EQ(fcntl(file, F_OFD_SETLK, &all), 0) << path;
  return true;
}

class ReaderLocksTest : public TroubleTest, public testing::WithParamInterface<bool> {
 protected:
  bool carved() const { return GetParam(); }
  const std::string& path() const { return carved() ? carved_ : directory_; }

  void SetUp() override {
    TroubleTest::SetUp();
    ASSERT_EQ(chmod(folder_.c_str(), 01777), 0);
    ExpectAs(kAlice, [&] {
      Make(path(), carved() ? unsigned{MORSEL_CARVED} : 0u, {"a"});
      ASSERT_EQ(chmod(path().c_str(), carved() ? 0644 : 0755), 0);
      if (carved()) return;
      for (const char* const file : {"/a", "/.morsel-pool"}) {
        ASSERT_EQ(chmod((path() + file).c_str(), 0644), 0);
      }
    });
  }

  void LetGroupWrite() const {
    ASSERT_EQ(chmod(path().c_str(), carved() ? 0664 : 0775), 0);
    if (carved()) return;
    for (const char* const file : {"/a", "/.morsel-pool"}) {
      ASSERT_EQ(chmod((path() + file).c_str(), 0664), 0);
    }
    ASSERT_EQ(chmod((path() + "/.morsel-lock").c_str(), 0660), 0);
  }

  static void ExpectHidden(morsel_code code, const std::string& what) {
    ExpectFailure(code, MORSEL_BUSY, {"'" + what + "'", "a reader's lock on the file hides"});
  }

  // Does something as a user, who stays as long as it lives.
  class Meanwhile {
   public:
    Meanwhile(const os::User& user, const std::function<void()>& body)
        : thread_([this, user, body] {
            ExpectAs(user, [&] {
              body();
              char byte = 0;
              EXPECT_EQ(write(ready_[1], "r", 1), 1);
              EXPECT_EQ(read(end_[0], &byte, 1), 1);
            });
          }) {
      char byte = 0;
      EXPECT_EQ(read(ready_[0], &byte, 1), 1);
    }
    ~Meanwhile() {
      EXPECT_EQ(write(end_[1], "e", 1), 1);
      thread_.join();
      for (const int file : {ready_[0], ready_[1], end_[0], end_[1]}) close(file);
    }

   private:
    struct Pipe {
      int ends[2];
      Pipe() { EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0); }
      int operator[](int end) const { return ends[end]; }
    };
    Pipe ready_;
    Pipe end_;
    std::thread thread_;
  };

  // As long as it lives Bob holds his locks.
  class Bob : public Meanwhile {
   public:
    explicit Bob(const ReaderLocksTest& test)
        : Meanwhile(kBob, [&test] {
            if (test.carved()) {
              EXPECT_TRUE(LockAll(test.path()));
            } else {
              EXPECT_TRUE(LockAll(test.path() + "/a"));
              EXPECT_TRUE(LockAll(test.path() + "/.morsel-pool"));
              EXPECT_FALSE(LockAll(test.path() + "/.morsel-lock"));
            }
          }) {}
  };
};
INSTANTIATE_TEST_SUITE_P(Kinds, ReaderLocksTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

TEST_P(ReaderLocksTest, WhoMayOnlyReadKeepsTheOwnerFromNothing) {
  const Bob bob(*this);
  ExpectAs(kAlice, [&] {
    const uint32_t fine = carved() ? kFine : 0;
    morsel_pool_t* const pool = OpenPool(path());
    morsel_t* const a = Open(pool, "a");
    EXPECT_EQ(TextOf(a), "as it was");
    EXPECT_EQ(morsel_checkpoint(a), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_close(Open(pool, "b", MORSEL_CREATE | fine)), MORSEL_OK);
    EXPECT_EQ(morsel_close(a), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_export(pool, "a", (folder_ + "/image").c_str()), MORSEL_OK)
        << morsel_last_error();
    EXPECT_EQ(morsel_remove(pool, "a"), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_import(pool, (folder_ + "/image").c_str(), "a"), MORSEL_OK)
        << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK) << morsel_last_error();
  });
}

// Under his lock nobody can have the writer's.
TEST_P(ReaderLocksTest, TwoOfTheOwnersProcessesDoNotWriteTheSameAllTheSame) {
  const Bob bob(*this);
  ExpectAs(kAlice, [&] {
    // Who was root before is hidden from others in /proc; she is not hiding.
    ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
    const std::string own = "process " + std::to_string(getpid());
    morsel_pool_t* const pool = OpenPool(path());
    morsel_t* const a = Open(pool, "a");
    InChild([&] {
      if (carved()) {
        ExpectFailure(TryPool(path()), MORSEL_BUSY, {"'" + path() + "'", own});
      } else {
        ExpectFailure(Try(OpenPool(path()), "a"), MORSEL_BUSY, {"'a'", own});
      }
    });
    EXPECT_EQ(morsel_close(a), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK) << morsel_last_error();
  });
}

// Nor do those of two users, who do not see each other's files in /proc.
TEST_P(ReaderLocksTest, TwoUsersDoNotWriteTheSameAllTheSame) {
  LetGroupWrite();
  const Bob bob(*this);
  const Meanwhile alice(kAlice, [&] {
    morsel_t* const a = Open(OpenPool(path()), "a");
    EXPECT_EQ(morsel_checkpoint(a), MORSEL_OK) << morsel_last_error();
  });
  ExpectAs(kCarol, [&] {
    if (carved()) return ExpectHidden(TryPool(path()), path());
    morsel_pool_t* const pool = OpenPool(path());
    ExpectHidden(Try(pool, "a"), "a");
    ExpectHidden(morsel_remove(pool, "a"), "a");
    ExpectHidden(morsel_rename(pool, "a", "b"), "a");
  });
}

// When the reader's lock ends, the way is not open to a second writer.
TEST_P(ReaderLocksTest, AWriterUnderAReadersLockIsFoundWhenThatIsGone) {
  LetGroupWrite();
  std::optional<Bob> bob(*this);
  const Meanwhile alice(kAlice, [&] { Open(OpenPool(path()), "a"); });
  bob.reset();
  ExpectAs(kCarol, [&] {
    if (carved()) return ExpectHidden(TryPool(path()), path());
    ExpectHidden(Try(OpenPool(path()), "a"), "a");
  });
}

// Nor is it to who may write the morsel but not its directory, where the second lock is.
TEST_P(ReaderLocksTest, WhoMayNotOpenTheSecondLockDoesNotWriteBesideWhoHasIt) {
  if (carved()) return;  // it has no directory
  LetGroupWrite();
  ASSERT_EQ(chmod(path().c_str(), 0755), 0);
  ASSERT_EQ(chmod((path() + "/.morsel-lock").c_str(), 0600), 0);
  std::optional<Bob> bob(*this);
  {
    const Meanwhile alice(kAlice, [&] { Open(OpenPool(path()), "a"); });
    bob.reset();
    ExpectAs(kCarol, [&] {
      ExpectFailure(Try(OpenPool(path()), "a"), MORSEL_PERMISSION, {".morsel-lock"});
    });
  }
  ExpectAs(kCarol, [&] { EXPECT_EQ(morsel_close(Open(OpenPool(path()), "a")), MORSEL_OK); });
}

}  // namespace
}  // namespace morsel::trouble
