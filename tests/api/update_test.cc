// morsel::Update begins and ends sections inline, and is in the same sections as the calls.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/asleep_testing.h"
#include "os/testing/scratch_testing.h"

namespace {

// Programs are compiled with this: it never changes.
static_assert(sizeof(morsel_section) == 32 && alignof(morsel_section) == 8);
static_assert(offsetof(morsel_section, depth) == 0);
static_assert(offsetof(morsel_section, closed) == 8);
static_assert(offsetof(morsel_section, changes) == 16);
static_assert(offsetof(morsel_section, changes_then) == 24);

class UpdateTest : public testing::Test {
 protected:
  static morsel::Pool OpenPool(const std::string& path) {
    auto pool = morsel::Pool::open(path, {.flags = MORSEL_CREATE});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }
  morsel::Morsel Open(const char* name = "m", uint64_t patience_ms = 600'000) {
    morsel::MorselOptions options = {.flags = MORSEL_CREATE};
    options.patience_ms = patience_ms;
    auto m = morsel::Morsel::open(pool_, name, options);
    EXPECT_TRUE(m) << morsel::last_error();
    return std::move(*m);
  }
  // How deep the calling thread is in sections, as the library counts them.
  static uint32_t DepthIn(morsel::Morsel& m) {
    morsel_section section;
    morsel_section_of(m.handle(), &section);
    return section.depth == nullptr ? 0 : *section.depth;
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  morsel::Pool pool_ = OpenPool(scratch_.At("pool"));
};

TEST_F(UpdateTest, CountsTheSameSectionsAsTheCalls) {
  morsel::Morsel m = Open();
  EXPECT_EQ(DepthIn(m), 0u);
  {
    const morsel::Update outer(m);
    EXPECT_TRUE(outer.status().ok());
    EXPECT_EQ(DepthIn(m), 1u);
    ASSERT_EQ(morsel_begin(m.handle()), MORSEL_OK);
    const morsel::Update inner(m);
    EXPECT_EQ(DepthIn(m), 3u);
    EXPECT_EQ(m.checkpoint().code(), morsel::Code::kInvalidArgument);
    EXPECT_EQ(morsel_end(m.handle()), MORSEL_OK);
    EXPECT_EQ(DepthIn(m), 2u);
  }
  EXPECT_EQ(DepthIn(m), 0u);
  EXPECT_EQ(morsel_end(m.handle()), MORSEL_INVALID_ARGUMENT);
  morsel::Update update(m);
  EXPECT_TRUE(update.end().ok());
  EXPECT_TRUE(update.end().ok());
  EXPECT_TRUE(update.commit().ok()) << "it has ended";
  EXPECT_EQ(DepthIn(m), 0u);
}

TEST_F(UpdateTest, OfManyMorselsAreToldApart) {
  std::vector<morsel::Morsel> morsels;
  for (int i = 0; i < 9; ++i) morsels.push_back(Open(std::to_string(i).c_str()));
  for (size_t i = 0; i < morsels.size(); ++i) {
    const morsel::Update update(morsels[i]);
    for (size_t other = 0; other < morsels.size(); ++other) {
      EXPECT_EQ(DepthIn(morsels[other]), other == i ? 1u : 0u);
    }
  }
}

// The next one has the place of the one that was closed.
TEST_F(UpdateTest, OfAMorselThatWasClosedKnowsNothingOfTheNext) {
  for (int i = 0; i < 20; ++i) {
    morsel::Morsel m = Open();
    {
      const morsel::Update update(m);
      EXPECT_EQ(DepthIn(m), 1u);
    }
    EXPECT_EQ(DepthIn(m), 0u);
    EXPECT_TRUE(m.close().ok()) << morsel::last_error();
  }
}

TEST_F(UpdateTest, IsWaitedForAndWaits) {
  morsel::Morsel m = Open();
  std::optional<morsel::Update> update(std::in_place, m);
  std::promise<pid_t> checkpoints;
  std::thread other([&] {
    checkpoints.set_value(static_cast<pid_t>(syscall(SYS_gettid)));
    EXPECT_TRUE(m.checkpoint().ok()) << morsel::last_error();
  });
  const pid_t checkpointing = checkpoints.get_future().get();
  while (!morsel::IsSeenAsleep(checkpointing)) std::this_thread::yield();
  update.reset();  // it wakes the one that waits, whose patience is longer than the test's
  other.join();
  std::atomic<bool> is_over{false};
  std::thread changes([&] {
    for (uint64_t made = 0; !is_over || made < 100; ++made) {
      const morsel::Update one(m);
      EXPECT_TRUE(one.status().ok()) << morsel::last_error();
    }
  });
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(m.checkpoint().ok()) << morsel::last_error();
  is_over = true;
  changes.join();
}

TEST_F(UpdateTest, OfAReaderOrAForkedChildIsRefused) {
  morsel::Morsel m = Open();
  { const morsel::Update known(m); }
  std::optional<morsel::Update> begun(std::in_place, m);
  const pid_t child = fork();
  if (child == 0) {
    const bool ends = begun->end().code() == morsel::Code::kBusy;
    const bool begins = morsel::Update(m).status().code() == morsel::Code::kBusy;
    _exit(ends && begins ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  begun.reset();
  ASSERT_TRUE(m.close().ok()) << morsel::last_error();
  auto reader = morsel::Morsel::open(pool_, "m", {.flags = MORSEL_READ_ONLY});
  ASSERT_TRUE(reader) << morsel::last_error();
  EXPECT_EQ(morsel::Update(*reader).status().code(), morsel::Code::kPermission);
}

/// Begins a section when its thread ends, after what the library has in the thread has ended.
struct Late {
  morsel::Morsel* m = nullptr;
  ~Late() {
    if (m == nullptr) return;
    const morsel::Update update(*m);
    EXPECT_TRUE(update.status().ok()) << morsel::last_error();
    EXPECT_EQ(morsel_checkpoint(m->handle()), MORSEL_INVALID_ARGUMENT);
  }
};

TEST_F(UpdateTest, WorksWhileItsThreadEnds) {
  morsel::Morsel m = Open();
  for (int i = 0; i < 10; ++i) {
    std::thread([&] {
      static thread_local Late late;
      late.m = &m;
      const morsel::Update update(m);
    }).join();
    EXPECT_TRUE(m.checkpoint().ok()) << morsel::last_error();
  }
}

}  // namespace
