// A thread that is to be cancelled finishes the call that it is in: nothing is left half done, and
// no lock held.
#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>
#include <string>
#include <vector>

#include "morsel/morsel.h"
#include "os/testing/scratch_testing.h"

namespace morsel {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class CancelTest : public testing::Test {
 protected:
  void SetUp() override {
    const morsel_pool_options options = {
        .struct_size = 0, .flags = MORSEL_CREATE, .mode = 0, .reserved = 0, .size_bytes = 0};
    ASSERT_EQ(morsel_pool_open(scratch_.At("pool").c_str(), &options, &pool_), MORSEL_OK);
    morsel_ = Open("m");
    kept_ = static_cast<char*>(morsel_malloc(morsel_, 3 * kMiB));
    ASSERT_NE(kept_, nullptr);
  }
  void TearDown() override {
    EXPECT_EQ(morsel_close(morsel_), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK) << morsel_last_error();
  }

  morsel_t* Open(const char* name) {
    morsel_options options = {};
    options.flags = MORSEL_CREATE;
    options.progress = [](const morsel_progress*, void*) { pthread_testcancel(); };
    morsel_t* opened = nullptr;
    EXPECT_EQ(morsel_open(pool_, name, &options, &opened), MORSEL_OK) << morsel_last_error();
    return opened;
  }

  // Makes the call in a thread that was cancelled before it. The thread ends after the call.
  void ExpectItIsFinished(const std::string& name, std::function<void()> call) {
    SCOPED_TRACE(name);
    struct Work {
      std::function<void()> call;
      bool finished = false;
    } work{std::move(call)};
    pthread_t thread;
    const auto run = [](void* what) -> void* {
      Work& mine = *static_cast<Work*>(what);
      pthread_cancel(pthread_self());
      mine.call();
      mine.finished = true;
      pthread_testcancel();
      return nullptr;
    };
    ASSERT_EQ(pthread_create(&thread, nullptr, run, &work), 0);
    void* result = nullptr;
    ASSERT_EQ(pthread_join(thread, &result), 0);
    EXPECT_TRUE(work.finished);
    EXPECT_EQ(result, PTHREAD_CANCELED);
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
  char* kept_ = nullptr;
};

TEST_F(CancelTest, ThreadsAreCancelledAfterTheirCalls) {
  const std::string image = scratch_.At("m.image");
  morsel_info info{};
  const std::vector<std::pair<const char*, std::function<void()>>> calls = {
      {"a malloc that grows", [&] { EXPECT_NE(morsel_malloc(morsel_, 40 * kMiB), nullptr); }},
      {"morsel_realloc",
       [&] { EXPECT_NE(morsel_realloc(morsel_, morsel_malloc(morsel_, 100), kMiB), nullptr); }},
      {"morsel_free", [&] { morsel_free(morsel_, morsel_malloc(morsel_, 2 * kMiB)); }},
      {"morsel_set_root", [&] { EXPECT_EQ(morsel_set_root(morsel_, "r", kept_), MORSEL_OK); }},
      {"morsel_stat", [&] { EXPECT_EQ(morsel_stat(morsel_, &info), MORSEL_OK); }},
      {"morsel_checkpoint",
       [&] {
         kept_[2 * kMiB] = 1;
         EXPECT_EQ(morsel_checkpoint(morsel_), MORSEL_OK);
       }},
      {"morsel_resize", [&] { EXPECT_EQ(morsel_resize(morsel_, 100 * kMiB), MORSEL_OK); }},
      {"morsel_open and morsel_close", [&] { EXPECT_EQ(morsel_close(Open("other")), MORSEL_OK); }},
      {"morsel_export", [&] { EXPECT_EQ(morsel_export(pool_, "m", image.c_str()), MORSEL_OK); }},
      {"morsel_verify",
       [&] { EXPECT_EQ(morsel_verify(image.c_str(), nullptr, nullptr), MORSEL_OK); }},
      {"morsel_rename", [&] { EXPECT_EQ(morsel_rename(pool_, "other", "an"), MORSEL_OK); }},
      {"morsel_remove", [&] { EXPECT_EQ(morsel_remove(pool_, "an"), MORSEL_OK); }},
      {"morsel_list",
       [&] {
         EXPECT_EQ(morsel_list(
                       pool_, [](const morsel_info*, void*) { return 0; }, nullptr),
                   MORSEL_OK);
       }},
  };
  for (const auto& [name, call] : calls) ExpectItIsFinished(name, call);
  EXPECT_EQ(morsel_root(morsel_, "r"), kept_);
}

}  // namespace
}  // namespace morsel
