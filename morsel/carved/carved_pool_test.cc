#include "morsel/carved/carved_pool.h"

#include <gtest/gtest.h>

#include <string>

#include "base/bits.h"
#include "base/error.h"
#include "base/units.h"
#include "morsel/carved/carved_pool_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

using CarvedPoolTest = CarvedPoolFixture;

TEST_F(CarvedPoolTest, AMorselIsAtItsAddressWithItsBytesAfterEveryOpen) {
  uint64_t base = 0;
  {
    auto pool = MakePool();
    EXPECT_EQ(pool->granularity_bytes(Contract::kFine), kLineBytes);
    auto backing =
        pool->Create(Wanted("graph", 3), [](const CatalogRecord& record, pmem::Persist persist) {
          auto* const first = reinterpret_cast<uint64_t*>(record.base);
          pmem::Store(first, 42);
          persist.Range(first, sizeof *first);
        });
    ASSERT_TRUE(backing.has_value()) << LastError();
    base = (*backing)->record().base;
    EXPECT_EQ(*At(**backing, 0), 42u);
    EXPECT_EQ(*static_cast<uint64_t*>((*backing)->process_page()), 0u);
    pmem::Store(At(**backing, 3 * kSubtreeBytes - 8), 43);
    ASSERT_TRUE((*backing)->Checkpoint(1234).ok());
    ExpectWhole(*pool);
  }
  for (const bool read_only : {true, false}) {
    auto pool = OpenPool(read_only);
    auto backing = OpenMorsel(*pool, "graph", read_only);
    EXPECT_EQ(backing->record().base, base);
    EXPECT_EQ(backing->record().live_bytes, 1234u);
    EXPECT_EQ(backing->record().generation, 1u);
    EXPECT_EQ(*At(*backing, 0), 42u);
    EXPECT_EQ(*At(*backing, 3 * kSubtreeBytes - 8), 43u);
    ExpectWhole(*pool);
  }
}

TEST_F(CarvedPoolTest, GrowsAndShrinksInPlaceAndWhatIsNewIsZero) {
  auto pool = MakePool();
  auto backing = Make(*pool, "a");
  auto other = Make(*pool, "b");  // so that a's subtrees are not adjacent
  ASSERT_TRUE(backing->Resize(5 * kSubtreeBytes).ok()) << LastError();
  for (uint64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(*At(*backing, i * kSubtreeBytes), 0u);
    pmem::Store(At(*backing, i * kSubtreeBytes), i + 1);
  }
  ASSERT_TRUE(backing->Resize(2 * kSubtreeBytes).ok()) << LastError();
  ASSERT_TRUE(other->Resize(4 * kSubtreeBytes).ok()) << LastError();
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(*At(*other, i * kSubtreeBytes), 0u);
  ASSERT_TRUE(backing->Resize(6 * kSubtreeBytes).ok()) << LastError();
  for (uint64_t i = 0; i < 6; ++i) EXPECT_EQ(*At(*backing, i * kSubtreeBytes), i < 2 ? i + 1 : 0);
  backing.reset();
  other.reset();
  pool.reset();
  pool = OpenPool();
  backing = OpenMorsel(*pool, "a");
  EXPECT_EQ(backing->record().size_bytes, 6 * kSubtreeBytes);
  for (uint64_t i = 0; i < 6; ++i) EXPECT_EQ(*At(*backing, i * kSubtreeBytes), i < 2 ? i + 1 : 0);
  ExpectWhole(*pool);
}

TEST_F(CarvedPoolTest, NamesAndSpaceAreUsedAgainAfterRemove) {
  auto pool = MakePool(10 * kMiB);  // four subtrees
  for (int round = 0; round < 10; ++round) {
    auto backing = Make(*pool, "a", 4);
    EXPECT_EQ(*At(*backing, 0), 0u);
    pmem::Store(At(*backing, 0), 7);
    EXPECT_EQ(pool->Create(Wanted("a"), kNoFormat).error(), Code::kExists);
    EXPECT_EQ(pool->Create(Wanted("b"), kNoFormat).error(), Code::kNoSpace);
    EXPECT_EQ(backing->Resize(5 * kSubtreeBytes).code(), Code::kNoSpace);
    backing.reset();
    ASSERT_TRUE(pool->Remove("a").ok()) << LastError();
    EXPECT_EQ(pool->Find("a").error(), Code::kNotFound);
    EXPECT_EQ(pool->Remove("a").code(), Code::kNotFound);
    ExpectWhole(*pool);
  }
}

TEST_F(CarvedPoolTest, GiantSubtreesLieOnTheirBoundariesAndAreNotInTheWayOfHugeOnes) {
  os::ScriptedCalls calls(os::Omit(os::Call::kAllocate));  // the file stays sparse
  auto made = CarvedPool::Create(path_, 4 * kGiantBytes, 0600, calls);
  ASSERT_TRUE(made.has_value()) << LastError();
  impl::Pool& pool = **made;
  auto huge = Make(pool, "huge", 16);
  CatalogRecord wanted = Wanted("giant");
  wanted.giant = true;
  wanted.capacity_bytes = 4 * kGiantBytes;
  wanted.size_bytes = kGiantBytes;
  auto giant = pool.Create(wanted, kNoFormat);
  ASSERT_TRUE(giant.has_value()) << LastError();
  EXPECT_TRUE(IsAligned((*giant)->record().base, kGiantBytes));
  ASSERT_TRUE((*giant)->Resize(3 * kGiantBytes).ok()) << LastError();
  for (uint64_t i = 0; i < 3; ++i) pmem::Store(At(**giant, (i + 1) * kGiantBytes - 8), i + 1);
  EXPECT_EQ((*giant)->Resize(4 * kGiantBytes).code(), Code::kNoSpace);
  EXPECT_EQ((*giant)->Resize(2 * kGiantBytes + kSubtreeBytes).code(), Code::kInvalidArgument);
  ASSERT_TRUE((*giant)->Resize(2 * kGiantBytes).ok()) << LastError();
  ExpectWhole(pool);
  giant->reset();
  huge.reset();
  made->reset();
  auto again = OpenPool();
  auto opened = OpenMorsel(*again, "giant");
  EXPECT_EQ(opened->record().size_bytes, 2 * kGiantBytes);
  for (uint64_t i = 0; i < 2; ++i) EXPECT_EQ(*At(*opened, (i + 1) * kGiantBytes - 8), i + 1);
  ExpectWhole(*again);
}

}  // namespace
}  // namespace morsel
