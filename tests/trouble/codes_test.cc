// All codes of all calls: each function of the headers that returns a code fails here, each code is
// the answer of some, and each message is about that failure.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <functional>
#include <set>

#include "morsel/tools.h"
#include "tests/trouble/documented_codes.h"
#include "tests/trouble/failing_calls.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

struct Row {
  const char* call;
  morsel_code code;
  std::vector<std::string> words;
  std::function<morsel_code()> provoke;
};

class CodesTest : public TroubleTest {
 protected:
  void SetUp() override {
    TroubleTest::SetUp();
    Make(directory_, 0, {"a", "old", "bad"});
    for (const uint64_t superblock : {0, 1 << 20}) {
      Overwrite(directory_ + "/old", superblock + 16, "c");  // version 99
      FlipBit(directory_ + "/bad", superblock + 100);
    }
    WriteFile(foreign_, std::string(100'000, 'x'));
    ReOpen(0);
    carved_pool_ = MakeCarvedPool();
    fine_ = Open(carved_pool_, "f", MORSEL_CREATE | kFine);
  }
  void TearDown() override {
    CloseAll();
    EXPECT_EQ(morsel_close(fine_), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(carved_pool_), MORSEL_OK);
    TroubleTest::TearDown();
  }
  void CloseAll() {
    if (a_ != nullptr) {
      EXPECT_EQ(morsel_discard(a_), MORSEL_OK) << morsel_last_error();
    }
    a_ = nullptr;
    EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK);
  }
  void ReOpen(uint32_t flags) {
    pool_ = OpenPool(directory_, flags);
    a_ = Open(pool_, "a", flags);
  }
  // Fails each row, after a failure of another kind.
  void Fail(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      SCOPED_TRACE(std::string(row.call) + " " + morsel_code_name(row.code));
      (void)morsel_pool_open("/no such folder/pool", nullptr, nullptr);
      const std::string before = morsel_last_error();
      const morsel_code code = row.provoke();
      ExpectFailure(code, row.code, row.words);
      EXPECT_NE(morsel_last_error(), before);
      EXPECT_GT(std::string(morsel_last_error()).size(), 30u);
      NoteReached(row.call, code);
      calls_.insert(row.call);
      codes_.insert(row.code);
    }
  }
  morsel_code OpenIt(const char* name, uint32_t flags = 0) { return Try(pool_, name, flags); }
  std::vector<Row> OfArguments();
  std::vector<Row> OfNames();
  std::vector<Row> OfState();

  const std::string foreign_ = scratch_.At("foreign");
  morsel_pool_t* pool_ = nullptr;
  morsel_pool_t* carved_pool_ = nullptr;
  morsel_t* a_ = nullptr;
  morsel_t* fine_ = nullptr;
  morsel_info info_ = {};
  morsel_check_info checked_ = {};
  uint64_t number_ = 0;
  std::set<std::string> calls_;
  std::set<morsel_code> codes_;
};

std::vector<Row> CodesTest::OfArguments() {
  constexpr morsel_code kWrong = MORSEL_INVALID_ARGUMENT;
  const char* const foreign = foreign_.c_str();
  const auto list = [](const char*, morsel_code, const char*, void*) { return 0; };
  return {
      {"morsel_pool_open", kWrong, {"path"}, [&] { return TryPool(""); }},
      {"morsel_pool_close", kWrong, {"pool_close"}, [] { return morsel_pool_close(nullptr); }},
      {"morsel_open", kWrong, {"'a/b'"}, [&] { return OpenIt("a/b"); }},
      {"morsel_close", kWrong, {"morsel_close"}, [] { return morsel_close(nullptr); }},
      {"morsel_discard", kWrong, {"morsel_discard"}, [] { return morsel_discard(nullptr); }},
      {"morsel_fence", kWrong, {"morsel_fence"}, [] { return morsel_fence(nullptr); }},
      {"morsel_list",
       kWrong,
       {"morsel_list"},
       [&] { return morsel_list(pool_, nullptr, nullptr); }},
      {"morsel_list_unreadable",
       kWrong,
       {"morsel_list_unreadable"},
       [=] { return morsel_list_unreadable(nullptr, list, nullptr); }},
      {"morsel_for_each_root",
       kWrong,
       {"morsel_for_each_root"},
       [&] { return morsel_for_each_root(a_, nullptr, nullptr); }},
      {"morsel_for_each_block",
       kWrong,
       {"morsel_for_each_block"},
       [&] { return morsel_for_each_block(a_, nullptr, nullptr); }},
      {"morsel_check_pointers",
       kWrong,
       {"morsel_check_pointers"},
       [&] { return morsel_check_pointers(a_, nullptr, nullptr); }},
      {"morsel_find_unreached",
       kWrong,
       {"morsel_find_unreached"},
       [=] { return morsel_find_unreached(nullptr, nullptr, nullptr, nullptr); }},
      {"morsel_set_root_typed",
       kWrong,
       {"morsel_set_root_typed", "flags"},
       [&] { return morsel_set_root_typed(a_, "r", nullptr, nullptr, MORSEL_FINE); }},
      {"morsel_stat", kWrong, {"morsel_stat"}, [&] { return morsel_stat(a_, nullptr); }},
      {"morsel_pool_stat", kWrong, {"stat"}, [&] { return morsel_pool_stat(pool_, nullptr); }},
      {"morsel_addresses",
       kWrong,
       {"morsel_addresses"},
       [] { return morsel_addresses(nullptr, nullptr, nullptr); }},
      {"morsel_share_addresses", kWrong, {"no user"}, [] { return morsel_share_addresses(~0u); }},
      {"morsel_format", kWrong, {foreign_}, [=] { return morsel_format(foreign, 0); }},
      {"morsel_verify",
       kWrong,
       {foreign_, "does not begin"},
       [=] { return morsel_verify(foreign, nullptr, nullptr); }},
      {"morsel_import",
       kWrong,
       {foreign_, "does not begin"},
       [=, this] { return morsel_import(pool_, foreign, "b"); }},
      {"morsel_salvage",
       kWrong,
       {foreign_, "does not begin"},
       [=] { return morsel_salvage(foreign, nullptr, nullptr, nullptr); }},
      {"morsel_stat_image",
       kWrong,
       {foreign_, "does not begin"},
       [=, this] { return morsel_stat_image(foreign, &info_); }},
      {"morsel_set_root", kWrong, {"'r'"}, [&] { return morsel_set_root(a_, "r", &info_); }},
      {"morsel_persist", kWrong, {"'f'"}, [&] { return morsel_persist(fine_, &info_, 1); }},
  };
}

std::vector<Row> CodesTest::OfNames() {
  const auto image = [this](const char* name) { return directory_ + "/" + name; };
  return {
      {"morsel_pool_open", MORSEL_NOT_FOUND, {"none"}, [&] { return TryPool(image("none")); }},
      {"morsel_open", MORSEL_NOT_FOUND, {"'none'"}, [&] { return OpenIt("none"); }},
      {"morsel_remove", MORSEL_NOT_FOUND, {"'none'"}, [&] { return morsel_remove(pool_, "none"); }},
      {"morsel_rebase",
       MORSEL_NOT_FOUND,
       {"'none'"},
       [&] { return morsel_rebase(pool_, "none", nullptr, nullptr); }},
      {"morsel_copy",
       MORSEL_NOT_FOUND,
       {"'none'"},
       [&] { return morsel_copy(pool_, "none", "copy", nullptr, nullptr); }},
      {"morsel_import_with",
       MORSEL_INVALID_ARGUMENT,
       {foreign_, "does not begin"},
       [&] { return morsel_import_with(pool_, foreign_.c_str(), nullptr, nullptr); }},
      {"morsel_rename",
       MORSEL_EXISTS,
       {"/old'", "another name"},
       [&] { return morsel_rename(pool_, "bad", "old"); }},
      {"morsel_find",
       MORSEL_NOT_FOUND,
       {"'none'"},
       [&] { return morsel_find(pool_, "none", &info_); }},
      {"morsel_open", MORSEL_CORRUPT, {"/bad'", "copy"}, [&] { return OpenIt("bad"); }},
      {"morsel_find", MORSEL_CORRUPT, {"/bad'"}, [&] { return morsel_find(pool_, "bad", &info_); }},
      {"morsel_verify",
       MORSEL_CORRUPT,
       {"/bad'"},
       [=] { return morsel_verify(image("bad").c_str(), nullptr, nullptr); }},
      {"morsel_open", MORSEL_VERSION, {"/old'", "version 99"}, [&] { return OpenIt("old"); }},
      {"morsel_find",
       MORSEL_VERSION,
       {"/old'", "version 99"},
       [&] { return morsel_find(pool_, "old", &info_); }},
      {"morsel_verify",
       MORSEL_VERSION,
       {"/old'", "version 99"},
       [=] { return morsel_verify(image("old").c_str(), nullptr, nullptr); }},
      {"morsel_export",
       MORSEL_VERSION,
       {"version 99"},
       [&] { return morsel_export(pool_, "old", scratch_.At("x").c_str()); }},
      {"morsel_export",
       MORSEL_EXISTS,
       {foreign_},
       [&] { return morsel_export(pool_, "a", foreign_.c_str()); }},
      {"morsel_open",
       MORSEL_EXISTS,
       {"'a'"},
       [&] { return OpenIt("a", MORSEL_CREATE | MORSEL_EXCLUSIVE); }},
      {"morsel_export_coded",
       MORSEL_NOT_FOUND,
       {"'none'"},
       [&] { return morsel_export_coded(pool_, "none", scratch_.At("x").c_str(), 0); }},
      {"morsel_salvage_counted",
       MORSEL_NOT_FOUND,
       {"none"},
       [=, this] {
         return morsel_salvage_counted(image("none").c_str(), nullptr, nullptr, nullptr, &number_);
       }},
  };
}

std::vector<Row> CodesTest::OfState() {
  return {
      {"morsel_pool_close", MORSEL_BUSY, {"'a'"}, [&] { return morsel_pool_close(pool_); }},
      {"morsel_remove", MORSEL_BUSY, {"'a'"}, [&] { return morsel_remove(pool_, "a"); }},
      {"morsel_count_huge",
       MORSEL_BUSY,
       {"'a'"},
       [&] { return morsel_count_huge(pool_, "a", &number_); }},
      {"morsel_check",
       MORSEL_BUSY,
       {"'a'"},
       [&] { return morsel_check(pool_, nullptr, nullptr, nullptr, &checked_); }},
      {"morsel_resize",
       MORSEL_ADDRESS_EXHAUSTED,
       {"'a'", "capacity"},
       [&] { return morsel_resize(a_, uint64_t{1} << 40); }},
      {"morsel_resize", MORSEL_NO_SPACE, {"pool"}, [&] { return morsel_resize(fine_, 64 << 20); }},
      {"morsel_flush", MORSEL_UNSUPPORTED, {"'a'"}, [&] { return morsel_flush(a_, a_, 0); }},
      {"morsel_memcpy_persist",
       MORSEL_UNSUPPORTED,
       {"'a'"},
       [&] { return morsel_memcpy_persist(a_, a_, a_, 0); }},
      {"morsel_export_with",
       MORSEL_UNSUPPORTED,
       {"snapshot"},
       [&] {
         morsel_export_options options = {};
         options.flags = MORSEL_SALVAGE;
         return morsel_export_with(pool_, "a", scratch_.At("x").c_str(), &options);
       }},
  };
}

TEST_F(CodesTest, EachIsTheAnswerToWhatItSays) {
  Fail(OfArguments());
  Fail(OfNames());
  Fail(OfState());
  // There is something to sync.
  ASSERT_NE(morsel_malloc(a_, 100), nullptr) << morsel_last_error();
  Fail({{"morsel_checkpoint", MORSEL_IO, {"/a'", "fdatasync"}, [&] {
           const FailingCalls failing(Fails::kDataSync, EIO);
           return morsel_checkpoint(a_);
         }}});
  CloseAll();
  ReOpen(MORSEL_READ_ONLY);
  void* const base = morsel_base(a_);
  Fail({{"morsel_checkpoint", MORSEL_PERMISSION, {"'a'"}, [&] { return morsel_checkpoint(a_); }},
        {"morsel_resize", MORSEL_PERMISSION, {"'a'"}, [&] { return morsel_resize(a_, 1); }},
        {"morsel_remove", MORSEL_PERMISSION, {"'bad'"}, [&] {
           return morsel_remove(pool_, "bad");
         }}});
  EXPECT_EQ(morsel_close(a_), MORSEL_OK);
  a_ = nullptr;
  void* const taken = mmap(base, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  Fail({{"morsel_open", MORSEL_ADDRESS_TAKEN, {"'a'"}, [&] {
           return OpenIt("a", MORSEL_READ_ONLY);
         }}});
  munmap(taken, 4096);
  struct rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const struct rlimit none = {1, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
  Fail({{"morsel_open", MORSEL_NO_MEMORY, {"'a'", "ulimit -v"}, [&] {
           return OpenIt("a", MORSEL_READ_ONLY);
         }}});
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);

  std::set<std::string> declared;
  for (const auto& [call, codes] : DocumentedCodes()) declared.insert(call);
  for (const char* const call : {"morsel_begin", "morsel_end", "morsel_commit"}) {
    declared.erase(call);  // section_codes_test.cc has them
  }
  EXPECT_EQ(calls_, declared);
  for (int code = MORSEL_NO_SPACE; code <= MORSEL_ADDRESS_EXHAUSTED; ++code) {
    EXPECT_TRUE(codes_.contains(static_cast<morsel_code>(code)))
        << morsel_code_name(static_cast<morsel_code>(code));
  }
}

// What is full is what the message says: the range, not the pool.
TEST_F(CodesTest, NoSpaceNamesWhatIsFull) {
  morsel_options options = {};
  options.flags = MORSEL_CREATE;
  options.capacity_bytes = 8 << 20;  // without a size: it grows
  morsel_t* small = nullptr;
  ASSERT_EQ(morsel_open(pool_, "small", &options, &small), MORSEL_OK);
  ASSERT_NE(morsel_malloc(small, 3 << 20), nullptr);
  for (const size_t size : {size_t{7} << 20, size_t{100}}) {
    while (morsel_malloc(small, size) != nullptr) continue;
    EXPECT_EQ(errno, ENOMEM);
    const std::string message = morsel_last_error();
    EXPECT_NE(message.find("--capacity"), std::string::npos) << message;
    EXPECT_EQ(message.find("the pool"), std::string::npos) << message;
  }
  EXPECT_EQ(morsel_discard(small), MORSEL_OK);
  // A morsel that could grow, were there room.
  options.flags = MORSEL_CREATE | kFine;
  options.capacity_bytes = 64 << 20;
  morsel_t* fine = nullptr;
  ASSERT_EQ(morsel_open(carved_pool_, "g", &options, &fine), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_malloc(fine, 32 << 20), nullptr);
  const std::string message = morsel_last_error();
  EXPECT_NE(message.find("'" + carved_ + "'"), std::string::npos) << message;
  EXPECT_EQ(message.find("--capacity"), std::string::npos) << message;
  EXPECT_EQ(morsel_close(fine), MORSEL_OK);
}

}  // namespace
}  // namespace morsel::trouble
