#include "morsel/check/check.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "alloc/heap/layout/heap_layout.h"
#include "base/error.h"
#include "base/units.h"
#include "morsel/open/open_pool.h"
#include "morsel/roots/root_layout.h"
#include "os/testing/scratch_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

// Compares piece by piece, because whole files are expensive under a sanitizer.
bool HasBytes(const fs::path& path, const std::string& bytes) {
  if (fs::file_size(path) != bytes.size()) return false;
  std::ifstream file(path, std::ios::binary);
  char piece[64 * kKiB];
  for (size_t at = 0; at < bytes.size(); at += sizeof piece) {
    const size_t length = std::min(sizeof piece, bytes.size() - at);
    file.read(piece, static_cast<std::streamsize>(length));
    if (!file || std::memcmp(piece, &bytes[at], length) != 0) return false;
  }
  return true;
}

void Overwrite(const fs::path& path, uint64_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.flush()) << path;
}

// A pool of either kind in its own folder. /dev/shm stands in for persistent memory.
class CheckTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1); }

  bool carved() const { return GetParam(); }
  // The file that has the bytes of the morsel.
  fs::path FileOf(const std::string& name) const {
    return carved() ? fs::path(path_) : fs::path(path_) / name;
  }

  void Make() {
    morsel_pool_options options{};
    options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    options.mode = carved() ? 0600 : 0700;
    if (carved()) {
      options.flags |= MORSEL_CARVED;
      options.size_bytes = 8 * kMiB;
    }
    Open(&options);
  }
  void OpenReadOnly() {
    morsel_pool_options options{};
    options.flags = MORSEL_READ_ONLY;
    Open(&options);
  }
  void Open(const morsel_pool_options* options) {
    pool_.reset();
    auto pool = OpenPool::Open(path_.c_str(), options, os::KernelCalls());
    ASSERT_TRUE(pool.has_value()) << LastError();
    pool_ = std::move(*pool);
  }
  OpenMorsel* Create(const std::string& name) {
    morsel_options options{};
    options.flags = MORSEL_CREATE;
    if (carved()) options.flags |= MORSEL_FINE;
    options.size_bytes = 2 * kMiB;
    options.capacity_bytes = 64 * kMiB;
    const Result<OpenMorsel*> opened = pool_->OpenMorselNamed(name.c_str(), &options);
    EXPECT_TRUE(opened.has_value()) << LastError();
    return opened ? *opened : nullptr;
  }
  // Creates a morsel with small blocks, a large one and two roots, and closes it. Returns its live
  // bytes.
  uint64_t Fill(const std::string& name) {
    OpenMorsel* const morsel = Create(name);
    void* small = nullptr;
    for (int i = 0; i < 300; ++i) small = morsel->heap().Allocate(64, 16).value();
    void* const large = morsel->heap().Allocate(300'000, 16).value();
    std::memset(small, 1, 64);
    EXPECT_TRUE(morsel->SetRoot("small", small).ok()) << LastError();
    EXPECT_TRUE(morsel->SetRoot("large", large).ok()) << LastError();
    const uint64_t live_bytes = morsel->heap().StopAndRelease().LiveBytes().value();
    EXPECT_TRUE(pool_->Close(morsel, false).ok()) << LastError();
    return live_bytes;
  }

  Result<CheckSummary> Check(const std::string& only = "") {
    findings_.clear();
    return CheckPool(pool_->pool(), only, [this](const Finding& f) { findings_.push_back(f); });
  }
  bool Found(const std::string& subject, const std::string& words) const {
    for (const Finding& finding : findings_) {
      const bool is_it = finding.subject.find(subject) != std::string::npos;
      if (is_it && finding.message.find(words) != std::string::npos) return true;
    }
    return false;
  }
  std::string AllFound() const {
    std::string all;
    for (const Finding& finding : findings_) all += finding.subject + ": " + finding.message + "\n";
    return all;
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string path_ = scratch_.At("pool");
  std::unique_ptr<OpenPool> pool_;
  std::vector<Finding> findings_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, CheckTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

TEST_P(CheckTest, ACleanPoolHasNoFindingsAndItsCountsAreRight) {
  Make();
  const uint64_t live_bytes = Fill("a");
  Fill("b");
  OpenReadOnly();
  Result<CheckSummary> all = Check();
  ASSERT_TRUE(all.has_value()) << LastError();
  EXPECT_EQ(AllFound(), "");
  EXPECT_EQ(all->damages, 0u);
  EXPECT_EQ(all->obstacle, Code::kOk);
  EXPECT_EQ(all->morsels, 2u);
  EXPECT_EQ(all->roots, 4u);
  EXPECT_EQ(all->live_bytes, 2 * live_bytes);
  Result<CheckSummary> one = Check("b");
  ASSERT_TRUE(one.has_value()) << LastError();
  EXPECT_EQ(one->morsels, 1u);
  EXPECT_EQ(one->roots, 2u);
}

TEST_P(CheckTest, AMissingMorselOrAnInvalidNameIsAnError) {
  Make();
  EXPECT_EQ(Check("nothing").error(), Code::kNotFound);
  EXPECT_EQ(Check("a/b").error(), Code::kInvalidArgument);
}

TEST_P(CheckTest, ARootWhoseObjectIsFreedIsFound) {
  Make();
  OpenMorsel* const morsel = Create("a");
  void* const object = morsel->heap().Allocate(64, 16).value();
  ASSERT_TRUE(morsel->SetRoot("lost", object).ok());
  morsel->heap().Free(object);
  ASSERT_TRUE(pool_->Close(morsel, false).ok()) << LastError();
  const Result<CheckSummary> summary = Check();
  ASSERT_TRUE(summary.has_value()) << LastError();
  EXPECT_EQ(summary->damages, 1u) << AllFound();
  EXPECT_TRUE(Found("morsel 'a'", "root 'lost'")) << AllFound();
  EXPECT_TRUE(Found("morsel 'a'", "where no block is allocated")) << AllFound();
}

TEST_P(CheckTest, ACheckOfOneMorselReportsNoDamageOfAnother) {
  Make();
  OpenMorsel* const morsel = Create("a");
  void* const object = morsel->heap().Allocate(64, 16).value();
  ASSERT_TRUE(morsel->SetRoot("lost", object).ok());
  morsel->heap().Free(object);
  ASSERT_TRUE(pool_->Close(morsel, false).ok());
  Fill("b");
  ASSERT_EQ(Check("b")->damages, 0u) << AllFound();
  EXPECT_EQ(Check("a")->damages, 1u) << AllFound();
}

TEST_P(CheckTest, ATakenAddressRangeIsAnObstacleAndNoDamage) {
  Make();
  Fill("a");
  const CatalogRecord record = pool_->pool().Find("a").value();
  void* const base = reinterpret_cast<void*>(record.base);
  ASSERT_EQ(
      mmap(base, kPageBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
      base);
  const Result<CheckSummary> summary = Check();
  munmap(base, kPageBytes);
  ASSERT_TRUE(summary.has_value()) << LastError();
  EXPECT_EQ(summary->damages, 0u) << AllFound();
  EXPECT_EQ(summary->obstacle, Code::kAddressTaken);
  EXPECT_EQ(summary->morsels, 0u);
  EXPECT_TRUE(Found("morsel 'a'", "is taken in this process by")) << AllFound();
}

// Returns the offset in a carved pool's file where the morsel's heap begins.
uint64_t HeapOffset(const std::string& bytes) {
  for (uint64_t offset = 0; offset < bytes.size(); offset += kSubtreeBytes) {
    if (std::memcmp(&bytes[offset], &alloc::kHeapMagic, sizeof alloc::kHeapMagic) == 0) {
      return offset;
    }
  }
  return 0;
}

class DirectoryCheckTest : public CheckTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, DirectoryCheckTest, testing::Values(false));

// The other one leads to the same. What a power cut may have left is told, and no damage.
TEST_P(DirectoryCheckTest, ADamagedSuperblockIsToldWhereTheOtherIsWhole) {
  Make();
  Fill("a");
  ASSERT_TRUE(pool_->Close(Create("a"), false).ok()) << LastError();
  const std::string whole = os::BytesOf(FileOf("a"));
  for (const auto& [offset, damages] : {std::pair{3000, 1u}, {1300, 0u}}) {
    for (const int slot : {0, 1 << 20}) {
      const auto at = static_cast<size_t>(slot + offset);
      Overwrite(FileOf("a"), at, std::string(1, static_cast<char>(whole[at] ^ 1)));
      const Result<CheckSummary> summary = Check();
      ASSERT_TRUE(summary.has_value()) << LastError();
      EXPECT_EQ(summary->damages, damages) << AllFound();
      EXPECT_EQ(summary->morsels, 1u);
      EXPECT_TRUE(Found("morsel 'a'", "no checkpoint is lost unless")) << AllFound();
      Overwrite(FileOf("a"), at, whole.substr(at, 1));
    }
  }
  EXPECT_EQ(Check()->damages, 0u);
  EXPECT_TRUE(findings_.empty()) << AllFound();
}

class CarvedCheckTest : public CheckTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, CarvedCheckTest, testing::Values(true));

TEST_P(CarvedCheckTest, ImpossibleRootsAreFound) {
  Make();
  Fill("a");
  pool_.reset();
  const std::string bytes = os::BytesOf(path_);
  const uint64_t heap = HeapOffset(bytes);
  const auto* const header = reinterpret_cast<const alloc::HeapHeader*>(&bytes[heap]);
  const uint64_t* const word = std::find_if(std::begin(header->roots), std::end(header->roots),
                                            [](uint64_t raw) { return raw != 0; });
  ASSERT_NE(word, std::end(header->roots));
  const uint64_t object = 0x1000;
  Overwrite(path_, heap + RootWord{*word}.offset() + offsetof(RootRecord, object),
            {reinterpret_cast<const char*>(&object), sizeof object});
  OpenReadOnly();
  ASSERT_TRUE(Check().has_value()) << LastError();
  EXPECT_TRUE(Found("morsel 'a'", "leads to 0x1000, outside of the morsel")) << AllFound();
  pool_.reset();
  const uint64_t nowhere = 24;
  Overwrite(path_, heap + offsetof(alloc::HeapHeader, roots),
            {reinterpret_cast<const char*>(&nowhere), sizeof nowhere});
  OpenReadOnly();
  ASSERT_TRUE(Check().has_value()) << LastError();
  EXPECT_TRUE(Found("morsel 'a'", "a word leads to where no node can be")) << AllFound();
}

TEST_P(CarvedCheckTest, AHeapWithAnotherMorselsIdIsFound) {
  Make();
  Fill("a");
  pool_.reset();
  const uint64_t heap = HeapOffset(os::BytesOf(path_));
  Overwrite(path_, heap + offsetof(alloc::HeapHeader, id), "another morsel's");
  OpenReadOnly();
  const Result<CheckSummary> summary = Check();
  ASSERT_TRUE(summary.has_value()) << LastError();
  EXPECT_GT(summary->damages, 0u);
  EXPECT_EQ(summary->morsels, 0u);
  EXPECT_TRUE(Found("morsel 'a'", "")) << AllFound();
}

// A process that writes the pool, and in it the morsel "a", until it is told to end.
class Writer {
 public:
  explicit Writer(const std::string& path) {
    int ready[2];
    int end[2];
    EXPECT_EQ(pipe(ready) + pipe(end), 0);
    process_ = fork();
    if (process_ == 0) {
      close(end[1]);
      auto pool = OpenPool::Open(path.c_str(), nullptr, os::KernelCalls());
      const bool is_open = pool && (*pool)->OpenMorselNamed("a", nullptr).has_value();
      char byte = 0;
      (void)!write(ready[1], is_open ? "o" : "f", 1);
      (void)!read(end[0], &byte, 1);
      _exit(0);
    }
    close(ready[1]);
    close(end[0]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'o');
    close(ready[0]);
    end_ = end[1];
  }
  ~Writer() {
    close(end_);
    EXPECT_EQ(waitpid(process_, nullptr, 0), process_);
  }

 private:
  pid_t process_;
  int end_;
};

// The memory of a fine morsel that another process writes changes while it is looked at. What does
// not fit together then (here it is put there by the test) is not told as damage.
TEST_P(CarvedCheckTest, WhatAnotherProcessWritesIsNotToldAsDamage) {
  Make();
  Fill("a");
  Fill("b");
  pool_.reset();
  const uint64_t heap = HeapOffset(os::BytesOf(path_));
  {
    const Writer writer(path_);
    OpenReadOnly();
    const Result<CheckSummary> sound = Check();
    ASSERT_TRUE(sound.has_value()) << LastError();
    EXPECT_EQ(AllFound(), "");
    EXPECT_EQ(sound->morsels, 2u);
    Overwrite(path_, heap + offsetof(alloc::HeapHeader, id), "another morsel's");
    const Result<CheckSummary> summary = Check();
    ASSERT_TRUE(summary.has_value()) << LastError();
    EXPECT_EQ(summary->damages, 0u) << AllFound();
    EXPECT_EQ(summary->obstacle, Code::kBusy);
    EXPECT_TRUE(Found("morsel 'a'", "another process writes it")) << AllFound();
  }
  const Result<CheckSummary> summary = Check();
  ASSERT_TRUE(summary.has_value()) << LastError();
  EXPECT_EQ(summary->damages, 1u) << AllFound();
  EXPECT_EQ(summary->obstacle, Code::kOk);
}

// Returns the offsets of the words that are not zero.
std::vector<uint64_t> WordsThatAreNotZero(const std::string& bytes) {
  std::vector<uint64_t> offsets;
  for (uint64_t offset = 0; offset + 8 <= bytes.size(); offset += 8) {
    uint64_t word = 0;
    std::memcpy(&word, &bytes[offset], sizeof word);
    if (word != 0) offsets.push_back(offset);
  }
  return offsets;
}

// Wherever bits flip, a check ends by itself and changes nothing. The tests of the layers below
// show that it finds what matters.
TEST_P(CheckTest, NoDamageMakesACheckCrashOrWrite) {
  Make();
  Fill("a");
  pool_.reset();
  const fs::path file = FileOf("a");
  std::string bytes = os::BytesOf(file);
  const std::vector<uint64_t> telling = WordsThatAreNotZero(bytes);
  const unsigned seed = std::random_device{}();
  std::mt19937_64 random(seed);
  int rounds_with_findings = 0;
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
    const uint64_t offset =
        round % 4 == 0 ? random() % (bytes.size() / 8) * 8 : telling[random() % telling.size()];
    const std::string original = bytes.substr(offset, 8);
    std::string word = original;
    if (round % 2 == 0) {
      const uint64_t any = random();
      std::memcpy(word.data(), &any, 8);
    } else {
      word[random() % 8] ^= static_cast<char>(1 << random() % 8);
    }
    Overwrite(file, offset, word);
    bytes.replace(offset, 8, word);
    morsel_pool_options options{};
    options.flags = MORSEL_READ_ONLY;
    auto pool = OpenPool::Open(path_.c_str(), &options, os::KernelCalls());
    findings_.clear();
    if (pool) {
      pool_ = std::move(*pool);
      EXPECT_TRUE(Check().has_value()) << LastError();
      pool_.reset();
    }
    rounds_with_findings += !pool || !findings_.empty();
    ASSERT_TRUE(HasBytes(file, bytes));
    Overwrite(file, offset, original);
    bytes.replace(offset, 8, original);
  }
  EXPECT_GT(rounds_with_findings, 10);
}

}  // namespace
}  // namespace morsel
