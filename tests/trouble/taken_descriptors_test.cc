// A program that closes all descriptors, as daemons do, and then opens files of its own, which get
// the numbers of the library's.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <tuple>

#include "morsel/tools.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr int kFirst = 3;
constexpr int kPast = 1024;
constexpr int kOwn = 12;  // more than the library has

enum class Taker { kFiles, kOtherPool };

class TakenDescriptorsTest : public TroubleTest,
                             public testing::WithParamInterface<std::tuple<bool, Taker>> {
 protected:
  bool carved() const { return std::get<0>(GetParam()); }
  const std::string& path() const { return carved() ? carved_ : directory_; }

  void SetUp() override {
    TroubleTest::SetUp();
    Make(path(), carved() ? unsigned{MORSEL_CARVED} : 0u, {"a", "b"});
    Make(other_, 0, {"a", "b"}, "of the other pool");
    // Longer than the pools' files, so that a hole in it would be seen.
    WriteFile(file_, std::string(10 * kMiB, 'P'));
    morsel_pool_t* const pool = OpenPool(other_);
    ASSERT_EQ(morsel_export(pool, "b", image_.c_str()), MORSEL_OK);
    ASSERT_EQ(morsel_pool_close(pool), MORSEL_OK);
    before_ = Strangers();
  }

  Bytes Strangers() const {
    Bytes all = AllBytes(other_);
    all.merge(AllBytes(file_));
    return all;
  }

  // What the program does. Its descriptors are then all that there are.
  void TakeAll() const {
    for (int number = kFirst; number < kPast; ++number) close(number);
    for (int i = 0; i < kOwn; ++i) {
      const bool is_file = std::get<1>(GetParam()) == Taker::kFiles;
      ASSERT_EQ(is_file ? open(file_.c_str(), O_RDWR) : open(other_.c_str(), O_RDONLY), kFirst + i);
    }
  }

  void ExpectStrangersUntouched() const {
    for (int i = 0; i < kOwn; ++i) {
      EXPECT_GE(fcntl(kFirst + i, F_GETFD), 0) << "descriptor " << kFirst + i << " was closed";
    }
    EXPECT_EQ(Strangers(), before_);
  }

  void ExpectRefused(morsel_code code) const {
    ExpectFailure(code, MORSEL_INVALID_ARGUMENT, {"has closed a descriptor of the library"});
  }

  // Another program finds the pool as it was, and whole.
  void ExpectPoolAsItWas() {
    morsel_pool_t* const pool = OpenPool(path());
    std::string names;
    const auto visit = [](const morsel_info* info, void* to) {
      *static_cast<std::string*>(to) += info->name;
      return 0;
    };
    EXPECT_EQ(morsel_list(pool, visit, &names), MORSEL_OK);
    EXPECT_EQ(names, "ab");
    morsel_check_info info{};
    info.struct_size = sizeof info;
    EXPECT_EQ(morsel_check(pool, nullptr, nullptr, nullptr, &info), MORSEL_OK);
    EXPECT_EQ(info.damages, 0u);
    morsel_t* const morsel = Open(pool, "a");
    EXPECT_EQ(TextOf(morsel), "as it was");
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  }

  const std::string other_ = scratch_.At("other");
  const std::string file_ = scratch_.At("file");
  const std::string image_ = scratch_.At("image");
  Bytes before_;
};
INSTANTIATE_TEST_SUITE_P(Kinds, TakenDescriptorsTest,
                         testing::Combine(testing::Bool(),
                                          testing::Values(Taker::kFiles, Taker::kOtherPool)),
                         [](const auto& kind) {
                           return std::string(std::get<0>(kind.param) ? "Carved" : "Directory") +
                                  (std::get<1>(kind.param) == Taker::kFiles ? "Files"
                                                                            : "OtherPool");
                         });

TEST_P(TakenDescriptorsTest, NothingIsDoneToThePoolNorToTheFilesOfTheProgram) {
  InChild([&] {
    morsel_pool_t* const pool = OpenPool(path());
    TakeAll();
    ExpectRefused(Try(pool, "new", MORSEL_CREATE | (carved() ? kFine : 0u)));
    ExpectRefused(morsel_remove(pool, "b"));
    ExpectRefused(morsel_rename(pool, "b", "c"));
    if (!carved()) ExpectRefused(morsel_import(pool, image_.c_str(), "imported"));
    EXPECT_EQ(morsel_pool_close(pool), carved() ? MORSEL_INVALID_ARGUMENT : MORSEL_OK);
    ExpectStrangersUntouched();
  });
  ExpectPoolAsItWas();
}

TEST_P(TakenDescriptorsTest, AnOpenMorselNeitherGrowsNorIsCheckpointed) {
  InChild([&] {
    morsel_pool_t* const pool = OpenPool(path());
    morsel_t* const morsel = Open(pool, "a");
    TakeAll();
    const morsel_code resized = morsel_resize(morsel, 6 * kMiB);
    if (carved()) {
      ExpectRefused(resized);
    } else {
      EXPECT_EQ(resized, MORSEL_OK);
      std::memset(morsel_malloc(morsel, 3 * kMiB), 'm', 3 * kMiB);
    }
    ExpectRefused(morsel_checkpoint(morsel));
    ExpectRefused(morsel_close(morsel));
    EXPECT_EQ(TextOf(morsel), "as it was");
    EXPECT_EQ(morsel_discard(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), carved() ? MORSEL_INVALID_ARGUMENT : MORSEL_OK);
    ExpectStrangersUntouched();
  });
  ExpectPoolAsItWas();
}

}  // namespace
}  // namespace morsel::trouble
