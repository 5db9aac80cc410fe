// Export, import, and moves to another address: each system call fails in turn, and the process is
// killed at each in turn. What a close does that fails in part.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "image/image_copy.h"
#include "morsel/open/open_pool.h"
#include "morsel/pool/image_file_at.h"
#include "os/file/directory.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

// Set before main(), so that libpmem2 finds it whenever it looks.
const bool kGranularityIsForced = setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1) == 0;

constexpr char kMorsel[] = "m";
constexpr uint64_t kValue = 0x5eed;

// What is exported. kCoded: a snapshot morsel, with another codec than its own. kFile: a fine
// morsel of a directory pool; a directory under /dev/shm stands in for one on a DAX file system.
enum class Kind { kSnapshot, kCoded, kCarved, kFile };
std::string NameOf(Kind kind) {
  switch (kind) {
    case Kind::kSnapshot:
      return "Snapshot";
    case Kind::kCoded:
      return "Coded";
    case Kind::kCarved:
      return "Carved";
    case Kind::kFile:
      return "File";
  }
  return "";
}

class TransferFaultsTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    // Without io_uring every call goes through ScriptedCalls, which counts it.
    setenv("MORSEL_IO", "plain", 1);
    ASSERT_TRUE(kGranularityIsForced);
    fs::create_directory(exports_);
    const auto pool = Make(source_);
    Open(target_, os::KernelCalls(), MORSEL_CREATE);
    morsel_options options{};
    options.flags = MORSEL_CREATE | (fine() ? uint32_t{MORSEL_FINE} : 0);
    options.size_bytes = kSubtreeBytes;
    const Result<OpenMorsel*> m = pool->OpenMorselNamed(kMorsel, &options);
    ASSERT_TRUE(m) << LastError();
    auto* const value = static_cast<uint64_t*>(*(*m)->heap().Allocate(2 * sizeof kValue, 16));
    value[0] = kValue;
    value[1] = reinterpret_cast<uint64_t>(value);
    ASSERT_TRUE((*m)->SetRoot("value", value).ok()) << LastError();
    ASSERT_TRUE(pool->Close(*m, false).ok()) << LastError();
  }

  bool fine() const { return GetParam() == Kind::kCarved || GetParam() == Kind::kFile; }
  bool carved() const { return GetParam() == Kind::kCarved; }

  std::unique_ptr<OpenPool> Open(const std::string& path, os::SystemCalls& calls,
                                 uint32_t flags = 0) {
    morsel_pool_options options{};
    options.flags = flags;
    if (carved() && flags != 0) {
      options.flags |= MORSEL_CARVED;
      options.size_bytes = 8 * kMiB;
    }
    auto pool = OpenPool::Open(path.c_str(), &options, calls);
    EXPECT_TRUE(pool) << LastError();
    return std::move(*pool);
  }
  std::unique_ptr<OpenPool> Make(const std::string& path) {
    return Open(path, os::KernelCalls(), MORSEL_CREATE);
  }

  Status Export(OpenPool& pool) const {
    ExportRequest options;
    if (GetParam() == Kind::kCoded) options.codec = image::Codec::kZstd;
    return pool.Export(kMorsel, image_.c_str(), options);
  }
  Status Export(os::SystemCalls& calls = os::KernelCalls()) {
    return Export(*Open(source_, calls));
  }

  // Whether the target pool has the morsel. If it does, the morsel is whole.
  bool TargetHasIt() {
    const auto pool = Open(target_, os::KernelCalls());
    EXPECT_TRUE(
        pool->pool().Check([](const Finding& finding) { ADD_FAILURE() << finding.message; }).ok());
    const Result<OpenMorsel*> m = pool->OpenMorselNamed(kMorsel, nullptr);
    if (!m) {
      EXPECT_EQ(m.error(), Code::kNotFound) << LastError();
      return false;
    }
    const Result<void*> value = (*m)->Root("value");
    EXPECT_TRUE(value) << LastError();
    if (!value) return false;
    const auto* const words = static_cast<const uint64_t*>(*value);
    EXPECT_EQ(words[0], kValue);
    EXPECT_EQ(words[1], reinterpret_cast<uint64_t>(words));
    EXPECT_TRUE(pool->Close(*m, true).ok());
    return true;
  }
  uint64_t BaseInTarget() {
    const Result<morsel_info> info = Open(target_, os::KernelCalls())->Find(kMorsel);
    EXPECT_TRUE(info) << LastError();
    return info ? reinterpret_cast<uint64_t>(info->base) : 0;
  }
  bool ImageIsThere() const {
    if (!fs::exists(image_)) return false;
    EXPECT_TRUE(VerifyImage(os::KernelCalls(), image_, [](const char*) {}).ok()) << LastError();
    return true;
  }
  static int TemporariesIn(const std::string& directory) {
    int found = 0;
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path().filename().string().rfind(os::kTemporaryPrefix, 0) == 0) ++found;
    }
    return found;
  }
  void RemoveFromTarget() {
    const auto pool = Open(target_, os::KernelCalls());
    EXPECT_TRUE(pool->Remove(kMorsel).ok()) << LastError();
  }

  // Runs `work` in a child that is killed at its first call, then in one that is killed at its
  // second call, and so on. Calls `look` after each child.
  void KillAtEachCall(const std::function<void(os::ScriptedCalls&)>& work,
                      const std::function<void()>& look) {
    for (int call = 0;; ++call) {
      const pid_t child = fork();
      if (child == 0) {
        os::ScriptedCalls calls([call](const os::Call& now) {
          if (now.number == call) _exit(1);
          return 0;
        });
        work(calls);
        _exit(0);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
      SCOPED_TRACE("killed at call " + std::to_string(call));
      look();
      if (HasFailure() || WEXITSTATUS(status) == 0) {
        EXPECT_GT(call, 5);
        return;
      }
    }
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string source_ = scratch_.At("source");
  std::string target_ = scratch_.At("target");
  std::string exports_ = scratch_.At("exports");
  std::string image_ = exports_ + "/m.image";
};

INSTANTIATE_TEST_SUITE_P(All, TransferFaultsTest,
                         testing::Values(Kind::kSnapshot, Kind::kCoded, Kind::kCarved, Kind::kFile),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(TransferFaultsTest, ExportFailsWithoutLeavingFiles) {
  for (const int error : {EIO, ENOSPC, os::kShort}) {
    bool failed = true;
    for (int call = 0; failed; ++call) {
      SCOPED_TRACE("call " + std::to_string(call) + " fails with " + std::to_string(error));
      os::ScriptedCalls calls;
      const auto pool = Open(source_, calls);
      calls.Play(os::FailOnce(call, error));
      const Status status = Export(*pool);
      failed = calls.count() > call;
      calls.Heal();
      EXPECT_EQ(ImageIsThere(), status.ok());
      EXPECT_EQ(TemporariesIn(exports_), 0);
      fs::remove(image_);
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST_P(TransferFaultsTest, ImportFailsWithoutLeavingAMorsel) {
  ASSERT_TRUE(Export().ok()) << LastError();
  for (const int error : {EIO, ENOSPC, os::kShort}) {
    bool failed = true;
    for (int call = 0; failed; ++call) {
      SCOPED_TRACE("call " + std::to_string(call) + " fails with " + std::to_string(error));
      os::ScriptedCalls calls;
      auto pool = Open(target_, calls);
      calls.Play(os::FailOnce(call, error));
      const Status status = pool->Import(image_.c_str(), kMorsel, {}).status();
      failed = calls.count() > call;
      calls.Heal();
      pool.reset();
      EXPECT_EQ(TargetHasIt(), status.ok());
      EXPECT_EQ(carved() ? 0 : TemporariesIn(target_), 0);
      if (status.ok()) RemoveFromTarget();
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST_P(TransferFaultsTest, AMoveThatFailsLeavesTheMorselWhereItWas) {
  ASSERT_TRUE(Export().ok()) << LastError();
  ASSERT_TRUE(Open(target_, os::KernelCalls())->Import(image_.c_str(), kMorsel, {})) << LastError();
  for (const int error : {EIO, ENOSPC}) {
    bool failed = true;
    for (int call = 0; failed; ++call) {
      SCOPED_TRACE("call " + std::to_string(call) + " fails with " + std::to_string(error));
      const uint64_t before = BaseInTarget();
      os::ScriptedCalls calls;
      auto pool = Open(target_, calls);
      calls.Play(os::FailOnce(call, error));
      const Status status = pool->Rebase(kMorsel, {}).status();
      failed = calls.count() > call;
      calls.Heal();
      pool.reset();
      EXPECT_TRUE(TargetHasIt());
      // After a sync of the directory that failed it may be the one or the other.
      const bool is_known = !status.ok() && status.code() != Code::kIo;
      EXPECT_TRUE(!is_known || BaseInTarget() == before) << LastError();
      EXPECT_EQ(carved() ? 0 : TemporariesIn(target_), 0);
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST_P(TransferFaultsTest, AKilledMoveLeavesTheOldMorselOrTheNewOne) {
  ASSERT_TRUE(Export().ok()) << LastError();
  ASSERT_TRUE(Open(target_, os::KernelCalls())->Import(image_.c_str(), kMorsel, {})) << LastError();
  uint64_t before = BaseInTarget();
  int moves = 0;
  KillAtEachCall([&](os::ScriptedCalls& calls) { (void)Open(target_, calls)->Rebase(kMorsel, {}); },
                 [&] {
                   ASSERT_TRUE(TargetHasIt());
                   EXPECT_EQ(carved() ? 0 : TemporariesIn(target_), 0);
                   const uint64_t now = BaseInTarget();
                   if (now != before) ++moves;
                   before = now;
                 });
  EXPECT_GT(moves, 0);
}

TEST_P(TransferFaultsTest, AKilledExportLeavesATemporaryThatTheNextExportRemoves) {
  int temporaries = 0;
  KillAtEachCall([&](os::ScriptedCalls& calls) { (void)Export(calls); },
                 [&] {
                   temporaries = std::max(temporaries, TemporariesIn(exports_));
                   EXPECT_LE(TemporariesIn(exports_), 1);
                   if (ImageIsThere()) fs::remove(image_);
                 });
  EXPECT_EQ(temporaries, 1);
  ASSERT_TRUE(Export().ok()) << LastError();
  EXPECT_EQ(TemporariesIn(exports_), 0);
  EXPECT_TRUE(ImageIsThere());
}

TEST_P(TransferFaultsTest, AKilledImportLeavesTheWholeMorselOrNothing) {
  ASSERT_TRUE(Export().ok()) << LastError();
  bool had_it = false;
  KillAtEachCall(
      [&](os::ScriptedCalls& calls) {
        (void)Open(target_, calls)->Import(image_.c_str(), kMorsel, {});
      },
      [&] {
        had_it = TargetHasIt();
        EXPECT_EQ(carved() ? 0 : TemporariesIn(target_), 0);
        if (had_it) RemoveFromTarget();
      });
  EXPECT_TRUE(had_it);
}

// The features that a reader of the image must know, by slot.
std::vector<uint64_t> FeaturesOf(const std::string& path) {
  std::vector<uint64_t> features;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  for (const off_t slot : {0, 1 << 20}) {
    EXPECT_EQ(pread(file, &features.emplace_back(), 8, slot + 24), 8);
  }
  close(file);
  return features;
}

// The last checkpoint is in the image's log, and there it is durable. Close puts it into its place;
// where that fails, the next open finds it in the log, and its close tries again.
TEST(CloseTest, OneThatCannotSettleSucceeds) {
  setenv("MORSEL_LOG", "always", 1);
  const os::Scratch scratch = os::Scratch::OnDisk();
  const std::string path = scratch.path() + "/pool";
  uint64_t* value = nullptr;
  for (const int round : {0, 1, 2}) {
    os::ScriptedCalls calls;
    morsel_pool_options pool_options{};
    pool_options.flags = MORSEL_CREATE;
    const auto pool = OpenPool::Open(path.c_str(), &pool_options, calls);
    ASSERT_TRUE(pool) << LastError();
    morsel_options options{};
    options.flags = MORSEL_CREATE;
    options.size_bytes = kSubtreeBytes;
    const Result<OpenMorsel*> m = (*pool)->OpenMorselNamed(kMorsel, &options);
    ASSERT_TRUE(m) << LastError();
    if (round == 0) {
      value = static_cast<uint64_t*>(*(*m)->heap().Allocate(sizeof kValue, 16));
      *value = 0;
    }
    ASSERT_EQ(*value, static_cast<uint64_t>(round));
    // The first one settles what was found, the second one makes a log.
    for (int checkpoint = 0; checkpoint < 2; ++checkpoint) {
      *value = static_cast<uint64_t>(round) + 100;
      ASSERT_TRUE((*m)->Checkpoint().ok()) << LastError();
      *value = static_cast<uint64_t>(round) + 1;
      ASSERT_TRUE((*m)->Checkpoint().ok()) << LastError();
    }
    EXPECT_GT(calls.count(os::Call::kWriteSynced), 0U);
    if (round < 2) calls.Play(os::FailEach(os::Call::kWrite, ENOSPC));
    EXPECT_TRUE((*pool)->Close(*m, false).ok()) << LastError();
    calls.Heal();
    const uint64_t features = round < 2 ? 1 : 0;
    EXPECT_EQ(FeaturesOf(path + "/" + kMorsel), (std::vector<uint64_t>{features, features}));
  }
  unsetenv("MORSEL_LOG");
}

// Whoever wrote the image chose the name that it carries. One that no morsel may have counts as
// none.
TEST(CarriedNameTest, OneThatNoMorselMayHaveIsNotTaken) {
  const os::Scratch scratch = os::Scratch::OnDisk();
  morsel_pool_options pool_options{};
  pool_options.flags = MORSEL_CREATE;
  const auto pool =
      OpenPool::Open((scratch.path() + "/pool").c_str(), &pool_options, os::KernelCalls());
  ASSERT_TRUE(pool) << LastError();
  morsel_options options{};
  options.flags = MORSEL_CREATE;
  options.size_bytes = kSubtreeBytes;
  const Result<OpenMorsel*> m = (*pool)->OpenMorselNamed(kMorsel, &options);
  ASSERT_TRUE(m) << LastError();
  ASSERT_TRUE((*pool)->Close(*m, false).ok()) << LastError();
  const std::string exported = scratch.path() + "/exported";
  ASSERT_TRUE((*pool)->Export(kMorsel, exported.c_str()).ok()) << LastError();
  ASSERT_TRUE((*pool)->Remove(kMorsel).ok()) << LastError();

  const auto image = OpenImageAt(os::KernelCalls(), exported);
  ASSERT_TRUE(image) << LastError();
  const auto directory = os::Directory::Open(os::KernelCalls(), scratch.path());
  ASSERT_TRUE(directory) << LastError();
  for (const char* const carried : {"../outside", "..", ".", "a/b", "a\nb", ".morsel-pool", ""}) {
    SCOPED_TRACE(carried);
    const char* const kFile = "of-the-file";
    ASSERT_TRUE(image::CopyInto(*image, *directory, kFile, {.carried_name = carried}).ok())
        << LastError();
    EXPECT_TRUE((*pool)->Import((scratch.path() + "/" + kFile).c_str(), nullptr, {}))
        << LastError();
    EXPECT_TRUE((*pool)->Find(kFile)) << LastError();
    EXPECT_TRUE((*pool)->Remove(kFile).ok()) << LastError();
    EXPECT_FALSE(fs::exists(scratch.path() + "/outside"));
    fs::remove(scratch.path() + "/" + kFile);
  }
}

}  // namespace
}  // namespace morsel
