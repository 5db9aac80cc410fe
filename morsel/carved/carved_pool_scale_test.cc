// A pool of 1 TiB with as many morsels as a pool can have. The tests count words and system calls,
// and measure no time.
#include <sys/mman.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>
#include <future>
#include <random>
#include <thread>

#include "morsel/carved/carved_pool_superblock.h"
#include "morsel/carved/carved_pool_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

constexpr uint64_t kTebibyte = uint64_t{1} << 40;
constexpr uint64_t kCapacityBytes = 512 * kMiB;
/// With room for that many.
constexpr Window kWideWindow = {0x100100000000, 0x500000000000};
constexpr alloc::SubtreeRole kHuge = alloc::SubtreeRole::kHuge;

// The metadata of such a pool in memory: no file system has the space.
class FullMetadataTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto plan = PlanSuperblock(kTebibyte, kWideWindow, Id{1}, "pool 'test'");
    ASSERT_TRUE(plan.has_value()) << LastError();
    plan_ = *plan;
    void* const memory = mmap(nullptr, plan_.metadata_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    memory_ = static_cast<char*>(memory);
    FormatPool(memory_, plan_, pmem::VolatilePersist());
  }
  ~FullMetadataTest() override {
    if (memory_ != nullptr) munmap(memory_, plan_.metadata_bytes);
  }

  std::unique_ptr<CarvedMetadata> Open() {
    auto metadata = CarvedMetadata::Open(memory_, plan_, pmem::VolatilePersist(),
                                         CarvedMetadata::Access::kWrite, "pool 'test'");
    EXPECT_TRUE(metadata.has_value()) << LastError();
    return metadata.has_value() ? std::move(*metadata) : nullptr;
  }
  // Sets the protection of the map: with PROT_NONE an access to it ends the process.
  void ProtectMap(int protection) {
    ASSERT_EQ(
        mprotect(memory_ + plan_.map_offset, plan_.metadata_bytes - plan_.map_offset, protection),
        0);
  }
  static std::string NameOf(uint64_t number) { return "morsel-" + std::to_string(number); }

  // Makes a morsel at a base that is chosen as ReserveNew() does, by a number in place of the id.
  void Create(CarvedMetadata& metadata, uint64_t number) {
    const Catalog& catalog = metadata.catalog();
    const uint64_t room = plan_.window_end - plan_.window_begin;
    const uint64_t first = plan_.window_begin + random_() % (room / kSubtreeBytes) * kSubtreeBytes;
    const auto base_from = [&](uint64_t from) {
      return catalog.Ranges().FirstFree(from, plan_.window_end, RangeBytes(kCapacityBytes),
                                        kSubtreeBytes);
    };
    auto base = base_from(first);
    if (!base) base = base_from(plan_.window_begin);
    ASSERT_TRUE(base.has_value()) << number;
    CatalogRecord record;
    record.name = NameOf(number);
    record.contract = Contract::kFine;
    std::memcpy(record.id.data(), &number, sizeof number);
    record.base = *base;
    record.capacity_bytes = kCapacityBytes;
    record.size_bytes = kSubtreeBytes;
    const auto subtrees = metadata.Reserve(kHuge, kSubtreeBytes);
    ASSERT_TRUE(subtrees.has_value()) << LastError();
    metadata.Create(*catalog.FreeSlot(), record, *subtrees);
  }
  // How much has been looked at so far to find slots, addresses and subtrees.
  static uint64_t LookedAt(CarvedMetadata& metadata) {
    return metadata.catalog().looked_at() + metadata.catalog().Ranges().looked_at() +
           metadata.map().looked_at();
  }

  PoolSuperblock plan_{};
  char* memory_ = nullptr;
  std::mt19937_64 random_{20};
};

TEST_F(FullMetadataTest, CreateAndRemoveAmong65536MorselsTakeAFewLooks) {
  {
    auto metadata = Open();
    ASSERT_NE(metadata, nullptr);
    uint64_t before = LookedAt(*metadata);
    for (uint64_t i = 0; i < kSlotsMax; ++i) ASSERT_NO_FATAL_FAILURE(Create(*metadata, i));
    EXPECT_LE(LookedAt(*metadata) - before, 40 * kSlotsMax);
    EXPECT_EQ(metadata->catalog().FreeSlot().error(), Code::kNoSpace);

    before = LookedAt(*metadata);
    constexpr uint64_t kReplaced = 2'000;
    for (uint64_t i = 0; i < kReplaced; ++i) {
      const uint64_t number = i * 31 % kSlotsMax;
      metadata->Remove(*metadata->catalog().Find(NameOf(number)));
      ASSERT_NO_FATAL_FAILURE(Create(*metadata, number));
    }
    EXPECT_LE(LookedAt(*metadata) - before, 60 * kReplaced);
    metadata->Close();
  }
  ASSERT_NO_FATAL_FAILURE(ProtectMap(PROT_NONE));
  auto metadata = Open();  // which reads the catalog, and no word of the map
  ASSERT_NE(metadata, nullptr);
  ASSERT_EQ(metadata->catalog().List().size(), kSlotsMax);
  ASSERT_NO_FATAL_FAILURE(ProtectMap(PROT_READ | PROT_WRITE));

  std::vector<bool> owned(plan_.subtree_count);
  for (uint64_t i = 0; i < kSlotsMax; ++i) {
    const auto slot = metadata->catalog().Find(NameOf(i));
    ASSERT_TRUE(slot.has_value()) << LastError();
    const auto subtrees = metadata->Subtrees(*slot);
    ASSERT_TRUE(subtrees.has_value()) << LastError();
    ASSERT_EQ(subtrees->size(), 1u);
    EXPECT_FALSE(owned[(*subtrees)[0].value()]) << NameOf(i);
    owned[(*subtrees)[0].value()] = true;
  }
  EXPECT_EQ(metadata->Validate(), std::vector<std::string>());
}

using CarvedPoolScaleTest = CarvedPoolFixture;

TEST_F(CarvedPoolScaleTest, FormatAndOpenOfATebibyteTouchItsMetadataOnly) {
  os::ScriptedCalls calls;
  uint64_t metadata_bytes = 0;
  {
    const auto pool = CarvedPool::Create(path_, kTebibyte, 0600, calls);
    ASSERT_TRUE(pool.has_value()) << LastError();
    metadata_bytes = static_cast<CarvedPool&>(**pool).superblock().metadata_bytes;
  }
  EXPECT_LE(metadata_bytes, 40 * kMiB);
  EXPECT_LE(calls.size_bytes(os::Call::kAllocate), 2 * metadata_bytes) << "once made, once opened";
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_size), kTebibyte);
  EXPECT_LE(static_cast<uint64_t>(status.st_blocks) * 512, metadata_bytes);

  calls.CountAnew();
  const auto pool = CarvedPool::Open(path_, false, calls);
  ASSERT_TRUE(pool.has_value()) << LastError();
  EXPECT_LE(calls.count(os::Call::kAllocate), 1u);
  const uint64_t others = calls.count(os::Call::kRead) + calls.count(os::Call::kWrite) +
                          calls.count(os::Call::kDataSync);
  EXPECT_LE(others, 1u) << "the superblocks; the rest is mapped";
}

TEST_F(CarvedPoolScaleTest, CreateMakesAsManyCallsBesideManyMorselsAsBesideNone) {
  os::ScriptedCalls calls(os::Omit(os::Call::kAllocate));
  const auto pool = CarvedPool::Create(path_, kTebibyte, 0600, calls);
  ASSERT_TRUE(pool.has_value()) << LastError();
  const auto made = [&](int number) {
    calls.CountAnew();
    CatalogRecord record = Wanted("morsel-" + std::to_string(number));
    EXPECT_TRUE((*pool)->Create(record, kNoFormat).has_value()) << LastError();
    return calls.count();
  };
  const int64_t first = made(0);
  for (int number = 1; number < 500; ++number) ASSERT_EQ(made(number), first);
}

// Set in the thread whose next sync waits.
thread_local bool waits = false;

// The sync of one morsel's new space waits until the other has grown.
TEST_F(CarvedPoolScaleTest, AMorselGrowsWhileTheSpaceOfAnotherIsFilled) {
  std::promise<void> entered;
  std::promise<void> may_leave;
  bool had_to_give_up = false;
  os::ScriptedCalls calls([&](const os::Call& call) {
    if (call.kind != os::Call::kDataSync || !waits) return 0;
    waits = false;
    entered.set_value();
    const auto waited = may_leave.get_future().wait_for(std::chrono::seconds(20));
    had_to_give_up = waited != std::future_status::ready;
    return 0;
  });
  const auto pool = CarvedPool::Create(path_, 34 * kMiB, 0600, calls);
  ASSERT_TRUE(pool.has_value()) << LastError();
  const auto one = Make(**pool, "one");
  const auto other = Make(**pool, "other");
  std::thread slow([&] {
    waits = true;
    EXPECT_TRUE(one->Resize(3 * kSubtreeBytes).ok()) << LastError();
  });
  entered.get_future().wait();
  EXPECT_TRUE(other->Resize(2 * kSubtreeBytes).ok()) << LastError();
  may_leave.set_value();
  slow.join();
  EXPECT_FALSE(had_to_give_up);
  // The stored words show that no subtree belongs to both.
  for (uint64_t i = 0; i < 3; ++i) *At(*one, i * kSubtreeBytes) = 10 + i;
  for (uint64_t i = 0; i < 2; ++i) *At(*other, i * kSubtreeBytes) = 20 + i;
  for (uint64_t i = 0; i < 3; ++i) EXPECT_EQ(*At(*one, i * kSubtreeBytes), 10 + i);
  for (uint64_t i = 0; i < 2; ++i) EXPECT_EQ(*At(*other, i * kSubtreeBytes), 20 + i);
  ExpectWhole(**pool);
}

}  // namespace
}  // namespace morsel
