// The progress that exports, imports, verify() and salvage() report: each step once, up to its end.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint32_t kLoading = MORSEL_LOADING;
constexpr uint32_t kStoring = MORSEL_STORING;
constexpr uint32_t kVerifying = MORSEL_VERIFYING;
using Steps = std::vector<uint32_t>;

struct Told {
  std::thread::id thread = std::this_thread::get_id();
  std::vector<morsel_progress> calls;

  static void Remember(const morsel_progress* now, void* told) {
    auto* const self = static_cast<Told*>(told);
    EXPECT_EQ(std::this_thread::get_id(), self->thread);
    self->calls.push_back(*now);
  }
  /// The activities that were told, each from 0 up to its end; forgets them.
  Steps Whole() {
    Steps steps;
    uint64_t last = 0;
    uint64_t total = 0;
    for (const morsel_progress& now : calls) {
      if (now.done_bytes == 0) {
        EXPECT_EQ(last, total) << "one that did not come to its end";
        steps.push_back(now.activity);
        total = now.total_bytes;
        last = 0;
      }
      EXPECT_FALSE(steps.empty()) << "does not begin at 0";
      EXPECT_EQ(now.activity, steps.empty() ? 0 : steps.back());
      EXPECT_EQ(now.total_bytes, total);
      EXPECT_GE(now.done_bytes, last);
      last = now.done_bytes;
    }
    EXPECT_EQ(last, total);
    calls.clear();
    return steps;
  }
};

// Under /dev/shm a directory stands in for one on a DAX file system, too.
enum class Kind { kSnapshot, kCarved, kFile };
std::string NameOf(Kind kind) {
  return kind == Kind::kSnapshot ? "Snapshot" : kind == Kind::kCarved ? "Carved" : "File";
}

class TransferProgressTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
    morsel::Pool pool = Open("one");
    auto m = morsel::Morsel::open(pool, "m",
                                  {.flags = MORSEL_CREATE | (fine() ? uint32_t{MORSEL_FINE} : 0),
                                   .capacity_bytes = 64 * kMiB});
    ASSERT_TRUE(m) << morsel::last_error();
    std::memset(m->malloc(9 * kMiB), 7, 9 * kMiB);
    ASSERT_TRUE(m->close().ok()) << morsel::last_error();
    morsel::set_progress(Told::Remember, &told_);
  }
  void TearDown() override { morsel::set_progress(nullptr, nullptr); }

  static bool fine() { return GetParam() != Kind::kSnapshot; }

  morsel::Pool Open(const std::string& name) {
    const bool makes_it = GetParam() == Kind::kCarved && !fs::exists(scratch_.At(name));
    const uint32_t carved = makes_it ? uint32_t{MORSEL_CARVED} : 0;
    auto pool = morsel::Pool::open(scratch_.At(name), {.flags = MORSEL_CREATE | carved,
                                                       .size_bytes = makes_it ? 64 * kMiB : 0});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }
  // In the last leaf: behind what an open needs.
  static void Damage(const std::string& path) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(8 * kMiB));
    file.put('\x5a').put('\xa5');
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  std::string file_ = scratch_.At("m.image");
  Told told_;
};
INSTANTIATE_TEST_SUITE_P(All, TransferProgressTest,
                         testing::Values(Kind::kSnapshot, Kind::kCarved, Kind::kFile),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(TransferProgressTest, ReportsEachStepToItsEnd) {
  morsel::Pool pool = Open("one");
  ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
  EXPECT_EQ(told_.Whole(), fine() ? Steps({kStoring}) : Steps({kVerifying, kStoring}));
  ASSERT_TRUE(pool.export_to("m", file_ + ".lz4", MORSEL_CODEC_LZ4).ok()) << morsel::last_error();
  EXPECT_EQ(told_.Whole(), Steps({kStoring}));
  {
    auto m = morsel::Morsel::open(pool, "m");
    ASSERT_TRUE(m) << morsel::last_error();
    EXPECT_EQ(told_.Whole(), Steps()) << "that of opening is the morsel's own";
    ASSERT_TRUE(pool.export_to("m", file_ + ".open").ok()) << morsel::last_error();
    EXPECT_EQ(told_.Whole(), fine() ? Steps({kStoring}) : Steps({kVerifying, kStoring}));
    ASSERT_TRUE(m->discard().ok());
  }
  morsel::Pool other = Open("other");
  for (const std::string& image : {file_, file_ + ".lz4"}) {
    ASSERT_TRUE(other.import_from(image, "n").ok()) << morsel::last_error();
    EXPECT_EQ(told_.Whole(), fine() ? Steps({kLoading}) : Steps({kVerifying, kStoring}));
    ASSERT_TRUE(other.remove("n").ok()) << morsel::last_error();
    ASSERT_TRUE(morsel::verify(image).ok()) << morsel::last_error();
    EXPECT_EQ(told_.Whole(), Steps({kVerifying}));
  }
  morsel::set_progress(nullptr, nullptr);
  ASSERT_TRUE(morsel::verify(file_).ok()) << morsel::last_error();
  EXPECT_TRUE(told_.calls.empty());
}

TEST_P(TransferProgressTest, ReportsSalvagingToItsEnd) {
  {
    morsel::Pool pool = Open("one");
    ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
    told_.calls.clear();
  }
  Damage(file_);
  std::vector<std::string> damages;
  ASSERT_TRUE(morsel::salvage(file_, "", &damages).ok()) << morsel::last_error();
  EXPECT_EQ(damages.size(), 1u);
  EXPECT_EQ(told_.Whole(), Steps({kVerifying}));
  ASSERT_TRUE(morsel::salvage(file_, file_ + ".rest", &damages).ok()) << morsel::last_error();
  EXPECT_EQ(told_.Whole(), Steps({kStoring}));
  if (fine()) return;
  fs::copy_file(file_, scratch_.At("one/m"), fs::copy_options::overwrite_existing);
  morsel::Pool pool = Open("one");
  const auto m = morsel::Morsel::open(pool, "m",
                                      {.flags = MORSEL_READ_ONLY | MORSEL_SALVAGE,
                                       .progress = Told::Remember,
                                       .progress_context = &told_});
  ASSERT_TRUE(m) << morsel::last_error();
  EXPECT_EQ(told_.Whole(), Steps({kLoading}));
}

}  // namespace
