// The checker is no decoration: of each thing that must not be, it says so.
#include "tests/crash/direct_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "alloc/heap/layout/size_class.h"
#include "os/testing/scratch_testing.h"
#include "tests/crash/blocks.h"
#include "tests/crash/direct_pool.h"
#include "tests/crash/direct_writer.h"
#include "tests/crash/shared_file.h"

namespace morsel::crash {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class DirectChecker : public testing::Test {
 protected:
  void SetUp() override {
    ForceGranularity();
    EXPECT_THAT(FindInChild([&] { return OneIfAny(MakeDirect(pool_path_)); }), IsEmpty());
    Write(Lie::kNone);
    EXPECT_THAT(Check(), IsEmpty());
  }

  static Findings OneIfAny(const std::string& why) {
    return why.empty() ? Findings() : Findings{why};
  }

  void Write(Lie lie) {
    Child writer([&] { return RunDirectWriter(pool_path_, 1, 3, lie, *log_); });
    EXPECT_EQ(writer.Wait(), "") << log_->complaint.text;
  }

  Findings Check() {
    return FindInChild(
        [&] { return CheckDirect(pool_path_, {.seed = 2, .fresh_blocks = 1000}, *log_); });
  }

  /// In a process that has the pool open.
  void Change(const std::function<void(morsel_t*)>& change) {
    const Findings findings = FindInChild([&] {
      OpenedDirect opened;
      if (const std::string why = OpenDirect(pool_path_, &opened); !why.empty()) {
        return Findings{why};
      }
      change(opened.morsel);
      return OneIfAny(CloseDirect(&opened));
    });
    EXPECT_THAT(findings, IsEmpty());
  }

  /// The slot of some object that is larger than its header.
  std::pair<uint64_t, uint64_t> FullSlot() {
    for (uint64_t shelf = 0; shelf < kShelves; ++shelf) {
      for (uint64_t slot = 0; slot < kArraySlots; ++slot) {
        if (log_->shelves[shelf].slots[slot].size_bytes > 100) return {shelf, slot};
      }
    }
    ADD_FAILURE() << "the writer left no object";
    return {};
  }

  pmem::Scratch scratch_ = pmem::Scratch::InMemory();
  std::string pool_path_ = scratch_.At("pool");
  SharedFile<DirectLog> log_{scratch_.At("log")};
};

TEST_F(DirectChecker, SeesAModelThatIsOneObjectOff) {
  const auto [shelf, slot] = FullSlot();
  ++log_->shelves[shelf].slots[slot].serial;
  EXPECT_THAT(Check(), Contains(HasSubstr("is due")));
}

TEST_F(DirectChecker, SeesAnObjectThatTheModelHasForgotten) {
  const auto [shelf, slot] = FullSlot();
  log_->shelves[shelf].slots[slot] = {};
  EXPECT_THAT(Check(), Contains(HasSubstr("where no object is due")));
}

TEST_F(DirectChecker, SeesALostObject) {
  const auto [shelf, slot] = FullSlot();
  Change([&](morsel_t* morsel) { *ArraySlot(morsel, shelf, slot) = 0; });
  EXPECT_THAT(Check(), Contains(HasSubstr("it is empty where object")));
}

TEST_F(DirectChecker, SeesAByteChanged) {
  const auto [shelf, slot] = FullSlot();
  const uint64_t last = log_->shelves[shelf].slots[slot].size_bytes - 1;
  Change([&](morsel_t* morsel) { static_cast<char*>(Pointee(morsel, shelf, slot))[last] ^= 1; });
  EXPECT_THAT(Check(), Contains(HasSubstr("at offset")));
}

TEST_F(DirectChecker, SeesTwoSlotsWithOneObject) {
  const auto [shelf, slot] = FullSlot();
  uint64_t empty = 0;
  while (log_->shelves[shelf].slots[empty]) ++empty;
  Change([&](morsel_t* morsel) {
    *ArraySlot(morsel, shelf, empty) = *ArraySlot(morsel, shelf, slot);
  });
  log_->shelves[shelf].slots[empty] = log_->shelves[shelf].slots[slot];
  EXPECT_THAT(Check(), Contains(HasSubstr("share bytes")));
}

TEST_F(DirectChecker, SeesAWriterThatFreesBeforeUnlinking) {
  Write(Lie::kFreesBeforeUnlinking);
  EXPECT_THAT(Check(), Contains(HasSubstr("which is not the start of an allocated block")));
}

TEST_F(DirectChecker, SeesAForgottenBlock) {
  Write(Lie::kForgetsABlock);
  EXPECT_THAT(Check(), Contains(HasSubstr("blocks are allocated that nobody reaches")));
}

TEST_F(DirectChecker, SeesADamagedHeap) {
  Change([](morsel_t* morsel) {
    for (const Block& block : AllocatedBlocks(morsel)) {
      // Slabs of such blocks are one unit long and begin with a magic number.
      if (block.size_bytes > 1024) continue;
      *reinterpret_cast<uint64_t*>(block.address / alloc::kUnitBytes * alloc::kUnitBytes) = 0;
      return;
    }
  });
  EXPECT_THAT(Check(), Contains(HasSubstr("validating: ")));
}

TEST_F(DirectChecker, SeesALostMorsel) {
  log_->side.store(Presence::kPresent);
  const Findings findings = FindInChild([&] {
    morsel_pool_t* pool = nullptr;
    if (morsel_pool_open(pool_path_.c_str(), nullptr, &pool) != MORSEL_OK) return Findings{"open"};
    (void)morsel_remove(pool, kSideName);
    return morsel_pool_close(pool) == MORSEL_OK ? Findings() : Findings{"close"};
  });
  EXPECT_THAT(findings, IsEmpty());
  EXPECT_THAT(Check(), Contains("the side morsel is lost"));
}

TEST(FirstOverlap, SaysWhoSharesBytes) {
  EXPECT_EQ(FirstOverlap({{{32, 16}, "a"}, {{0, 16}, "b"}, {{16, 16}, "c"}}), "");
  EXPECT_THAT(FirstOverlap({{{32, 16}, "a"}, {{0, 17}, "b"}, {{16, 16}, "c"}}),
              HasSubstr("b and c share bytes"));
}

}  // namespace
}  // namespace morsel::crash
