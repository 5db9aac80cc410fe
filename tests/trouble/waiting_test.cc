// While the bytes of one morsel move, the pool serves all others. Each test lets another thread do
// that at a moment when bytes move: where it had to wait, the test would never end.
#include <cstring>
#include <thread>

#include "morsel/tools.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

int Count(const morsel_info*, void* count) {
  ++*static_cast<int*>(count);
  return 0;
}

class Waiting : public TroubleTest {
 protected:
  virtual bool carved() const = 0;
  uint32_t fine() const { return carved() ? kFine : 0; }
  const std::string& path() const { return carved() ? carved_ : directory_; }

  void SetUp() override {
    TroubleTest::SetUp();
    morsel_pool_options options{};
    options.flags = MORSEL_CREATE | (carved() ? unsigned{MORSEL_CARVED} : 0u);
    options.size_bytes = carved() ? 64 << 20 : 0;
    ASSERT_EQ(morsel_pool_open(path().c_str(), &options, &pool_), MORSEL_OK) << morsel_last_error();
    for (const char* const name : {"a", "b"}) {
      morsel_t* const morsel = Open(pool_, name, MORSEL_CREATE | fine());
      ASSERT_EQ(morsel_resize(morsel, 8 << 20), MORSEL_OK) << morsel_last_error();
      void* const block = morsel_malloc(morsel, 4 << 20);
      std::memset(block, 'x', 4 << 20);
      ASSERT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
    }
  }
  void TearDown() override {
    morsel_set_progress(nullptr, nullptr);
    EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK) << morsel_last_error();
    TroubleTest::TearDown();
  }

  // The first time it is called in a step, another thread uses the pool.
  static void Progress(const morsel_progress*, void* test) {
    auto& self = *static_cast<Waiting*>(test);
    if (self.is_served_) return;
    self.is_served_ = true;
    std::thread([&] { self.UseThePool(); }).join();
  }

  void UseThePool() {
    morsel_t* const b = Open(pool_, "b");
    EXPECT_NE(morsel_malloc(b, 100), nullptr) << morsel_last_error();
    morsel_info info{};
    info.struct_size = sizeof info;
    EXPECT_EQ(morsel_stat(b, &info), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_close(b), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_close(Open(pool_, "c", MORSEL_CREATE | fine())), MORSEL_OK);
    int count = 0;
    EXPECT_EQ(morsel_list(pool_, Count, &count), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(count, due_);
    morsel_pool_info pool_info{};
    pool_info.struct_size = sizeof pool_info;
    EXPECT_EQ(morsel_pool_stat(pool_, &pool_info), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_remove(pool_, "c"), MORSEL_OK) << morsel_last_error();
    if (a_ == nullptr) return;
    // Of the morsel whose bytes move is told what was so before.
    EXPECT_EQ(morsel_stat(a_, &info), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(info.size_bytes, uint64_t{8} << 20);
    EXPECT_GE(info.live_bytes, uint64_t{4} << 20);
  }
  void ExpectServed() {
    EXPECT_TRUE(is_served_);
    is_served_ = false;
  }
  std::string At(const char* name) const { return folder_ + "/" + name; }

  morsel_pool_t* pool_ = nullptr;
  morsel_t* a_ = nullptr;  // if it is open
  bool is_served_ = false;
  int due_ = 3;
};

class WaitingTest : public Waiting, public testing::WithParamInterface<bool> {
  bool carved() const override { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Kinds, WaitingTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

TEST_P(WaitingTest, NobodyWaitsForAnotherMorselToBeExported) {
  morsel_set_progress(Progress, this);
  ASSERT_EQ(morsel_export(pool_, "a", At("closed").c_str()), MORSEL_OK) << morsel_last_error();
  ExpectServed();
  ASSERT_EQ(morsel_export_coded(pool_, "a", At("coded").c_str(), MORSEL_CODEC_LZ4), MORSEL_OK);
  ExpectServed();
  a_ = Open(pool_, "a");
  ASSERT_EQ(morsel_export(pool_, "a", At("open").c_str()), MORSEL_OK) << morsel_last_error();
  ExpectServed();
  ASSERT_EQ(morsel_close(std::exchange(a_, nullptr)), MORSEL_OK) << morsel_last_error();
}

TEST_P(WaitingTest, NobodyWaitsForAnotherMorselToBeImported) {
  ASSERT_EQ(morsel_export(pool_, "a", At("image").c_str()), MORSEL_OK) << morsel_last_error();
  ASSERT_EQ(morsel_remove(pool_, "a"), MORSEL_OK) << morsel_last_error();
  due_ = 2;
  morsel_set_progress(Progress, this);
  ASSERT_EQ(morsel_import(pool_, At("image").c_str(), "a"), MORSEL_OK) << morsel_last_error();
  ExpectServed();
}

// Fine morsels are neither.
class LoadingTest : public Waiting {
  bool carved() const override { return false; }
};

TEST_F(LoadingTest, NobodyWaitsForAnotherMorselToBeLoadedOrStored) {
  morsel_options options{};
  options.progress = Progress;
  options.progress_context = this;
  morsel_t* a = nullptr;
  ASSERT_EQ(morsel_open(pool_, "a", &options, &a), MORSEL_OK) << morsel_last_error();
  ExpectServed();
  a_ = a;
  std::memset(morsel_malloc(a, 1 << 20), 'y', 1 << 20);
  ASSERT_EQ(morsel_checkpoint(a), MORSEL_OK) << morsel_last_error();
  ExpectServed();
  std::memset(morsel_malloc(a, 1 << 20), 'z', 1 << 20);
  a_ = nullptr;
  ASSERT_EQ(morsel_close(a), MORSEL_OK) << morsel_last_error();
  ExpectServed();
}

// Whoever wants the same morsel waits, and then has it.
TEST_P(WaitingTest, TwoThreadsThatOpenOneMorselHaveOneHandle) {
  for (int round = 0; round < 50; ++round) {
    morsel_t* handles[4] = {};
    std::vector<std::thread> threads;
    for (morsel_t*& handle : handles) {
      threads.emplace_back([&handle, this] { handle = Open(pool_, "a"); });
    }
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    for (morsel_t* const handle : handles) {
      EXPECT_EQ(handle, handles[0]);
      threads.emplace_back([handle] { EXPECT_EQ(morsel_close(handle), MORSEL_OK); });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace morsel::trouble
