// Directory pools that get their addresses from a registry.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "morsel/directory/directory_pool_testing.h"
#include "morsel/registry/address_registry.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

class DirectoryAddressesTest : public DirectoryPoolFixture {
 protected:
  DirectoryAddressesTest() : DirectoryPoolFixture(os::Scratch::OnDisk) {
    setenv("MORSEL_ADDRESSES", scratch_.At("addresses").c_str(), 1);
    // Room for 128 ranges of 16 MiB, in which pools begin close to each other.
    setenv("MORSEL_WINDOW", "160000000000-160080000000", 1);
  }
  ~DirectoryAddressesTest() override {
    unsetenv("MORSEL_ADDRESSES");
    unsetenv("MORSEL_WINDOW");
  }
  static CatalogRecord Small(const std::string& name) {
    CatalogRecord wanted = Wanted(name);
    wanted.capacity_bytes = 4 * kSubtreeBytes;
    return wanted;
  }
  std::unique_ptr<impl::Pool> PoolAt(const std::string& name,
                                     os::SystemCalls& calls = os::KernelCalls()) {
    auto pool = DirectoryPool::Open(scratch_.At(name), {.create = true}, calls);
    EXPECT_TRUE(pool.has_value()) << LastError();
    return std::move(*pool);
  }
  static uint64_t Make(impl::Pool& pool, const std::string& name) {
    const auto made = pool.Create(Small(name), [](auto&, auto) {});
    EXPECT_TRUE(made.has_value()) << LastError();
    return made ? (*made)->record().base : 0;
  }
  // The bases of all morsels of the pools, sorted.
  static std::vector<uint64_t> BasesOf(std::initializer_list<impl::Pool*> pools) {
    std::vector<uint64_t> bases;
    for (impl::Pool* pool : pools) {
      const Result<std::vector<CatalogRecord>> records = pool->List();
      for (const CatalogRecord& record : *records) bases.push_back(record.base);
    }
    std::sort(bases.begin(), bases.end());
    return bases;
  }
  static void ExpectApart(const std::vector<uint64_t>& bases) {
    for (size_t i = 1; i < bases.size(); ++i) EXPECT_GE(bases[i], bases[i - 1] + 5 * kSubtreeBytes);
  }
};

TEST_F(DirectoryAddressesTest, MorselsOfTwoPoolsDoNotMeet) {
  const auto a = PoolAt("a");
  const auto b = PoolAt("b");
  for (int i = 0; i < 50; ++i) {
    Make(*a, "m" + std::to_string(i));
    Make(*b, "m" + std::to_string(i));
  }
  const std::vector<uint64_t> bases = BasesOf({a.get(), b.get()});
  EXPECT_EQ(bases.size(), 100u);
  ExpectApart(bases);
}

// What it does not cost is what the pool was listed for: a file opened for each morsel.
TEST_F(DirectoryAddressesTest, MakingAMorselCostsTheSameBesideMany) {
  os::ScriptedCalls calls;
  const auto pool = PoolAt("a", calls);
  const auto cost = [&](int number) {
    calls.CountAnew();
    Make(*pool, "m" + std::to_string(number));
    return calls.count();
  };
  cost(0);
  const int64_t first = cost(1);
  for (int i = 2; i < 60; ++i) cost(i);
  EXPECT_EQ(cost(60), first);
}

// The lock's file has a byte for each name that was ever given.
TEST_F(DirectoryAddressesTest, WhatCountsNamesDoesNotGrowOnTheDisk) {
  const auto pool = PoolAt("a");
  Make(*pool, "first");
  const std::string lock = scratch_.At("a/.morsel-lock");
  std::ofstream(lock, std::ios::app) << std::string(10 * kMiB, '+');
  const uint64_t names = fs::file_size(lock);
  Make(*pool, "second");
  EXPECT_EQ(fs::file_size(lock), names + 1);
  struct stat status;
  ASSERT_EQ(stat(lock.c_str(), &status), 0);
  EXPECT_LE(status.st_blocks * 512, 128 * 1024);
}

// A failure is no crash: nothing waits for the pool to be listed.
TEST_F(DirectoryAddressesTest, AMorselThatIsNotMadeLeavesNoAddresses) {
  os::ScriptedCalls calls;
  const auto pool = PoolAt("a", calls);
  const uint64_t first = Make(*pool, "first");
  ASSERT_TRUE(pool->Remove("first").ok()) << LastError();
  calls.Play([](const os::Call& call) {
    return call.kind == os::Call::kWrite && call.size_bytes >= kPageBytes ? ENOSPC : 0;
  });
  EXPECT_FALSE(pool->Create(Small("not made"), [](auto&, auto) {}).has_value());
  EXPECT_STRNE(LastError(), "");
  calls.Heal();
  EXPECT_EQ(Make(*pool, "next"), first) << "where the first would have gone";
}

TEST_F(DirectoryAddressesTest, AWindowWithoutRoomIsToldWithWhatIsInTheWay) {
  Make(*PoolAt("a"), "first");
  std::unique_ptr<impl::Pool> pool;
  const auto is_refused = [&](const char* words) {
    EXPECT_EQ(pool->Create(Small("second"), [](auto&, auto) {}).error(), Code::kAddressExhausted);
    EXPECT_NE(std::string(LastError()).find(words), std::string::npos) << LastError();
  };
  for (const bool is_registered : {true, false}) {
    SCOPED_TRACE(is_registered);
    setenv("MORSEL_ADDRESSES", is_registered ? scratch_.At("addresses").c_str() : "", 1);
    pool = PoolAt("a");
    // One who has locked all bytes of the file.
    const int stranger = open(scratch_.At("a/.morsel-lock").c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(stranger, 0);
    struct flock all {};
    all.l_type = F_WRLCK;
    ASSERT_EQ(fcntl(stranger, F_OFD_SETLK, &all), 0);
    is_refused(".morsel-lock");
    close(stranger);
    // One who has mapped all that is free.
    const auto mapped = os::AddressRange::Reserve(0x160000000000, uint64_t{2} << 30, "the rest");
    ASSERT_TRUE(mapped.has_value()) << LastError();
    is_refused("this process");
  }
}

// The first of a process asks what is free, too, and those that follow know it.
TEST_F(DirectoryAddressesTest, MakingAMorselOpensTheRegistryOnce) {
  setenv("MORSEL_WINDOW", "160000000000-170000000000", 1);
  int opens = 0;
  os::ScriptedCalls calls;
  calls.AfterEach([&](const os::Call& call) {
    opens += call.kind == os::Call::kOpen && std::string(call.name) == "addresses";
  });
  const auto pool = PoolAt("a", calls);
  Make(*pool, "first");
  for (int i = 0; i < 10; ++i) {
    opens = 0;
    CatalogRecord wanted = Wanted("m" + std::to_string(i));
    wanted.capacity_bytes = pool->DefaultCapacityBytes();
    ASSERT_TRUE(pool->Create(wanted, [](auto&, auto) {}).has_value()) << LastError();
    EXPECT_LE(opens, i == 0 ? 3 : 1) << i;
  }
}

TEST_F(DirectoryAddressesTest, WhatIsRemovedIsGrantedAgain) {
  const auto a = PoolAt("a");
  const auto b = PoolAt("b");
  std::vector<uint64_t> bases;
  for (int i = 0; i < 128; ++i) bases.push_back(Make(*a, "m" + std::to_string(i)));
  EXPECT_EQ(b->Create(Small("none"), [](auto&, auto) {}).error(), Code::kAddressExhausted);
  ASSERT_TRUE(a->Remove("m7").ok()) << LastError();
  EXPECT_EQ(Make(*b, "now"), bases[7]);
}

TEST_F(DirectoryAddressesTest, WhatMovesHasBothAddressesUntilItHasMoved) {
  const auto a = PoolAt("a");
  const auto b = PoolAt("b");
  std::vector<uint64_t> bases;
  for (int i = 0; i < 127; ++i) bases.push_back(Make(*a, "m" + std::to_string(i)));
  MakingWhole making;
  making.record = *a->Find("m7");
  making.record.base = 0;
  making.replaces = true;
  uint64_t moved_to = 0;
  making.fill = [&](char*, const CatalogRecord& made) -> Status {
    moved_to = made.base;
    // Nothing is free now.
    EXPECT_EQ(b->Create(Small("none"), [](auto&, auto) {}).error(), Code::kAddressExhausted);
    return Code::kOk;
  };
  ASSERT_TRUE(a->MakeWhole(making).ok()) << LastError();
  EXPECT_EQ(a->Find("m7")->base, moved_to);
  EXPECT_EQ(std::count(bases.begin(), bases.end(), moved_to), 0);
  // What it had is free, and what it has is not.
  EXPECT_EQ(Make(*b, "now"), bases[7]);
  EXPECT_EQ(b->Create(Small("none"), [](auto&, auto) {}).error(), Code::kAddressExhausted);
  // At the same place it keeps what it has.
  making.record = *a->Find("m7");
  ASSERT_TRUE(a->MakeWhole(making).ok()) << LastError();
  EXPECT_EQ(b->Create(Small("none"), [](auto&, auto) {}).error(), Code::kAddressExhausted);
  // One that cannot be made gives back what it took.
  making.fill = [](char*, const CatalogRecord&) { return Status(Code::kCorrupt); };
  EXPECT_EQ(a->MakeWhole(making).code(), Code::kCorrupt);
  EXPECT_EQ(a->Find("m7")->base, moved_to);
}

TEST_F(DirectoryAddressesTest, WhatIsCopiedInOrImportedHasItsAddresses) {
  const auto a = PoolAt("a");
  const auto b = PoolAt("b");
  // Of another host: the registry does not know its pool.
  setenv("MORSEL_ADDRESSES", scratch_.At("other").c_str(), 1);
  const auto other = PoolAt("other host");
  for (int i = 0; i < 20; ++i) Make(*other, "m" + std::to_string(i));
  setenv("MORSEL_ADDRESSES", scratch_.At("addresses").c_str(), 1);

  for (int i = 0; i < 10; ++i) {
    const std::string name = "m" + std::to_string(i);
    fs::copy_file(other->path() + "/" + name, a->path() + "/" + name);
  }
  for (int i = 10; i < 20; ++i) {
    const std::string name = "m" + std::to_string(i);
    const std::string path = other->path() + "/" + name;
    auto file = os::File::Open(os::KernelCalls(), AT_FDCWD, path, O_RDONLY, 0, path);
    ASSERT_TRUE(a->Import(name, *image::ImageFile::Open(std::move(*file), true), false).ok());
  }
  Make(*a, "own");
  for (int i = 0; i < 50; ++i) Make(*b, "m" + std::to_string(i));
  const std::vector<uint64_t> bases = BasesOf({a.get(), b.get()});
  EXPECT_EQ(bases.size(), 71u);
  ExpectApart(bases);
}

// One that is copied in is not seen before the pool is listed, or it is opened.
TEST_F(DirectoryAddressesTest, WhatIsOpenedHasItsAddresses) {
  const auto a = PoolAt("a");
  Make(*a, "first");
  setenv("MORSEL_ADDRESSES", scratch_.At("other").c_str(), 1);
  const auto other = PoolAt("other host");
  const uint64_t base = Make(*other, "m");
  setenv("MORSEL_ADDRESSES", scratch_.At("addresses").c_str(), 1);
  fs::copy_file(other->path() + "/m", a->path() + "/m");
  ASSERT_TRUE(a->Open("m", false).has_value()) << LastError();
  const auto file = RegistryFile::OpenLocked(os::KernelCalls(), scratch_.At("addresses"));
  EXPECT_NE((*file->ReadWords(base / kGranuleBytes, base / kGranuleBytes + 1))[0], 0);
}

// They know nothing of each other's registries, only of the pool's own files.
TEST_F(DirectoryAddressesTest, TwoUsersOfOnePoolDoNotMeet) {
  const auto ours = PoolAt("a");
  setenv("MORSEL_ADDRESSES", scratch_.At("theirs").c_str(), 1);
  const auto theirs = PoolAt("a");
  for (int i = 0; i < 30; ++i) {
    Make(*ours, "our" + std::to_string(i));
    Make(*theirs, "their" + std::to_string(i));
  }
  ExpectApart(BasesOf({ours.get()}));
}

TEST_F(DirectoryAddressesTest, ManyProcessesMakeMorselsAtOnce) {
  const auto pool = PoolAt("a");
  for (int i = 0; i < 20; ++i) {
    if (fork() != 0) continue;
    const auto own = PoolAt(i % 2 == 0 ? "a" : "b");
    for (int j = 0; j < 3; ++j) Make(*own, std::to_string(i) + " " + std::to_string(j));
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  for (int status = 0; wait(&status) > 0;) EXPECT_EQ(status, 0);
  const auto b = PoolAt("b");
  const std::vector<uint64_t> bases = BasesOf({pool.get(), b.get()});
  EXPECT_EQ(bases.size(), 60u);
  ExpectApart(bases);
}

TEST_F(DirectoryAddressesTest, TheDefaultCapacityFollowsWhatIsFree) {
  const auto in_one_piece = [](uint64_t bytes) {
    return DefaultCapacityFor({bytes, bytes, bytes});
  };
  EXPECT_EQ(in_one_piece(uint64_t{20} << 40), uint64_t{16} << 30);
  EXPECT_EQ(in_one_piece(uint64_t{10} << 40), uint64_t{8} << 30);
  EXPECT_EQ(in_one_piece(uint64_t{1} << 40), uint64_t{1} << 30);
  EXPECT_EQ(in_one_piece(uint64_t{1} << 30), uint64_t{64} << 20);
  EXPECT_EQ(in_one_piece(0), uint64_t{64} << 20);
  // What is free in pieces of 900 MiB, of which none has a whole GiB.
  EXPECT_EQ(DefaultCapacityFor({uint64_t{20} << 40, uint64_t{900} << 20, 0}), uint64_t{512} << 20);
  const auto pool = PoolAt("a");
  Make(*pool, "m");
  EXPECT_EQ(pool->DefaultCapacityBytes(), uint64_t{64} << 20);
  setenv("MORSEL_ADDRESSES", "", 1);
  EXPECT_EQ(PoolAt("a")->DefaultCapacityBytes(), uint64_t{16} << 30);
}

// Whoever makes many pools and removes them as folders would get less and less.
TEST_F(DirectoryAddressesTest, PoolsThatAreGoneMakeNoDefaultCapacityLess) {
  setenv("MORSEL_WINDOW", "160000000000-170000000000", 1);
  const auto a = PoolAt("a");
  CatalogRecord large = Wanted("large");
  large.capacity_bytes = uint64_t{700} << 30;
  ASSERT_TRUE(a->Create(large, [](auto&, auto) {}).has_value()) << LastError();
  EXPECT_EQ(PoolAt("b")->DefaultCapacityBytes(), uint64_t{256} << 20);
  fs::remove_all(scratch_.At("a"));
  EXPECT_EQ(PoolAt("b")->DefaultCapacityBytes(), uint64_t{1} << 30);
}

// The file of the pool was lost: the pool is made again, of the morsels that are there.
TEST_F(DirectoryAddressesTest, MorselsOfAPoolThatIsMadeAgainKeepTheirAddresses) {
  const auto b = PoolAt("b");
  std::vector<uint64_t> bases;
  {
    const auto a = PoolAt("a");
    for (int i = 0; i < 64; ++i) bases.push_back(Make(*a, "m" + std::to_string(i)));
  }
  fs::remove(scratch_.At("a/.morsel-pool"));
  const auto again = PoolAt("a");
  for (int i = 0; i < 64; ++i) bases.push_back(Make(*b, "m" + std::to_string(i)));
  EXPECT_EQ(b->Create(Small("none"), [](auto&, auto) {}).error(), Code::kAddressExhausted);
  std::sort(bases.begin(), bases.end());
  ExpectApart(bases);
}

// Its addresses are not free, wherever it is looked for.
TEST_F(DirectoryAddressesTest, AMorselThatCannotBeReadForAMomentIsNotPassedOver) {
  setenv("MORSEL_ADDRESSES", "", 1);
  os::ScriptedCalls calls;
  const auto pool = PoolAt("a", calls);
  for (int i = 0; i < 4; ++i) Make(*pool, "m" + std::to_string(i));
  for (const int error : {EMFILE, ENFILE, ENOMEM}) {
    SCOPED_TRACE(error);
    calls.Play([&](const os::Call& call) {
      return call.kind == os::Call::kOpen && std::string(call.name) == "m2" ? error : 0;
    });
    EXPECT_EQ(pool->List().error(), Code::kNoMemory) << LastError();
    EXPECT_EQ(pool->Create(Small("new"), [](auto&, auto) {}).error(), Code::kNoMemory);
    calls.Heal();
  }
  // What is damaged has none that could be known.
  calls.Play([&](const os::Call& call) {
    return call.kind == os::Call::kOpen && std::string(call.name) == "m2" ? EIO : 0;
  });
  EXPECT_EQ(pool->List()->size(), 3u);
  EXPECT_EQ(*pool->ListUnreadable(), std::vector<std::string>{"m2"});
  calls.Heal();
  Make(*pool, "new");
  ExpectApart(BasesOf({pool.get()}));
}

}  // namespace
}  // namespace morsel
