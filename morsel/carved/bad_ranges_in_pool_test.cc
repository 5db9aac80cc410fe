#include "morsel/carved/bad_ranges_in_pool.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/units.h"
#include "morsel/carved/carved_pool_superblock.h"

namespace morsel {
namespace {

constexpr uint64_t kPoolBytes = 64 * kMiB;
constexpr Window kWindow = {kGiantBytes, 64 * kGiantBytes};

struct Free {
  void operator()(char* memory) const { std::free(memory); }
};

// The metadata of a pool with two morsels: 'a' has the first two subtrees and the fourth, 'b' has
// the third.
class BadRangesInPoolTest : public testing::Test {
 protected:
  void SetUp() override {
    plan_ = *PlanSuperblock(kPoolBytes, kWindow, Id{1}, "pool 'test'");
    memory_.reset(static_cast<char*>(std::aligned_alloc(kPageBytes, plan_.metadata_bytes)));
    FormatPool(memory_.get(), plan_, pmem::VolatilePersist());
    Result<std::unique_ptr<CarvedMetadata>> metadata =
        CarvedMetadata::Open(memory_.get(), plan_, pmem::VolatilePersist(),
                             CarvedMetadata::Access::kWrite, "pool 'test'");
    ASSERT_TRUE(metadata.has_value()) << LastError();
    metadata_ = std::move(*metadata);
    const SlotIndex a = Make("a", 1, 2);
    Make("b", 2, 1);
    metadata_->Grow(a, *metadata_->Reserve(alloc::SubtreeRole::kHuge, kSubtreeBytes));
  }
  SlotIndex Make(const std::string& name, unsigned char number, uint64_t subtrees) {
    const SlotIndex slot = *metadata_->catalog().FreeSlot();
    CatalogRecord record;
    record.name = name;
    record.id = Id{number};
    record.contract = Contract::kFine;
    record.base = number * kGiantBytes;
    record.capacity_bytes = 8 * kSubtreeBytes;
    record.size_bytes = subtrees * kSubtreeBytes;
    metadata_->Create(slot, record,
                      *metadata_->Reserve(alloc::SubtreeRole::kHuge, subtrees * kSubtreeBytes));
    return slot;
  }
  std::vector<Finding> Find(const std::vector<pmem::ByteRange>& bad) {
    Result<std::vector<Finding>> findings =
        FindingsOf(bad, *metadata_, "pool 'test'", "/dev/dax0.0");
    EXPECT_TRUE(findings.has_value()) << LastError();
    return findings ? *findings : std::vector<Finding>();
  }
  static bool Says(const Finding& finding, const char* words) {
    return finding.message.find(words) != std::string::npos;
  }

  PoolSuperblock plan_;
  std::unique_ptr<char, Free> memory_;
  std::unique_ptr<CarvedMetadata> metadata_;
};

TEST_F(BadRangesInPoolTest, WithoutBadRangesThereAreNoFindings) { EXPECT_TRUE(Find({}).empty()); }

TEST_F(BadRangesInPoolTest, AFindingNamesTheMorselAndTheOffset) {
  const std::vector<Finding> findings =
      Find({{plan_.data_offset + 3 * kSubtreeBytes + 0x5000, 4096}});
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].subject, "morsel 'a'");
  EXPECT_EQ(findings[0].code, Code::kIo);
  EXPECT_TRUE(Says(findings[0], "4096 bytes at offset 0x805000 of '/dev/dax0.0'"))
      << findings[0].message;
  EXPECT_TRUE(Says(findings[0], "offset 0x405000 of the morsel")) << findings[0].message;
}

TEST_F(BadRangesInPoolTest, ARangeAcrossTwoMorselsIsFoundInBoth) {
  const std::vector<Finding> findings = Find({{plan_.data_offset + 2 * kSubtreeBytes - 512, 1024}});
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].subject, "morsel 'a'");
  EXPECT_TRUE(Says(findings[0], "512 bytes at offset 0x5ffe00")) << findings[0].message;
  EXPECT_EQ(findings[1].subject, "morsel 'b'");
  EXPECT_TRUE(Says(findings[1], "offset 0x0 of the morsel")) << findings[1].message;
}

TEST_F(BadRangesInPoolTest, ARangeOfNoMorselIsThePools) {
  const std::vector<Finding> findings =
      Find({{4096, 512}, {plan_.data_offset + 6 * kSubtreeBytes, 512}});
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].subject, "pool 'test'");
  EXPECT_TRUE(Says(findings[0], "own tables")) << findings[0].message;
  EXPECT_TRUE(Says(findings[1], "free space")) << findings[1].message;
}

}  // namespace
}  // namespace morsel
