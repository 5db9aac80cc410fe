// Pools that take addresses from one registry.
#include "morsel/registry/address_registry.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "morsel/registry/address_registry_testing.h"
#include "morsel/registry/granted.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

TEST_F(AddressRegistryTest, PoolsOfAHostDoNotMeet) {
  // A window so small that all of them begin close to each other.
  const Window window = {0x160000000000, 0x160000000000 + 16 * kGiB};
  const auto a = Pool("a", 1, window);
  const auto b = Pool("b", 2, window);
  const auto c = Pool("c", 3, window);
  for (int i = 0; i < 50; ++i) {
    for (FakePool* pool : {a.get(), b.get(), c.get()}) {
      const std::optional<uint64_t> base = pool->Make();
      ASSERT_TRUE(base.has_value()) << LastError();
      EXPECT_GE(*base, window.begin);
      EXPECT_LE(*base + kBytes, window.end);
      EXPECT_EQ(*base % kGranuleBytes, 0u);
    }
  }
  ExpectApart({a.get(), b.get(), c.get()});
}

TEST_F(AddressRegistryTest, AMorselLiesBesideTheLastOneOfItsPool) {
  const auto a = Pool("a", 1);
  const std::optional<uint64_t> first = a->Make();
  const std::optional<uint64_t> second = a->Make();
  EXPECT_EQ(*second, *first + 4 * kGranuleBytes);
}

// A base inside of a granule, whose morsel takes one granule more.
TEST_F(AddressRegistryTest, BasesAreThoseOfTheGrid) {
  const Window window = {0x160000000000, 0x160000000000 + 16 * kGiB};
  const auto a = Pool("a", 1, window);
  const auto b = Pool("b", 2, window);
  a->Make();
  const uint64_t like = window.begin + 5 * kSubtreeBytes;
  const BaseGrid grid(4 * kGiB, like);
  for (int i = 0; i < 3; ++i) {
    const Result<std::optional<uint64_t>> base = b->Take(4 * kGranuleBytes, grid);
    ASSERT_TRUE(base.has_value() && base->has_value()) << LastError();
    EXPECT_EQ((**base - like) % (4 * kGiB), 0u);
    b->AddName(**base, 4 * kGranuleBytes);
    a->Make();
  }
  ExpectApart({a.get(), b.get()});
  EXPECT_EQ(GranulesOf({like, like + 4 * kGranuleBytes}).end - like / kGranuleBytes, 5u);
  // Four fit, if nothing of `a` is in the way.
  EXPECT_EQ(b->Take(4 * kGiB, grid).error(), Code::kAddressExhausted);
}

TEST_F(AddressRegistryTest, APoolIsListedOnceAndAgainIfOthersGiveNamesInIt) {
  const auto a = Pool("a", 1);
  for (int i = 0; i < 20; ++i) a->Make();
  EXPECT_EQ(a->lists(), 1);
  // Where the next one would lie.
  const uint64_t next = a->morsels().back().begin + 4 * kGranuleBytes;
  a->AddName(next);
  const std::optional<uint64_t> base = a->Make();
  EXPECT_EQ(a->lists(), 2);
  EXPECT_EQ(*base, next + 4 * kGranuleBytes);
  a->Remove(next);
  a->Make();
  EXPECT_EQ(a->lists(), 2);
  ExpectApart({a.get()});
}

// Between the look at the stamp and the lock of the addresses.
TEST_F(AddressRegistryTest, ANameThatIsGivenMeanwhileIsSeen) {
  const auto a = Pool("a", 1);
  a->Make();
  int calls = 0;
  uint64_t other = 0;
  std::optional<RegistryFile> opened;
  const Result<std::optional<uint64_t>> base = registry_.Take(
      a->pool(), kBytes, kSubtreeBytes,
      [&](uint64_t at) -> Result<std::optional<uint64_t>> {
        if (++calls == 1) a->AddName(other = at);
        return std::optional<uint64_t>();
      },
      opened);
  ASSERT_TRUE(base.has_value() && base->has_value());
  EXPECT_NE(**base, other);
  EXPECT_EQ(calls, 2);
}

TEST_F(AddressRegistryTest, APlaceThatIsNotAcceptedIsPassedOver) {
  const auto a = Pool("a", 1);
  std::vector<uint64_t> asked;
  std::optional<RegistryFile> opened;
  const Result<std::optional<uint64_t>> base = registry_.Take(
      a->pool(), kBytes, kSubtreeBytes,
      [&](uint64_t at) -> Result<std::optional<uint64_t>> {
        asked.push_back(at);
        if (asked.size() < 3) return std::optional(at + kBytes);
        return std::optional<uint64_t>();
      },
      opened);
  ASSERT_TRUE(base.has_value() && base->has_value());
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(**base, asked[2]);
  EXPECT_GT(asked[1], asked[0]);
  const auto failing = [](uint64_t) -> Result<std::optional<uint64_t>> {
    return Fail(Code::kNoMemory, "no memory for it");
  };
  EXPECT_EQ(registry_.Take(a->pool(), kBytes, kSubtreeBytes, failing, opened).error(),
            Code::kNoMemory);
  EXPECT_STREQ(LastError(), "no memory for it");
}

TEST_F(AddressRegistryTest, WhatComesInByItselfIsClaimed) {
  const auto a = Pool("a", 1);
  const uint64_t base = *a->Make() + 4 * kGranuleBytes;
  registry_.Claim(a->pool(), {base, base + kBytes});
  const auto file = RegistryFile::OpenLocked(calls_, path_);
  const GranuleWord number = (*FindSlot(*file, a->pool()))->number;
  EXPECT_EQ(*file->ReadWords(base / kGranuleBytes, base / kGranuleBytes + 4),
            std::vector<GranuleWord>(4, number));
}

TEST_F(AddressRegistryTest, WhatIsGivenBackIsGrantedAgain) {
  const Window window = {0x160000000000, 0x160000000000 + kGiB};
  const auto a = Pool("a", 1, window);
  const auto b = Pool("b", 2, window);
  while (a->Make()) continue;
  EXPECT_EQ(a->morsels().size(), 16u);
  const Result<std::optional<uint64_t>> none = b->Take();
  EXPECT_EQ(none.error(), Code::kAddressExhausted);
  EXPECT_NE(std::strstr(LastError(), "morselctl addr"), nullptr) << LastError();
  const uint64_t base = a->morsels()[5].begin;
  a->Remove(base);
  EXPECT_EQ(b->Make(), base);
  ExpectApart({a.get(), b.get()});
}

// Two morsels of 2 MiB that were made without a registry, in one granule.
TEST_F(AddressRegistryTest, AGranuleIsFreeWhenItsLastMorselIsGone) {
  const auto a = Pool("a", 1);
  const uint64_t base = kWindow.begin + kGiB;
  a->AddName(base, 2 * kSubtreeBytes);
  a->AddName(base + 2 * kSubtreeBytes, 2 * kSubtreeBytes);
  a->Make();
  a->Remove(base);
  const auto word = [&] {
    return (*RegistryFile::OpenLocked(calls_, path_)
                 ->ReadWords(base / kGranuleBytes, base / kGranuleBytes + 1))[0];
  };
  EXPECT_NE(word(), 0);
  a->AddName(kWindow.begin + 2 * kGiB);  // the pool is listed again
  a->Make();
  EXPECT_NE(word(), 0);
  a->Remove(base + 2 * kSubtreeBytes);
  EXPECT_EQ(word(), 0);
}

// A crash came after Take().
TEST_F(AddressRegistryTest, AddressesOfNoMorselAreGivenBackWhenThePoolIsListed) {
  const auto a = Pool("a", 1);
  const Result<std::optional<uint64_t>> base = a->Take();
  const auto word = [&] {
    const uint64_t granule = **base / kGranuleBytes;
    return (*RegistryFile::OpenLocked(calls_, path_)->ReadWords(granule, granule + 1))[0];
  };
  a->set_is_being_made(true);
  a->AddName(kWindow.begin);
  a->Make();
  EXPECT_NE(word(), 0);
  a->set_is_being_made(false);
  a->AddName(kWindow.begin + kGiB);
  a->Make();
  EXPECT_EQ(word(), 0);
}

TEST_F(AddressRegistryTest, WordsAreDurableBeforeTheMorselIsMade) {
  const auto a = Pool("a", 1);
  a->Make();
  uint64_t words_written = 0;
  uint64_t synced = 0;
  calls_.Play([&](const os::Call& call) {
    if (call.kind == os::Call::kWrite && call.offset >= kWordsOffset) ++words_written;
    if (call.kind == os::Call::kDataSync) synced = words_written;
    return 0;
  });
  ASSERT_TRUE(a->Take().has_value());
  EXPECT_EQ(words_written, 1u);
  EXPECT_EQ(synced, 1u);
  // Without the sync there is no grant.
  calls_.Play(os::FailEach(os::Call::kDataSync, EIO));
  const Result<std::optional<uint64_t>> none = a->Take();
  EXPECT_TRUE(none.has_value() && !none->has_value());
}

TEST_F(AddressRegistryTest, ALostRegistryIsFilledAgain) {
  const auto a = Pool("a", 1);
  const auto b = Pool("b", 2);
  const auto spoil = [&](int way) {
    if (way == 0) fs::remove(path_);
    if (way == 1) fs::resize_file(path_, 5000);
    if (way == 2) std::ofstream(path_) << std::string(100, '\0');
    if (way == 3) fs::resize_file(path_, 0);
  };
  for (int way = 0; way < 4; ++way) {
    ASSERT_TRUE(a->Make().has_value() && b->Make().has_value()) << way;
    spoil(way);
  }
  ASSERT_TRUE(a->Make().has_value() && b->Make().has_value());
  ExpectApart({a.get(), b.get()});
  EXPECT_EQ(a->lists(), 5);
}

// The path may come from a variable of the environment, and name whatever file.
TEST_F(AddressRegistryTest, AFileThatIsNoRegistryIsLeftAlone) {
  const std::string text = "root:x:0:0:root:/root:/bin/bash\n";
  for (const std::string& others : {text, text.substr(0, 3), std::string(1 << 16, 'x')}) {
    std::ofstream(path_) << others;
    const auto a = Pool("a", 1);
    EXPECT_FALSE(a->Take()->has_value());
    EXPECT_EQ(RegistryFile::OpenLocked(calls_, path_).error(), Code::kInvalidArgument);
    std::ifstream file(path_);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), others);
    EXPECT_FALSE(fs::exists(path_ + ".damaged"));
  }
}

TEST_F(AddressRegistryTest, AFileOfAnotherVersionIsLeftAlone) {
  const auto a = Pool("a", 1);
  a->Make();
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    AddressesHeader header;
    file.read(reinterpret_cast<char*>(&header), sizeof header);
    ++header.version;
    header.checksum = 0;
    header.checksum = Checksum64(&header, sizeof header);
    file.seekp(0);
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
  }
  EXPECT_EQ(a->Make(), std::nullopt);
  EXPECT_EQ(RegistryFile::OpenLocked(calls_, path_).error(), Code::kVersion);
}

TEST_F(AddressRegistryTest, WithoutARegistryNothingIsSaid) {
  const auto a = Pool("a", 1);
  (void)Fail(Code::kNotFound, "what went wrong before");
  AddressRegistry nowhere(calls_, scratch_.At("no/such/folder"));
  FakePool pool(nowhere, scratch_.At("b"), 2);
  EXPECT_EQ(pool.Make(), std::nullopt);
  EXPECT_EQ(nowhere.Free(kWindow, AddressRegistry::Gone::kSwept).has_value(), false);
  EXPECT_STREQ(LastError(), "what went wrong before");
  // One that others may write says nothing either.
  a->Make();
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  EXPECT_EQ(a->Make(), std::nullopt);
}

TEST_F(AddressRegistryTest, WhoHasTheLockAndDoesNotGoOnStopsNobody) {
  const auto a = Pool("a", 1);
  a->Make();
  const auto held = RegistryFile::OpenLocked(calls_, path_);
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(a->Make(), std::nullopt);
}

TEST_F(AddressRegistryTest, HundredProcessesAtOnceDoNotMeet) {
  constexpr int kProcesses = 100;
  int answers[2];
  ASSERT_EQ(pipe(answers), 0);
  for (int i = 0; i < kProcesses; ++i) {
    if (fork() != 0) continue;
    os::ScriptedCalls calls;
    AddressRegistry registry(calls, path_);
    FakePool pool(registry, scratch_.At("pool" + std::to_string(i)), static_cast<unsigned char>(i));
    uint64_t bases[3] = {};
    for (uint64_t& base : bases) base = pool.Make().value_or(0);
    _exit(write(answers[1], bases, sizeof bases) == sizeof bases ? 0 : 1);
  }
  std::vector<uint64_t> all;
  for (int i = 0; i < kProcesses; ++i) {
    uint64_t bases[3];
    ASSERT_EQ(read(answers[0], bases, sizeof bases), static_cast<ssize_t>(sizeof bases));
    all.insert(all.end(), std::begin(bases), std::end(bases));
  }
  while (wait(nullptr) > 0) continue;
  for (const int end : answers) close(end);
  std::sort(all.begin(), all.end());
  EXPECT_GE(all[0], kWindow.begin);
  for (size_t i = 1; i < all.size(); ++i) EXPECT_GE(all[i], all[i - 1] + kBytes);
}

}  // namespace
}  // namespace morsel
