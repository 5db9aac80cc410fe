// Cuts the power below the shared library, as it is installed: what was persisted and made a root
// is whole afterwards, and its bytes are given to nobody else.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "morsel/morsel.h"
#include "os/testing/scratch_testing.h"
#include "sim/cut/power_cut.h"

namespace morsel::sim {
namespace {

constexpr uint64_t kPoolBytes = uint64_t{16} << 20;
constexpr uint64_t kMorselBytes = uint64_t{4} << 20;
constexpr uint64_t kObjects = 100;

/// The root: what is linked. Object i is full of i + 1.
struct Links {
  uint8_t* objects[kObjects];
};

uint64_t SizeOf(uint64_t object) { return object % 10 == 9 ? 70'000 : 16 + 40 * (object % 7); }

class HeapCutTest : public testing::Test {
 protected:
  HeapCutTest() {
    setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
    Open(MORSEL_CREATE);
    base_ = morsel_base(morsel_);
    auto* const links = static_cast<Links*>(morsel_calloc(morsel_, 1, sizeof(Links)));
    Must(morsel_persist(morsel_, links, sizeof *links));
    Must(morsel_set_root(morsel_, "links", links));
    Must(morsel_close(morsel_));
    Must(morsel_pool_close(pool_));
  }

  static void Must(morsel_code code) {
    if (code == MORSEL_OK) return;
    std::fprintf(stderr, "%s\n", morsel_last_error());
    _exit(2);
  }

  void Open(uint32_t flags = 0) {
    morsel_pool_options options = {};
    options.struct_size = sizeof options;
    options.flags = flags | MORSEL_CARVED;
    options.size_bytes = kPoolBytes;
    const morsel_pool_options* const given = flags == 0 ? nullptr : &options;
    Must(morsel_pool_open(scratch_.At("pool").c_str(), given, &pool_));
    morsel_options fine = {};
    fine.struct_size = sizeof fine;
    fine.flags = flags | MORSEL_FINE;
    fine.size_bytes = fine.capacity_bytes = kMorselBytes;
    Must(morsel_open(pool_, "m", flags == 0 ? nullptr : &fine, &morsel_));
    links_ = static_cast<Links*>(morsel_root(morsel_, "links"));
  }

  /// Each process opens the pool anew, as after a crash.
  static void InChild(const std::function<void()>& work) {
    const pid_t child = fork();
    if (child == 0) {
      work();
      _exit(1);  // it was to end before
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }

  uint8_t* NewObject(uint64_t object) {
    auto* const bytes = static_cast<uint8_t*>(morsel_malloc(morsel_, SizeOf(object)));
    if (bytes != nullptr) std::memset(bytes, static_cast<int>(object + 1), SizeOf(object));
    return bytes;
  }

  void Link(uint64_t object, uint8_t* bytes) {
    links_->objects[object] = bytes;
    Must(morsel_persist(morsel_, &links_->objects[object], sizeof bytes));
  }

  void MakeObjects(uint64_t first, uint64_t end) {
    for (uint64_t object = first; object < end; ++object) {
      uint8_t* const bytes = NewObject(object);
      Must(morsel_persist(morsel_, bytes, SizeOf(object)));
      Link(object, bytes);
    }
  }

  /// Ends well if `linked` objects are there and whole, also when all room that is left is taken.
  void ExpectWhole(uint64_t linked) {
    InChild([this, linked] {
      Open();
      while (auto* const bytes = static_cast<uint8_t*>(morsel_malloc(morsel_, 48))) {
        std::memset(bytes, 0xff, 48);
      }
      uint64_t found = 0;
      for (uint64_t object = 0; object < kObjects; ++object) {
        const uint8_t* const bytes = links_->objects[object];
        found += bytes != nullptr;
        for (uint64_t i = 0; bytes != nullptr && i < SizeOf(object); ++i) {
          if (bytes[i] == object + 1) continue;
          std::fprintf(stderr, "byte %d of object %d is another's\n", int(i), int(object));
          _exit(3);
        }
      }
      if (found != linked) std::fprintf(stderr, "%d objects are linked\n", int(found));
      _exit(found == linked ? 0 : 3);
    });
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
  Links* links_ = nullptr;
  void* base_ = nullptr;  ///< of the morsel, in each process
};

TEST_F(HeapCutTest, PersistedObjectsSurviveAndOthersAreLost) {
  InChild([this] {
    Open();
    PowerCut::Get().Watch(morsel_base(morsel_), kMorselBytes);
    MakeObjects(0, 50);
    if (PowerCut::Get().fences == 0) _exit(4);  // the library goes past what stands in its way
    links_->objects[50] = NewObject(50);        // never persisted
    PowerCut::Get().Cut();
  });
  ExpectWhole(50);
}

// The link is undecided in each of these images; what it leads to is not.
TEST_F(HeapCutTest, EveryImageIsWhole) {
  InChild([this] {
    Open();
    MakeObjects(0, 30);
    PowerCut::Get().Watch(morsel_base(morsel_), kMorselBytes);
    for (uint64_t object = 0; object < 30; object += 3) {
      uint8_t* const before = links_->objects[object];
      Link(object, nullptr);
      morsel_free(morsel_, before);
    }
    MakeObjects(30, 40);
    PowerCut::Get().CutLeaving(3);
  });
  ExpectWhole(30);
}

TEST_F(HeapCutTest, WhatAKilledProcessFreedIsGivenToNobodyTwice) {
  const std::string kept = scratch_.At("kept");
  InChild([this, &kept] {
    Open();
    PowerCut::Get().Watch(morsel_base(morsel_), kMorselBytes);
    MakeObjects(0, 60);
    for (uint64_t object = 0; object < 60; object += 2) {
      uint8_t* const before = links_->objects[object];
      Link(object, nullptr);
      morsel_free(morsel_, before);
    }
    PowerCut::Get().Kill(kept);
  });
  InChild([this, &kept] {
    PowerCut::Get().WatchAfterKill(base_, kMorselBytes, kept);
    Open();
    MakeObjects(60, 100);
    PowerCut::Get().Cut();
  });
  ExpectWhole(70);
}

TEST_F(HeapCutTest, ObjectsThatThreadsHandOverSurvive) {
  InChild([this] {
    Open();
    PowerCut::Get().Watch(morsel_base(morsel_), kMorselBytes);
    std::vector<uint8_t*> objects(40);
    std::thread([&] {
      for (uint64_t object = 0; object < 40; ++object) objects[object] = NewObject(object);
    }).join();
    std::thread([&] {
      for (uint64_t object = 0; object < 40; ++object) {
        Must(morsel_persist(morsel_, objects[object], SizeOf(object)));
        Link(object, objects[object]);
      }
    }).join();
    PowerCut::Get().Cut();
  });
  ExpectWhole(40);
}

}  // namespace
}  // namespace morsel::sim
