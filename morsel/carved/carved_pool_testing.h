// For tests: carved pools in files on /dev/shm, which stands in for persistent memory.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "morsel/carved/carved_pool.h"
#include "os/file/system_calls.h"
#include "os/testing/scratch_testing.h"

namespace morsel {

// Set before main(), so that libpmem2 finds it whenever it looks.
inline const bool kGranularityIsForced = setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1) == 0;

inline const Formatter kNoFormat = [](const CatalogRecord&, pmem::Persist) {};

class CarvedPoolFixture : public testing::Test {
 protected:
  std::unique_ptr<impl::Pool> MakePool(uint64_t size_bytes = 34 * kMiB) {
    auto pool = CarvedPool::Create(path_, size_bytes, 0600, os::KernelCalls());
    EXPECT_TRUE(pool.has_value()) << LastError();
    return pool.has_value() ? std::move(*pool) : nullptr;
  }
  std::unique_ptr<impl::Pool> OpenPool(bool read_only = false) {
    auto pool = CarvedPool::Open(path_, read_only, os::KernelCalls());
    EXPECT_TRUE(pool.has_value()) << LastError();
    return pool.has_value() ? std::move(*pool) : nullptr;
  }
  static CatalogRecord Wanted(const std::string& name, uint64_t subtrees = 1,
                              uint64_t capacity = 16) {
    CatalogRecord record;
    record.name = name;
    record.contract = Contract::kFine;
    record.size_bytes = subtrees * kSubtreeBytes;
    record.capacity_bytes = capacity * kSubtreeBytes;
    return record;
  }
  static std::unique_ptr<Backing> Make(impl::Pool& pool, const std::string& name,
                                       uint64_t subtrees = 1) {
    auto backing = pool.Create(Wanted(name, subtrees), kNoFormat);
    EXPECT_TRUE(backing.has_value()) << LastError();
    return backing.has_value() ? std::move(*backing) : nullptr;
  }
  static std::unique_ptr<Backing> OpenMorsel(impl::Pool& pool, const std::string& name,
                                             bool read_only = false) {
    auto backing = pool.Open(name, read_only);
    EXPECT_TRUE(backing.has_value()) << LastError();
    return backing.has_value() ? std::move(*backing) : nullptr;
  }
  static std::vector<CatalogRecord> Listed(impl::Pool& pool) {
    auto records = pool.List();
    EXPECT_TRUE(records.has_value()) << LastError();
    return records.has_value() ? std::move(*records) : std::vector<CatalogRecord>();
  }
  static void ExpectWhole(impl::Pool& pool) {
    const Status checked = pool.Check([](const Finding& finding) {
      ADD_FAILURE() << finding.subject << ": " << finding.message;
    });
    EXPECT_TRUE(checked.ok()) << LastError();
  }
  static uint64_t* At(const Backing& backing, uint64_t offset) {
    return reinterpret_cast<uint64_t*>(backing.record().base + offset);
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string path_ = scratch_.At("pool");
};

}  // namespace morsel
