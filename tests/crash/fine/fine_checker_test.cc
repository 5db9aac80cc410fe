// Negative tests of the checker: it reports each kind of damage that it is there to find.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "alloc/heap/layout/size_class.h"
#include "os/testing/scratch_testing.h"
#include "tests/crash/fine/fine_morsel.h"
#include "tests/crash/shared_file.h"

namespace morsel::crash {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class FineChecker : public testing::Test {
 protected:
  void SetUp() override {
    ForceGranularity();
    EXPECT_THAT(FindInChild([&] { return OneIfAny(MakeFinePool(pool_path_)); }), IsEmpty());
    Write(Lie::kNone);
    EXPECT_THAT(Check(), IsEmpty());
  }

  static Findings OneIfAny(const std::string& why) {
    return why.empty() ? Findings() : Findings{why};
  }

  void Write(Lie lie) {
    Child writer([&] { return RunFineWriter(pool_path_, 1, 3, lie, *log_); });
    EXPECT_EQ(writer.Wait(), "") << log_->work.failure.text;
  }

  Findings Check() {
    return FindInChild(
        [&] { return CheckFine(pool_path_, {.seed = 2, .fresh_blocks = 1000}, *log_); });
  }

  /// In a process that has the pool open.
  void Change(const std::function<void(FineMorsel&)>& change) {
    const Findings findings = FindInChild([&] {
      FineMorsel morsel(pool_path_, *log_);
      if (const std::string why = morsel.Open(); !why.empty()) return Findings{why};
      change(morsel);
      return OneIfAny(morsel.Close());
    });
    EXPECT_THAT(findings, IsEmpty());
  }

  /// What the log says of some object that is larger than its header, and its slot.
  Object& FullSlot(uint64_t* slot = nullptr) {
    auto& slots = log_->work.slots;
    const auto found = std::find_if(slots.begin(), slots.end(),
                                    [](const SlotLog& at) { return at.now.size_bytes > 100; });
    EXPECT_NE(found, slots.end()) << "the writer left no object";
    if (slot != nullptr) *slot = static_cast<uint64_t>(found - slots.begin());
    return found->now;
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string pool_path_ = scratch_.At("pool");
  SharedFile<FineLog> log_{scratch_.At("log")};
};

TEST_F(FineChecker, FindsAnObjectOfAnotherSerial) {
  ++FullSlot().serial;
  EXPECT_THAT(Check(), Contains(HasSubstr("is due")));
}

TEST_F(FineChecker, FindsAnObjectThatTheLogDoesNotHave) {
  FullSlot() = {};
  EXPECT_THAT(Check(), Contains(HasSubstr("where no object is due")));
}

TEST_F(FineChecker, FindsALostObject) {
  uint64_t slot = 0;
  FullSlot(&slot);
  Change([&](FineMorsel& morsel) { morsel.Point(slot, nullptr); });
  EXPECT_THAT(Check(), Contains(HasSubstr("it is empty where object")));
}

TEST_F(FineChecker, FindsAChangedByte) {
  uint64_t slot = 0;
  const uint64_t last = FullSlot(&slot).size_bytes - 1;
  Change([&](FineMorsel& morsel) { static_cast<char*>(morsel.Pointee(slot))[last] ^= 1; });
  EXPECT_THAT(Check(), Contains(HasSubstr("at offset")));
}

TEST_F(FineChecker, FindsAnObjectInTwoSlots) {
  uint64_t slot = 0;
  const Object object = FullSlot(&slot);
  const uint64_t other = slot == 0 ? 1 : 0;
  Change([&](FineMorsel& morsel) { morsel.Point(other, morsel.Pointee(slot)); });
  log_->work.slots[other].now = object;
  EXPECT_THAT(Check(), Contains(HasSubstr("share bytes")));
}

TEST_F(FineChecker, FindsFreeingBeforeUnlinking) {
  Write(Lie::kFreesBeforeUnlinking);
  EXPECT_THAT(Check(), Contains(HasSubstr("which is not the start of an allocated block")));
}

TEST_F(FineChecker, FindsABlockWithoutAnOwner) {
  Write(Lie::kForgetsABlock);
  EXPECT_THAT(Check(), Contains(HasSubstr("blocks are allocated that nobody was given")));
}

TEST_F(FineChecker, FindsADamagedHeap) {
  Change([](FineMorsel& morsel) {
    for (const Block& block : morsel.Allocated()) {
      // Slabs of such blocks are one unit long and begin with a magic number.
      if (block.size_bytes > 1024) continue;
      *reinterpret_cast<uint64_t*>(block.address / alloc::kUnitBytes * alloc::kUnitBytes) = 0;
      return;
    }
  });
  EXPECT_THAT(Check(), Contains(HasSubstr("validating: ")));
}

TEST_F(FineChecker, FindsALostMorsel) {
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

TEST(FirstOverlap, NamesTheOwnersOfOverlappingBlocks) {
  EXPECT_EQ(FirstOverlap({{{32, 16}, "a"}, {{0, 16}, "b"}, {{16, 16}, "c"}}), "");
  EXPECT_THAT(FirstOverlap({{{32, 16}, "a"}, {{0, 17}, "b"}, {{16, 16}, "c"}}),
              HasSubstr("b and c share bytes"));
}

}  // namespace
}  // namespace morsel::crash
