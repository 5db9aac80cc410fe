// morsel_last_error() tells of the last call that failed, and no call that succeeds changes it,
// whatever has failed inside.
#include "morsel/tools.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

class LastErrorTest : public TroubleTest, public testing::WithParamInterface<bool> {
 protected:
  bool carved() const { return GetParam(); }
  const std::string& path() const { return carved() ? carved_ : directory_; }

  /// A failure, whose message is kept from here on.
  void FailNow() {
    morsel_pool_t* none = nullptr;
    EXPECT_NE(morsel_pool_open("/no such folder/pool", nullptr, &none), MORSEL_OK);
    kept_ = morsel_last_error();
    EXPECT_NE(kept_, "");
  }
  void Succeeds(const char* call, morsel_code code) {
    EXPECT_EQ(code, MORSEL_OK) << call << ": " << morsel_last_error();
    IsAsItWas(call);
  }
  void IsAsItWas(const char* call) { EXPECT_EQ(morsel_last_error(), kept_) << "after " << call; }

  std::string kept_;
};
INSTANTIATE_TEST_SUITE_P(Kinds, LastErrorTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

TEST_P(LastErrorTest, NoCallThatSucceedsChangesIt) {
  FailNow();
  morsel_pool_options pool_options{};
  pool_options.flags = MORSEL_CREATE | (carved() ? unsigned{MORSEL_CARVED} : 0u);
  pool_options.size_bytes = carved() ? 64 << 20 : 0;
  morsel_pool_t* pool = nullptr;
  Succeeds("a new pool", morsel_pool_open(path().c_str(), &pool_options, &pool));
  morsel_options options{};
  options.flags = MORSEL_CREATE | (carved() ? kFine : 0u);
  options.capacity_bytes = 32 << 20;  // without a size: it grows
  morsel_t* morsel = nullptr;
  Succeeds("a new morsel", morsel_open(pool, "a", &options, &morsel));
  void* block = morsel_malloc(morsel, 100);
  IsAsItWas("morsel_malloc");
  block = morsel_realloc(morsel, block, 1000);
  IsAsItWas("morsel_realloc");
  void* const large = morsel_malloc(morsel, 16 << 20);
  EXPECT_NE(large, nullptr);
  IsAsItWas("a morsel_malloc that grows");
  morsel_free(morsel, large);
  IsAsItWas("morsel_free");
  Succeeds("morsel_set_root", morsel_set_root(morsel, "r", block));
  if (carved()) Succeeds("morsel_persist", morsel_persist(morsel, block, 100));
  Succeeds("morsel_checkpoint", morsel_checkpoint(morsel));
  morsel_info info{};
  Succeeds("morsel_stat", morsel_stat(morsel, &info));
  Succeeds("morsel_find", morsel_find(pool, "a", &info));
  const auto pass = [](const morsel_info*, void*) { return 0; };
  Succeeds("morsel_list", morsel_list(pool, pass, nullptr));
  Succeeds("morsel_close", morsel_close(morsel));
  morsel_pool_info facts{};
  facts.struct_size = sizeof facts;
  Succeeds("morsel_pool_stat", morsel_pool_stat(pool, &facts));
  const std::string image = folder_ + "/image";
  Succeeds("morsel_export", morsel_export(pool, "a", image.c_str()));
  Succeeds("morsel_verify", morsel_verify(image.c_str(), nullptr, nullptr));
  Succeeds("morsel_salvage", morsel_salvage(image.c_str(), nullptr, nullptr, nullptr));
  Succeeds("morsel_rename", morsel_rename(pool, "a", "c"));
  Succeeds("morsel_remove", morsel_remove(pool, "c"));
  Succeeds("morsel_import", morsel_import(pool, image.c_str(), "b"));
  morsel_check_info checked{};
  checked.struct_size = sizeof checked;
  Succeeds("morsel_check", morsel_check(pool, nullptr, nullptr, nullptr, &checked));
  Succeeds("the open of what was imported", morsel_open(pool, "b", nullptr, &morsel));
  Succeeds("morsel_discard", morsel_discard(morsel));
  Succeeds("morsel_pool_close", morsel_pool_close(pool));
  Succeeds("a pool that is there", morsel_pool_open(path().c_str(), nullptr, &pool));
  Succeeds("morsel_pool_close", morsel_pool_close(pool));
}

}  // namespace
}  // namespace morsel::trouble
