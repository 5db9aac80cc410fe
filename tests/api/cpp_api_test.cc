// The C++ API over both kinds of pool. What a program stores is there after it reopens the morsel,
// at the same addresses.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "morsel/morsel.hpp"
#include "tests/api/without_exceptions_testing.h"

namespace {

template <class T>
using Vector = std::vector<T, morsel::Allocator<T>>;
using String = std::basic_string<char, std::char_traits<char>, morsel::Allocator<char>>;
using Map = std::map<int, String, std::less<int>, morsel::Allocator<std::pair<const int, String>>>;

uint32_t Flags(bool fine) { return MORSEL_CREATE | (fine ? uint32_t{MORSEL_FINE} : 0); }

class CppApi : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "cpp_api." + std::to_string(getpid());
    carved_ = "/dev/shm/morsel_cpp_api." + std::to_string(getpid());
    setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  }
  void TearDown() override {
    std::filesystem::remove_all(directory_);
    std::filesystem::remove(carved_);
  }
  morsel::Pool Directory() {
    auto pool = morsel::Pool::open(directory_, {.flags = MORSEL_CREATE});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }
  morsel::Pool Carved() {
    auto pool = morsel::Pool::open(
        carved_, {.flags = MORSEL_CREATE | MORSEL_CARVED, .size_bytes = uint64_t{64} << 20});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }
  static morsel::Morsel Open(morsel::Pool& pool, uint32_t flags = MORSEL_CREATE) {
    auto opened = morsel::Morsel::open(pool, "m", {.flags = flags});
    EXPECT_TRUE(opened) << morsel::last_error();
    return std::move(*opened);
  }

  std::string directory_;
  std::string carved_;
};

TEST_F(CppApi, ContainersReopenAtTheSameAddress) {
  morsel::Pool pool = Directory();
  void* base = nullptr;
  Map* map = nullptr;
  {
    morsel::Morsel m = Open(pool);
    base = m.base();
    map = m.make<Map>(morsel::Allocator<int>(m));
    ASSERT_NE(map, nullptr);
    for (int i = 0; i < 10'000; ++i) {
      const std::string text = "a string too long to be kept inside, number " + std::to_string(i);
      map->emplace(i, String(text, morsel::Allocator<char>(m)));
    }
    ASSERT_TRUE(m.set_root("map", map).ok());
    ASSERT_TRUE(m.close().ok()) << morsel::last_error();
  }
  morsel::Morsel m = Open(pool);
  EXPECT_EQ(m.base(), base);
  Map* const again = m.root<Map>("map");
  ASSERT_EQ(again, map);
  ASSERT_EQ(again->size(), 10'000u);
  EXPECT_EQ(again->at(4711), "a string too long to be kept inside, number 4711");
  // It is alive: it can be changed, by this process' own handle.
  again->erase(4711);
  again->emplace(20'000, String("new", morsel::Allocator<char>(m)));
  EXPECT_EQ(again->size(), 10'000u);
  EXPECT_TRUE(m.stat().has_value());
  m.destroy(again);
  ASSERT_TRUE(m.set_root("map", nullptr).ok());
  EXPECT_EQ(m.root("map"), nullptr);
}

TEST_F(CppApi, ASnapshotMorselReopensAsItsLastCheckpoint) {
  morsel::Pool pool = Directory();
  {
    morsel::Morsel m = Open(pool);
    auto* const numbers = m.make<Vector<int>>(morsel::Allocator<int>(m));
    ASSERT_TRUE(m.set_root("numbers", numbers).ok());
    numbers->assign(1000, 1);
    ASSERT_TRUE(m.checkpoint().ok()) << morsel::last_error();
    numbers->assign(2000, 2);
    ASSERT_TRUE(m.discard().ok()) << morsel::last_error();
  }
  morsel::Morsel m = Open(pool);
  const auto* const numbers = m.root<Vector<int>>("numbers");
  ASSERT_NE(numbers, nullptr);
  EXPECT_EQ(numbers->size(), 1000u);
  EXPECT_EQ(numbers->front(), 1);
}

TEST_F(CppApi, AnExceptionThatUnwindsPastTheHandleEndsInTheLastCheckpoint) {
  morsel::Pool pool = Directory();
  {
    morsel::Morsel m = Open(pool);
    ASSERT_TRUE(m.set_root("sum", m.make<int>(100)).ok());
    ASSERT_TRUE(m.close().ok());
  }
  try {
    morsel::Morsel m = Open(pool);
    *m.root<int>("sum") = 50;
    throw std::runtime_error("before the other half");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(*Open(pool).root<int>("sum"), 100);
}

// A handle that is made and ends while another exception unwinds has no part in it.
TEST_F(CppApi, AHandleOfADestructorThatRunsWhileUnwindingIsCheckpointed) {
  morsel::Pool pool = Directory();
  struct Writer {
    morsel::Pool& pool;
    ~Writer() {
      morsel::Morsel m = Open(pool);
      EXPECT_TRUE(m.set_root("sum", m.make<int>(7)).ok());
    }
  };
  try {
    const Writer writer{pool};
    throw std::runtime_error("elsewhere");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(*Open(pool).root<int>("sum"), 7);
}

TEST_F(CppApi, WhatIsMovedBetweenMorselsLiesInItsOwn) {
  morsel::Pool pool = Directory();
  morsel::Morsel one = Open(pool);
  auto other = morsel::Morsel::open(pool, "other", {.flags = MORSEL_CREATE});
  ASSERT_TRUE(other) << morsel::last_error();
  Vector<int> target{morsel::Allocator<int>(one)};
  Vector<int> source({7, 8, 9}, morsel::Allocator<int>(*other));
  target = std::move(source);
  EXPECT_EQ(morsel_of(target.data()), one.handle());
  EXPECT_EQ(target, Vector<int>({7, 8, 9}, morsel::Allocator<int>(one)));
  source.assign({1, 2});
  EXPECT_EQ(morsel_of(source.data()), other->handle());
  // Within one morsel nothing is copied.
  Vector<int> third{morsel::Allocator<int>(one)};
  const int* const numbers = target.data();
  third = std::move(target);
  EXPECT_EQ(third.data(), numbers);
}

TEST_F(CppApi, ACopyLiesInTheSameMorselOrWhereThatIsReadOnlyInOrdinaryMemory) {
  morsel::Pool pool = Directory();
  {
    morsel::Morsel m = Open(pool);
    const morsel::Allocator<int> allocator(m);
    auto* const numbers = m.make<Vector<int>>(std::initializer_list<int>{1, 2, 3}, allocator);
    const Vector<int> copy = *numbers;
    EXPECT_EQ(morsel_of(copy.data()), m.handle());
    ASSERT_TRUE(m.set_root("numbers", numbers).ok());
  }
  const morsel::Morsel m = Open(pool, MORSEL_READ_ONLY);
  Vector<int> copy = *m.root<Vector<int>>("numbers");
  EXPECT_EQ(morsel_of(copy.data()), nullptr);
  copy.push_back(4);
  EXPECT_EQ(copy.size(), 4u);
  EXPECT_EQ(copy.get_allocator().base(), nullptr);
}

TEST_F(CppApi, PolymorphicContainersWorkInAnotherProcess) {
  using PmrMap = std::pmr::unordered_map<int, std::pmr::string>;
  {
    morsel::Pool pool = Directory();
    morsel::Morsel m = Open(pool);
    auto* const map = m.make<PmrMap>(m.resource());
    for (int i = 0; i < 1000; ++i)
      map->emplace(i, std::string(100, static_cast<char>('a' + i % 26)));
    ASSERT_TRUE(m.set_root("map", map).ok());
    ASSERT_TRUE(m.close().ok());
    ASSERT_TRUE(pool.close().ok());
  }
  const pid_t child = fork();
  if (child == 0) {
    morsel::Pool pool = Directory();
    morsel::Morsel m = Open(pool);
    auto* const map = m.root<PmrMap>("map");
    bool good = map != nullptr && map->size() == 1000 && map->at(3) == std::pmr::string(100, 'd') &&
                map->get_allocator().resource() == m.resource();
    if (good) map->emplace(5000, "of the child");
    good = good && m.close().ok() && pool.close().ok();
    _exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  morsel::Pool pool = Directory();
  morsel::Morsel m = Open(pool);
  EXPECT_EQ(m.root<PmrMap>("map")->at(5000), "of the child");
}

TEST_F(CppApi, FineObjectsArePersistedOneByOne) {
  struct Node {
    Node* next;
    uint64_t value;
  };
  Node* first = nullptr;
  {
    morsel::Pool pool = Carved();
    morsel::Morsel m = Open(pool, MORSEL_CREATE | MORSEL_FINE);
    for (uint64_t i = 0; i < 1000; ++i) {
      const Node made{first, i};
      Node* const node = m.make<Node>(Node{});
      ASSERT_TRUE((i % 2 == 0 ? m.memcpy_persist(node, &made, sizeof made)
                              : (*node = made, m.persist(node, sizeof *node)))
                      .ok())
          << morsel::last_error();
      first = node;
      ASSERT_TRUE(m.set_root("list", first).ok());
    }
    EXPECT_EQ(m.stat()->granularity, 64u);
    ASSERT_TRUE(m.close().ok()) << morsel::last_error();
    ASSERT_TRUE(pool.close().ok());
  }
  auto pool = morsel::Pool::open(carved_);
  ASSERT_TRUE(pool) << morsel::last_error();
  auto m = morsel::Morsel::open(*pool, "m");
  ASSERT_TRUE(m) << morsel::last_error();
  const Node* node = m->root<Node>("list");
  EXPECT_EQ(node, first);
  for (uint64_t i = 1000; i-- > 0; node = node->next) {
    ASSERT_NE(node, nullptr);
    ASSERT_EQ(node->value, i);
  }
  EXPECT_EQ(node, nullptr);
}

TEST_F(CppApi, CallsOfTheOtherContractFail) {
  morsel::Pool directory = Directory();
  morsel::Morsel snapshot = Open(directory);
  void* const block = snapshot.malloc(64);
  EXPECT_EQ(snapshot.persist(block, 64).code(), morsel::Code::kUnsupported);
  EXPECT_EQ(snapshot.flush(block, 64).code(), morsel::Code::kUnsupported);
  EXPECT_EQ(snapshot.fence().code(), morsel::Code::kUnsupported);
  EXPECT_EQ(snapshot.memcpy_persist(block, "a", 2).code(), morsel::Code::kUnsupported);
  // As it is on a file system that is not DAX.
  setenv("PMEM2_FORCE_GRANULARITY", "PAGE", 1);
  EXPECT_EQ(morsel::Morsel::open(directory, "fine", {.flags = MORSEL_CREATE | MORSEL_FINE}).error(),
            morsel::Code::kUnsupported);
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  morsel::Pool carved = Carved();
  EXPECT_EQ(morsel::Morsel::open(carved, "snapshot", {.flags = MORSEL_CREATE}).error(),
            morsel::Code::kUnsupported);
}

TEST_F(CppApi, OpeningTwiceReturnsOneCountedHandle) {
  morsel::Pool pool = Directory();
  morsel::Morsel first = Open(pool);
  morsel::Morsel second = Open(pool, 0);
  EXPECT_EQ(first.handle(), second.handle());
  EXPECT_EQ(first.discard().code(), morsel::Code::kBusy);
  EXPECT_EQ(pool.close().code(), morsel::Code::kBusy);
  EXPECT_EQ(morsel::Morsel::open(pool, "m", {.flags = MORSEL_FINE}).error(),
            morsel::Code::kInvalidArgument);
  EXPECT_EQ(pool.remove("m").code(), morsel::Code::kBusy);
  ASSERT_TRUE(first.close().ok());
  EXPECT_FALSE(first);
  void* const block = second.malloc(10);
  EXPECT_EQ(morsel_of(block), second.handle());
  ASSERT_TRUE(second.close().ok());
  EXPECT_EQ(morsel_of(block), nullptr);
  ASSERT_TRUE(pool.remove("m").ok());
  EXPECT_EQ(morsel::Morsel::open(pool, "m").error(), morsel::Code::kNotFound);
}

TEST_F(CppApi, OpeningForWritingFailsWhileOpenForReading) {
  morsel::Pool pool = Directory();
  ASSERT_TRUE(Open(pool).close().ok());
  auto reader = morsel::Morsel::open(pool, "m", {.flags = MORSEL_READ_ONLY});
  ASSERT_TRUE(reader) << morsel::last_error();
  EXPECT_EQ(morsel::Morsel::open(pool, "m").error(), morsel::Code::kBusy);
  EXPECT_EQ(reader->malloc(10), nullptr);
  EXPECT_EQ(errno, EACCES);
}

TEST_F(CppApi, NewFilesAreAccessibleToTheirOwnerOnly) {
  morsel::Pool directory = Directory();
  morsel::Morsel m = Open(directory);
  morsel::Pool carved = Carved();
  const auto all = std::filesystem::perms::all;
  const auto owners = std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
  EXPECT_EQ(std::filesystem::status(carved_).permissions() & all, owners);
  EXPECT_EQ(std::filesystem::status(directory_ + "/m").permissions() & all, owners);
  EXPECT_EQ(std::filesystem::status(directory_).permissions() & all,
            std::filesystem::perms::owner_all);
}

TEST_F(CppApi, GrowsAndShrinksInPlace) {
  for (const bool fine : {false, true}) {
    SCOPED_TRACE(fine ? "fine" : "snapshot");
    morsel::Pool pool = fine ? Carved() : Directory();
    auto opened = morsel::Morsel::open(
        pool, "sized", {.flags = Flags(fine), .size_bytes = 2 << 20, .capacity_bytes = 16 << 20});
    ASSERT_TRUE(opened) << morsel::last_error();
    morsel::Morsel& m = *opened;
    EXPECT_EQ(m.size(), 2u << 20);
    EXPECT_EQ(m.malloc(4 << 20), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    ASSERT_TRUE(m.resize(8 << 20).ok()) << morsel::last_error();
    void* const block = m.malloc(4 << 20);
    ASSERT_NE(block, nullptr) << morsel::last_error();
    EXPECT_EQ(m.resize(2 << 20).code(), morsel::Code::kBusy);
    EXPECT_EQ(m.resize(32 << 20).code(), morsel::Code::kAddressExhausted);
    m.free(block);
    ASSERT_TRUE(m.resize(2 << 20).ok()) << morsel::last_error();
    EXPECT_EQ(m.size(), 2u << 20);
    EXPECT_EQ(m.base(), opened->base());
    ASSERT_TRUE(m.close().ok()) << morsel::last_error();
  }
}

TEST_F(CppApi, AMorselWithoutASizeGrowsAsItIsUsed) {
  for (const bool fine : {false, true}) {
    SCOPED_TRACE(fine ? "fine" : "snapshot");
    morsel::Pool pool = fine ? Carved() : Directory();
    morsel::Morsel m = Open(pool, Flags(fine));
    EXPECT_EQ(m.size(), 2u << 20);
    for (int i = 0; i < 20; ++i) ASSERT_NE(m.malloc(1 << 20), nullptr) << morsel::last_error();
    EXPECT_GE(m.size(), 20u << 20);
  }
}

TEST_F(CppApi, TheAllocatorThrowsWhenTheMorselIsFull) {
  morsel::Pool pool = Directory();
  auto m = morsel::Morsel::open(
      pool, "small", {.flags = MORSEL_CREATE, .size_bytes = 2 << 20, .capacity_bytes = 2 << 20});
  ASSERT_TRUE(m) << morsel::last_error();
  Vector<char> bytes{morsel::Allocator<char>(*m)};
  std::pmr::vector<char> polymorphic(m->resource());
  const auto says_why = [](auto& vector) {
    try {
      vector.resize(4 << 20);
      ADD_FAILURE() << "it has room";
    } catch (const std::bad_alloc& thrown) {
      EXPECT_NE(std::string(thrown.what()).find("may ever hold, 2097152"), std::string::npos)
          << thrown.what();
    }
  };
  says_why(bytes);
  says_why(polymorphic);
}

TEST_F(CppApi, ManyThreadsUseOneHandle) {
  morsel::Pool pool = Directory();
  morsel::Morsel m = Open(pool);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&m, t] {
      Vector<Vector<int>> rows{morsel::Allocator<int>(m)};
      for (int i = 0; i < 500; ++i) {
        rows.emplace_back(Vector<int>(static_cast<size_t>(i), t, morsel::Allocator<int>(m)));
        if (i % 3 == 0) rows.front() = rows.back();
      }
      for (const auto& row : rows) {
        for (const int cell : row) EXPECT_EQ(cell, t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(m.stat()->live_bytes, 0u);
}

TEST_F(CppApi, AnExceptionOfAVisitorEndsTheListAndPropagates) {
  morsel::Pool pool = Directory();
  morsel::Morsel m = Open(pool);
  ASSERT_TRUE(morsel::Morsel::open(pool, "n", {.flags = MORSEL_CREATE}).has_value());
  int visited = 0;
  const auto visit = [&](const morsel_info& info) {
    ++visited;
    throw std::runtime_error(info.name);
  };
  EXPECT_THROW((void)pool.list(visit), std::runtime_error);
  EXPECT_EQ(visited, 1);
  std::string names;
  EXPECT_TRUE(pool.list([&](const morsel_info& info) { names += info.name; }).ok());
  EXPECT_EQ(names, "mn");
}

TEST_F(CppApi, LoadsAndStoresReportProgress) {
  struct Told {
    std::thread::id thread = std::this_thread::get_id();
    std::vector<morsel_progress> calls;
    // The activity that was told, up to its end; forgets it.
    uint32_t Whole() {
      uint64_t last = 0;
      for (const morsel_progress& now : calls) {
        EXPECT_GE(now.done_bytes, last);
        EXPECT_EQ(now.total_bytes, calls.front().total_bytes);
        EXPECT_EQ(now.activity, calls.front().activity);
        last = now.done_bytes;
      }
      const uint32_t activity = calls.empty() ? 0 : calls.front().activity;
      EXPECT_TRUE(!calls.empty() && last == calls.front().total_bytes);
      calls.clear();
      return activity;
    }
  } told;
  morsel::MorselOptions options{.flags = MORSEL_CREATE};
  options.progress = [](const morsel_progress* now, void* context) {
    auto* const told = static_cast<Told*>(context);
    EXPECT_EQ(std::this_thread::get_id(), told->thread);
    told->calls.push_back(*now);
  };
  options.progress_context = &told;
  morsel::Pool pool = Directory();
  {
    auto m = morsel::Morsel::open(pool, "m", options);
    ASSERT_TRUE(m.has_value()) << morsel::last_error();
    EXPECT_EQ(told.Whole(), static_cast<uint32_t>(MORSEL_STORING));
    std::memset(m->malloc(5 << 20), 1, 5 << 20);
    ASSERT_TRUE(m->checkpoint().ok());
    EXPECT_EQ(told.Whole(), static_cast<uint32_t>(MORSEL_STORING));
    m->free(m->malloc(100));
    ASSERT_TRUE(m->close().ok());
    EXPECT_EQ(told.Whole(), static_cast<uint32_t>(MORSEL_STORING));
  }
  auto m = morsel::Morsel::open(pool, "m", options);
  ASSERT_TRUE(m.has_value()) << morsel::last_error();
  EXPECT_EQ(told.Whole(), static_cast<uint32_t>(MORSEL_LOADING));
  ASSERT_TRUE(m->discard().ok());
}

// The program keeps its stores still during a checkpoint; allocator calls need not be.
TEST_F(CppApi, AllocationContinuesDuringCheckpoints) {
  morsel::Pool pool = Directory();
  morsel::Morsel m = Open(pool);
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&m] {
      for (size_t i = 0; i < 3000; ++i) m.free(m.malloc(i));
    });
  }
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(m.checkpoint().ok()) << morsel::last_error();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(m.stat()->live_bytes, 0u);
}

// The linker keeps one of all functions that have the same name: those of units that are built with
// exceptions and without have not, or one unit would do in the other what it must not.
TEST_F(CppApi, UnitsWithAndWithoutExceptionsEachDoTheirOwn) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a forked child has no open morsels
  constexpr size_t kTooMany = size_t{1} << 40;
  morsel::Pool pool = Directory();
  morsel::Morsel m = Open(pool);
  morsel::FillWithoutExceptions(m, 1000);
  const auto fill = [&](size_t count) {
    Vector<int> numbers(m.allocator<int>());
    numbers.reserve(count);
  };
  fill(1000);
  EXPECT_THROW(fill(kTooMany), std::bad_alloc);
  EXPECT_EXIT(
      {
        try {
          morsel::FillWithoutExceptions(m, kTooMany);
        } catch (...) {
          _exit(0);
        }
      },
      testing::KilledBySignal(SIGABRT), "");
  ASSERT_TRUE(m.set_root("r", m.make<int>(1)).ok());
  EXPECT_EQ(morsel::CountRootsWithoutExceptions(m), 1u);
  const auto fail = [](const auto&) { throw std::runtime_error("on the way"); };
  EXPECT_THROW((void)m.for_each_root(fail), std::runtime_error);
}

}  // namespace
