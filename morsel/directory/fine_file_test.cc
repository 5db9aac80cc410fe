// Fine morsels in directory pools, on files that stand in for those of a DAX file system.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"
#include "morsel/carved/carved_pool.h"
#include "morsel/carved/carved_pool_superblock.h"
#include "morsel/carved/carved_pool_testing.h"
#include "morsel/directory/directory_pool_testing.h"
#include "morsel/pool/pool_layout.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

class FineFileTest : public DirectoryPoolFixture {
 protected:
  FineFileTest() : DirectoryPoolFixture(os::Scratch::InMemory) {}
  void SetUp() override { Reopen(); }
  void Reopen(bool read_only = false) {
    OpenPool({.create = true, .read_only = read_only}, calls_);
  }
  static CatalogRecord Wanted(const std::string& name, uint64_t size_bytes = 2 * kSubtreeBytes) {
    CatalogRecord wanted = DirectoryPoolFixture::Wanted(name, size_bytes);
    wanted.contract = Contract::kFine;
    wanted.mode = 0640;
    return wanted;
  }
  uint64_t SpaceOf(const std::string& name) const {
    struct stat status;
    EXPECT_EQ(stat((path_ + "/" + name).c_str(), &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }

  os::ScriptedCalls calls_;
};

bool Says(const char* words) { return std::strstr(LastError(), words) != nullptr; }

TEST_F(FineFileTest, OpensAtItsAddressWithWhatWasPersisted) {
  std::unique_ptr<Backing> made = Create(Wanted("a"));
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->granularity_bytes(), kLineBytes);
  WordsOf(*made)[100] = 7;
  made->persist().Range(WordsOf(*made) + 100, sizeof(uint64_t));
  const uint64_t base = made->record().base;
  made.reset();
  Reopen();
  const Result<CatalogRecord> found = pool_->Find("a");
  ASSERT_TRUE(found.has_value()) << LastError();
  EXPECT_EQ(found->base, base);
  EXPECT_EQ(found->mode, 0640u);
  EXPECT_EQ(found->contract, Contract::kFine);
  const std::unique_ptr<Backing> opened = OpenMorsel("a");
  ASSERT_NE(opened, nullptr);
  EXPECT_EQ(WordsOf(*opened)[0], base);
  EXPECT_EQ(WordsOf(*opened)[100], 7u);
  EXPECT_EQ(Check().size(), 0u);
}

TEST_F(FineFileTest, TheFileIsSyncedThenNamedThenTheNameIsSynced) {
  calls_.Log({os::Call::kSync, os::Call::kRename});
  ASSERT_NE(Create(Wanted("a")), nullptr);
  EXPECT_EQ(calls_.log(), (std::vector<std::string>{"sync file", "rename", "sync directory p"}));
}

TEST_F(FineFileTest, CreateWithoutSpaceLeavesNothing) {
  calls_.Play(os::FailEach(os::Call::kAllocate, ENOSPC));
  EXPECT_EQ(TryCreate(Wanted("a")).error(), Code::kNoSpace);
  calls_.Heal();
  EXPECT_TRUE(pool_->List()->empty());
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(name == ".morsel-pool" || name == ".morsel-lock") << name;
  }
}

TEST_F(FineFileTest, TakesSpaceForItsSizeAndNotForItsCapacity) {
  const std::unique_ptr<Backing> morsel = Create(Wanted("a"));
  ASSERT_NE(morsel, nullptr);
  const uint64_t before = SpaceOf("a");
  EXPECT_LT(before, 4 * kSubtreeBytes);
  ASSERT_TRUE(morsel->Resize(8 * kSubtreeBytes).ok()) << LastError();
  EXPECT_EQ(SpaceOf("a"), before + 6 * kSubtreeBytes);
  EXPECT_EQ(pool_->Find("a")->size_bytes, 8 * kSubtreeBytes);  // while it is open
  EXPECT_EQ(WordsOf(*morsel)[8 * kSubtreeBytes / 8 - 1], 0u);
  ASSERT_TRUE(morsel->Resize(2 * kSubtreeBytes).ok()) << LastError();
  EXPECT_EQ(SpaceOf("a"), before);
}

TEST_F(FineFileTest, ResizeWithoutSpaceChangesNothing) {
  const std::unique_ptr<Backing> morsel = Create(Wanted("a"));
  ASSERT_NE(morsel, nullptr);
  calls_.Play(os::FailEach(os::Call::kAllocate, ENOSPC));
  EXPECT_EQ(morsel->Resize(8 * kSubtreeBytes).code(), Code::kNoSpace);
  calls_.Heal();
  EXPECT_EQ(morsel->record().size_bytes, 2 * kSubtreeBytes);
  EXPECT_EQ(pool_->Find("a")->size_bytes, 2 * kSubtreeBytes);
  EXPECT_TRUE(morsel->Resize(8 * kSubtreeBytes).ok()) << LastError();
}

TEST_F(FineFileTest, ACopyOpensUnderItsNewNameUnlessTheOriginalIsOpen) {
  std::unique_ptr<Backing> made = Create(Wanted("a"));
  fs::copy_file(path_ + "/a", path_ + "/b");
  EXPECT_EQ(pool_->Open("b", true).error(), Code::kAddressTaken);
  EXPECT_TRUE(Says("morsel 'a'")) << LastError();
  made.reset();
  const std::unique_ptr<Backing> copy = OpenMorsel("b");
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(copy->record().name, "b");
  const std::vector<Finding> findings = Check();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_NE(findings[0].message.find("copy of morsel 'a'"), std::string::npos);
}

TEST_F(FineFileTest, LivesBesideSnapshotMorsels) {
  ASSERT_NE(Create(Wanted("b")), nullptr);
  CatalogRecord snapshot = Wanted("a");
  snapshot.contract = Contract::kSnapshot;
  ASSERT_NE(Create(snapshot), nullptr);
  const Result<std::vector<CatalogRecord>> records = pool_->List();
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(records->at(0).contract, Contract::kSnapshot);
  EXPECT_EQ(records->at(1).contract, Contract::kFine);
  EXPECT_EQ(TryCreate(Wanted("a")).error(), Code::kExists);
  ASSERT_TRUE(pool_->Remove("b").ok()) << LastError();
  EXPECT_EQ(pool_->List()->size(), 1u);
}

TEST_F(FineFileTest, AnOpenForReadingCannotChangeIt) {
  ASSERT_NE(Create(Wanted("a")), nullptr);
  Reopen(/*read_only=*/true);
  const std::unique_ptr<Backing> morsel = OpenMorsel("a", /*read_only=*/true);
  ASSERT_NE(morsel, nullptr);
  EXPECT_EQ(WordsOf(*morsel)[0], morsel->record().base);
  EXPECT_EQ(morsel->Resize(4 * kSubtreeBytes).code(), Code::kPermission);
  EXPECT_DEATH(WordsOf(*morsel)[0] = 1, "");
}

TEST_F(FineFileTest, IsNotTakenForACarvedPoolNorTheOtherWayRound) {
  ASSERT_NE(Create(Wanted("a")), nullptr);
  EXPECT_EQ(CarvedPool::Open(path_ + "/a", true, os::KernelCalls()).error(),
            Code::kInvalidArgument);
  EXPECT_TRUE(Says("open the directory")) << LastError();
  ASSERT_TRUE(
      CarvedPool::Create(path_ + "/pool", 8 * kSubtreeBytes, 0600, os::KernelCalls()).has_value())
      << LastError();
  EXPECT_EQ(pool_->List()->size(), 1u);
  EXPECT_EQ(pool_->Open("pool", true).error(), Code::kCorrupt);
  EXPECT_EQ(pool_->Remove("pool").code(), Code::kCorrupt);
}

TEST_F(FineFileTest, DamagedMetadataAreNamed) {
  ASSERT_NE(Create(Wanted("a")), nullptr);
  const int file = open((path_ + "/a").c_str(), O_RDWR | O_CLOEXEC);
  PoolSuperblock superblock;
  ASSERT_EQ(pread(file, &superblock, sizeof superblock, 0), ssize_t{sizeof superblock});
  const uint64_t wrong = ~uint64_t{0};
  const off_t state = static_cast<off_t>(superblock.catalog_offset + offsetof(CatalogSlot, status));
  ASSERT_EQ(pwrite(file, &wrong, sizeof wrong, state), ssize_t{sizeof wrong});
  close(file);
  const std::vector<Finding> findings = Check();
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].subject, "morsel 'a'");
  EXPECT_EQ(pool_->Open("a", false).error(), Code::kCorrupt);
}

TEST_F(FineFileTest, AFileThatWasCutOffIsDamagedHoweverLittleIsLeft) {
  ASSERT_NE(Create(Wanted("a")), nullptr);
  for (const off_t size_bytes : {100'000, 8191, 4097, 4096, 100, 8}) {
    SCOPED_TRACE(size_bytes);
    ASSERT_EQ(truncate((path_ + "/a").c_str(), size_bytes), 0);
    const std::vector<Finding> findings = Check();
    ASSERT_FALSE(findings.empty());
    EXPECT_EQ(findings[0].subject, "morsel 'a'");
    EXPECT_EQ(pool_->Open("a", false).error(), Code::kCorrupt);
  }
}

TEST_F(FineFileTest, AChildThatClosedAfterAForkLeavesItAsItIs) {
  const std::unique_ptr<Backing> morsel = Create(Wanted("a"));
  ASSERT_NE(morsel, nullptr);
  const pid_t child = fork();
  if (child == 0) {
    pool_->CloseAfterFork();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(morsel->Resize(4 * kSubtreeBytes).ok()) << LastError();
}

// A sanitizer has a shadow of all memory that is looked at: there the file claims less, and what
// the process takes is not asked.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kClaimedBytes = uint64_t{1} << 40;
constexpr long kKilobytesMax = 1L << 40;
#else
constexpr uint64_t kClaimedBytes = uint64_t{1} << 50;
constexpr long kKilobytesMax = 128 * 1024;
#endif

// Somebody puts two superblocks, and holes behind them, into a directory that others list. By them
// the file is a morsel of 1 PiB.
TEST_F(FineFileTest, WhatIsAHoleTakesNoMemory) {
  const auto plan = PlanSingle(kClaimedBytes, kDefaultWindow, Id{1}, "a test");
  ASSERT_TRUE(plan.has_value()) << LastError();
  std::vector<char> bytes(kSuperblocks * kSuperblockBytes);
  WriteSuperblocks(bytes.data(), *plan, pmem::VolatilePersist());
  std::ofstream(path_ + "/huge", std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_EQ(truncate((path_ + "/huge").c_str(), static_cast<off_t>((*plan)->size_bytes)), 0);
  const pid_t child = fork();
  if (child == 0) {
    const bool listed = pool_->List().has_value() && TryCreate(Wanted("other")).has_value();
    const size_t found = Check().size();
    rusage used = {};
    getrusage(RUSAGE_SELF, &used);
    _exit(!listed ? 1 : found == 0 ? 2 : used.ru_maxrss > kKilobytesMax ? 3 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// They have good checksums, and no pool that this library makes has so much beside the morsels.
TEST_F(FineFileTest, MoreMetadataThanAFileNeedsIsCorrupt) {
  const auto plan = PlanSingle(64 * kSubtreeBytes, kDefaultWindow, Id{1}, "a test");
  ASSERT_TRUE(plan.has_value()) << LastError();
  for (const int which : {0, 1, 2}) {
    PoolSuperblock wrong = **plan;
    wrong.size_bytes = uint64_t{1} << 49;
    if (which == 0) wrong.slot_count = kSlotsMax;
    if (which == 1) wrong.map_offset = wrong.metadata_bytes = wrong.data_offset = 1u << 30;
    if (which == 2) wrong.metadata_bytes = wrong.data_offset = 1u << 30;
    wrong.checksum = 0;
    wrong.checksum = Checksum64(&wrong, sizeof wrong);
    std::vector<char> bytes(kSuperblocks * kSuperblockBytes);
    WriteSuperblocks(bytes.data(), wrong, pmem::VolatilePersist());
    EXPECT_EQ(ChooseSuperblock(bytes.data(), wrong.size_bytes, "a test").error(), Code::kCorrupt);
  }
}

}  // namespace
}  // namespace morsel
