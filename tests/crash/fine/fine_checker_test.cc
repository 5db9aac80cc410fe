// Negative tests of the checker: it reports each kind of damage that it is there to find.
#include "tests/crash/fine/fine_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "alloc/heap/layout/size_class.h"
#include "os/testing/scratch_testing.h"
#include "tests/crash/blocks.h"
#include "tests/crash/fine/fine_pool.h"
#include "tests/crash/fine/fine_writer.h"
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
    EXPECT_EQ(writer.Wait(), "") << log_->failure.text;
  }

  Findings Check() {
    return FindInChild(
        [&] { return CheckFine(pool_path_, {.seed = 2, .fresh_blocks = 1000}, *log_); });
  }

  /// In a process that has the pool open.
  void Change(const std::function<void(morsel_t*)>& change) {
    const Findings findings = FindInChild([&] {
      OpenedFinePool opened;
      if (const std::string why = OpenFinePool(pool_path_, &opened); !why.empty()) {
        return Findings{why};
      }
      change(opened.morsel);
      return OneIfAny(CloseFinePool(&opened));
    });
    EXPECT_THAT(findings, IsEmpty());
  }

  /// The slot of some object that is larger than its header.
  std::pair<uint64_t, uint64_t> FullSlot() {
    for (uint64_t partition = 0; partition < kPartitions; ++partition) {
      for (uint64_t slot = 0; slot < kArraySlots; ++slot) {
        if (log_->partitions[partition].slots[slot].size_bytes > 100) return {partition, slot};
      }
    }
    ADD_FAILURE() << "the writer left no object";
    return {};
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string pool_path_ = scratch_.At("pool");
  SharedFile<FineLog> log_{scratch_.At("log")};
};

TEST_F(FineChecker, FindsAnObjectOfAnotherSerial) {
  const auto [partition, slot] = FullSlot();
  ++log_->partitions[partition].slots[slot].serial;
  EXPECT_THAT(Check(), Contains(HasSubstr("is due")));
}

TEST_F(FineChecker, FindsAnObjectThatTheLogDoesNotHave) {
  const auto [partition, slot] = FullSlot();
  log_->partitions[partition].slots[slot] = {};
  EXPECT_THAT(Check(), Contains(HasSubstr("where no object is due")));
}

TEST_F(FineChecker, FindsALostObject) {
  const auto [partition, slot] = FullSlot();
  Change([&](morsel_t* morsel) { *ArraySlot(morsel, partition, slot) = 0; });
  EXPECT_THAT(Check(), Contains(HasSubstr("it is empty where object")));
}

TEST_F(FineChecker, FindsAChangedByte) {
  const auto [partition, slot] = FullSlot();
  const uint64_t last = log_->partitions[partition].slots[slot].size_bytes - 1;
  Change(
      [&](morsel_t* morsel) { static_cast<char*>(Pointee(morsel, partition, slot))[last] ^= 1; });
  EXPECT_THAT(Check(), Contains(HasSubstr("at offset")));
}

TEST_F(FineChecker, FindsAnObjectInTwoSlots) {
  const auto [partition, slot] = FullSlot();
  uint64_t empty = 0;
  while (log_->partitions[partition].slots[empty]) ++empty;
  Change([&](morsel_t* morsel) {
    *ArraySlot(morsel, partition, empty) = *ArraySlot(morsel, partition, slot);
  });
  log_->partitions[partition].slots[empty] = log_->partitions[partition].slots[slot];
  EXPECT_THAT(Check(), Contains(HasSubstr("share bytes")));
}

TEST_F(FineChecker, FindsFreeingBeforeUnlinking) {
  Write(Lie::kFreesBeforeUnlinking);
  EXPECT_THAT(Check(), Contains(HasSubstr("which is not the start of an allocated block")));
}

TEST_F(FineChecker, FindsABlockWithoutAnOwner) {
  Write(Lie::kForgetsABlock);
  EXPECT_THAT(Check(), Contains(HasSubstr("blocks are allocated that nobody reaches")));
}

TEST_F(FineChecker, FindsADamagedHeap) {
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
