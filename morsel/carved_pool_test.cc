#include "morsel/carved_pool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/units.h"

namespace morsel {
namespace {

using pmem::KernelCalls;

// A file on /dev/shm stands in for persistent memory. libpmem2 reads its
// variable at its first use, so it is set before main().
const bool kForced = setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1) == 0;

const Formatter kNoFormat = [](const Record&, pmem::Persist) {};

class CarvedPoolTest : public testing::Test {
 protected:
  CarvedPoolTest() {
    static int number = 0;
    path_ = "/dev/shm/morsel-carved-pool-test-" + std::to_string(getpid()) + "-" +
            std::to_string(number++);
  }
  ~CarvedPoolTest() override { unlink(path_.c_str()); }

  std::unique_ptr<AbstractPool> MakePool(uint64_t size_bytes = 34 * kMiB) {
    auto pool = CarvedPool::Create(path_, size_bytes, 0600, KernelCalls());
    EXPECT_TRUE(pool.has_value()) << LastError();
    return pool.has_value() ? std::move(*pool) : nullptr;
  }
  std::unique_ptr<AbstractPool> OpenPool(bool read_only = false) {
    auto pool = CarvedPool::Open(path_, read_only, KernelCalls());
    EXPECT_TRUE(pool.has_value()) << LastError();
    return pool.has_value() ? std::move(*pool) : nullptr;
  }
  static Record Wanted(const std::string& name, uint64_t subtrees = 1, uint64_t capacity = 16) {
    Record record;
    record.name = name;
    record.contract = Contract::kFine;
    record.size_bytes = subtrees * kSubtreeBytes;
    record.capacity_bytes = capacity * kSubtreeBytes;
    return record;
  }
  static std::unique_ptr<Backing> Make(AbstractPool& pool, const std::string& name,
                                       uint64_t subtrees = 1) {
    auto backing = pool.Create(Wanted(name, subtrees), kNoFormat);
    EXPECT_TRUE(backing.has_value()) << LastError();
    return backing.has_value() ? std::move(*backing) : nullptr;
  }
  static std::unique_ptr<Backing> OpenMorsel(AbstractPool& pool, const std::string& name,
                                             bool read_only = false) {
    auto backing = pool.Open(name, read_only);
    EXPECT_TRUE(backing.has_value()) << LastError();
    return backing.has_value() ? std::move(*backing) : nullptr;
  }
  static void ExpectWhole(AbstractPool& pool) {
    const Status checked = pool.Check([](const Finding& finding) {
      ADD_FAILURE() << finding.subject << ": " << finding.sentence;
    });
    EXPECT_TRUE(checked.ok()) << LastError();
  }
  static uint64_t* At(const Backing& backing, uint64_t offset) {
    return reinterpret_cast<uint64_t*>(backing.record().base + offset);
  }

  std::string path_;
};

TEST_F(CarvedPoolTest, AMorselIsAtItsAddressWithItsBytesAfterEveryOpen) {
  uint64_t base = 0;
  {
    auto pool = MakePool();
    EXPECT_EQ(pool->granularity_bytes(), kLineBytes);
    auto backing =
        pool->Create(Wanted("graph", 3), [](const Record& record, pmem::Persist persist) {
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

}  // namespace
}  // namespace morsel
