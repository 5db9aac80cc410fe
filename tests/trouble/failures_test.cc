// Each call, under each system call that fails, for each reason: the code is that reason's, or the
// call can do without.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "morsel/tools.h"
#include "tests/trouble/documented_codes.h"
#include "tests/trouble/failing_calls.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

namespace fs = std::filesystem;

struct Reason {
  int error;
  morsel_code code;
};
constexpr Reason kReasons[] = {
    {ENOSPC, MORSEL_NO_SPACE},
    {EACCES, MORSEL_PERMISSION},
    {EMFILE, MORSEL_NO_MEMORY},
    {EOPNOTSUPP, MORSEL_UNSUPPORTED},
    {EIO, MORSEL_IO},
    {EBUSY, MORSEL_BUSY},
    {ENAMETOOLONG, MORSEL_INVALID_ARGUMENT},
};

struct Valid {
  const char* call;
  std::function<morsel_code()> make;  ///< succeeds where nothing fails
  std::function<void()> undo = [] {};
  std::function<void()> before = [] {};
};

class FailuresTest : public TroubleTest {
 protected:
  void SetUp() override {
    TroubleTest::SetUp();
    Make(directory_, 0, {"a", "c"});
    pool_ = OpenPool(directory_);
    second_ = OpenPool(scratch_.At("second"), MORSEL_CREATE);
    ASSERT_EQ(morsel_export(pool_, "c", image_.c_str()), MORSEL_OK) << morsel_last_error();
  }
  void TearDown() override {
    EXPECT_EQ(morsel_pool_close(second_), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK);
    TroubleTest::TearDown();
  }

  std::vector<Valid> OfPools();
  std::vector<Valid> OfImages();
  std::vector<Valid> OfMorsels();
  morsel_code Try(const Valid& one, Fails kind, morsel_code expected, int error);

  const std::string image_ = scratch_.At("image");
  const std::string new_ = scratch_.At("new");
  morsel_pool_t* pool_ = nullptr;
  morsel_pool_t* second_ = nullptr;
  morsel_t* morsel_ = nullptr;
  morsel_info info_ = {};
  morsel_check_info checked_ = {};
  morsel_pool_info pool_info_ = {};
  uint64_t number_ = 0;
  std::map<std::string, std::set<morsel_code>> reached_;
};

std::vector<Valid> FailuresTest::OfPools() {
  const auto pass = [](const morsel_info*, void*) { return 0; };
  const auto pass_name = [](const char*, morsel_code, const char*, void*) { return 0; };
  const auto add = [this] { fs::copy_file(directory_ + "/c", directory_ + "/gone"); };
  const auto take = [this] {
    for (const char* const name : {"/gone", "/other"}) fs::remove(directory_ + name);
  };
  add();
  return {
      {"morsel_pool_open", [this] { return TryPool(scratch_.At("second")); }},
      {"morsel_pool_open", [this] { return TryPool(new_, MORSEL_CREATE); },
       [this] { fs::remove_all(new_); }},
      {"morsel_list", [=, this] { return morsel_list(pool_, pass, nullptr); }},
      {"morsel_list_unreadable",
       [=, this] { return morsel_list_unreadable(pool_, pass_name, nullptr); }},
      {"morsel_find", [this] { return morsel_find(pool_, "c", &info_); }},
      {"morsel_pool_stat", [this] { return morsel_pool_stat(pool_, &pool_info_); }},
      {"morsel_check",
       [this] { return morsel_check(pool_, nullptr, nullptr, nullptr, &checked_); }},
      {"morsel_open",
       [this] {
         morsel_t* morsel = nullptr;
         const morsel_code code = morsel_open(pool_, "c", nullptr, &morsel);
         if (code == MORSEL_OK) (void)morsel_discard(morsel);
         return code;
       }},
      {"morsel_remove", [this] { return morsel_remove(pool_, "gone"); },
       [=] {
         take();
         add();
       }},
      {"morsel_rename", [this] { return morsel_rename(pool_, "gone", "other"); },
       [=] {
         take();
         add();
       }},
  };
}

std::vector<Valid> FailuresTest::OfImages() {
  const auto remove = [this] { fs::remove(new_); };
  return {
      {"morsel_export", [this] { return morsel_export(pool_, "c", new_.c_str()); }, remove},
      {"morsel_export_coded",
       [this] { return morsel_export_coded(pool_, "c", new_.c_str(), MORSEL_CODEC_LZ4); }, remove},
      {"morsel_export_with",
       [this] {
         const morsel_export_options options = {};
         return morsel_export_with(pool_, "c", new_.c_str(), &options);
       },
       remove},
      {"morsel_import", [this] { return morsel_import(second_, image_.c_str(), "i"); },
       [this] { fs::remove(scratch_.At("second") + "/i"); }},
      {"morsel_import_with",
       [this] {
         morsel_import_options options = {};
         options.name = "i";
         return morsel_import_with(second_, image_.c_str(), &options, nullptr);
       },
       [this] { fs::remove(scratch_.At("second") + "/i"); }},
      {"morsel_rebase", [this] { return morsel_rebase(pool_, "c", nullptr, nullptr); }},
      {"morsel_copy", [this] { return morsel_copy(pool_, "c", "copied", nullptr, nullptr); },
       [this] { fs::remove(directory_ + "/copied"); }},
      {"morsel_verify", [this] { return morsel_verify(image_.c_str(), nullptr, nullptr); }},
      {"morsel_salvage",
       [this] { return morsel_salvage(image_.c_str(), new_.c_str(), nullptr, nullptr); }, remove},
      {"morsel_salvage_counted",
       [this] {
         return morsel_salvage_counted(image_.c_str(), nullptr, nullptr, nullptr, &number_);
       }},
      {"morsel_stat_image", [this] { return morsel_stat_image(image_.c_str(), &info_); }},
  };
}

std::vector<Valid> FailuresTest::OfMorsels() {
  // With something to store.
  const auto open = [this] {
    morsel_ = Open(pool_, "a");
    EXPECT_NE(morsel_malloc(morsel_, 100), nullptr) << morsel_last_error();
  };
  const auto discard = [this] { EXPECT_EQ(morsel_discard(morsel_), MORSEL_OK); };
  const auto discard_if_open = [this] {
    if (morsel_ != nullptr) (void)morsel_discard(morsel_);
  };
  return {
      {"morsel_checkpoint", [this] { return morsel_checkpoint(morsel_); }, discard, open},
      {"morsel_commit", [this] { return morsel_commit(morsel_); }, discard,
       [=, this] {
         open();
         EXPECT_EQ(morsel_begin(morsel_), MORSEL_OK) << morsel_last_error();
       }},
      {"morsel_resize", [this] { return morsel_resize(morsel_, 4 << 20); }, discard, open},
      {"morsel_stat", [this] { return morsel_stat(morsel_, &info_); }, discard, open},
      {"morsel_set_root",
       [this] { return morsel_set_root(morsel_, "r", morsel_root(morsel_, "text")); }, discard,
       open},
      {"morsel_close",
       [this] {
         const morsel_code code = morsel_close(morsel_);
         if (code == MORSEL_OK) morsel_ = nullptr;
         return code;
       },
       discard_if_open, open},
  };
}

morsel_code FailuresTest::Try(const Valid& one, Fails kind, morsel_code expected, int error) {
  SCOPED_TRACE(std::string(one.call) + ", kind " + std::to_string(static_cast<int>(kind)) + ": " +
               std::strerror(error));
  one.before();
  morsel_code code = MORSEL_OK;
  {
    const FailingCalls failing(kind, error);
    code = one.make();
  }
  const std::string message = morsel_last_error();
  one.undo();
  if (code == MORSEL_OK) return code;
  reached_[one.call].insert(code);
  NoteReached(one.call, code);
  // What a failed sync has lost nobody knows.
  const bool is_lost = code == MORSEL_IO && message.find("can be promised") != std::string::npos;
  EXPECT_TRUE(code == expected || is_lost) << morsel_code_name(code) << ": " << message;
  EXPECT_NE(message.find(folder_), std::string::npos) << message;
  return code;
}

TEST_F(FailuresTest, EachCallHasTheCodeOfTheReason) {
  std::vector<Valid> all = OfPools();
  for (const auto& more : {OfImages(), OfMorsels()})
    all.insert(all.end(), more.begin(), more.end());
  for (const Valid& one : all) {
    EXPECT_EQ(Try(one, Fails::kNone, MORSEL_OK, 0), MORSEL_OK) << morsel_last_error();
    // The first that it needs fails for each reason, the others in one way.
    bool is_first = true;
    for (int kind = 1; kind < static_cast<int>(Fails::kEnd); ++kind) {
      if (Try(one, static_cast<Fails>(kind), MORSEL_IO, EIO) == MORSEL_OK || !is_first) continue;
      is_first = false;
      for (const Reason& reason : kReasons) {
        Try(one, static_cast<Fails>(kind), reason.code, reason.error);
      }
    }
  }
  // What only works in memory needs nothing of the system here.
  const std::set<std::string> without = {"morsel_resize", "morsel_stat", "morsel_set_root"};
  for (const Valid& one : all) {
    if (without.contains(one.call)) continue;
    for (const Reason& reason : kReasons) {
      EXPECT_TRUE(reached_[one.call].contains(reason.code))
          << one.call << ": " << morsel_code_name(reason.code);
    }
  }
}

}  // namespace
}  // namespace morsel::trouble
