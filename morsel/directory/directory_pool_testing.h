// For tests: a directory pool, and its morsels as backings, without heaps.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "morsel/directory/directory_pool.h"
#include "os/testing/scratch_testing.h"

namespace morsel {

class DirectoryPoolFixture : public testing::Test {
 protected:
  explicit DirectoryPoolFixture(os::Scratch (*place)()) : scratch_(place()) {}

  void OpenPool(const DirectoryPoolOptions& options, os::SystemCalls& calls) {
    pool_.reset();
    Result<std::unique_ptr<impl::Pool>> pool = DirectoryPool::Open(path_, options, calls);
    ASSERT_TRUE(pool.has_value()) << LastError();
    pool_ = std::move(*pool);
  }
  static Result<std::unique_ptr<impl::Pool>> TryOpen(const std::string& path,
                                                     const DirectoryPoolOptions& options) {
    return DirectoryPool::Open(path, options, os::KernelCalls());
  }
  /// A snapshot morsel of that name.
  static CatalogRecord Wanted(const std::string& name, uint64_t size_bytes = kSubtreeBytes) {
    CatalogRecord wanted;
    wanted.name = name;
    wanted.capacity_bytes = 16 * kSubtreeBytes;
    wanted.size_bytes = size_bytes;
    return wanted;
  }
  /// Creates a morsel whose first word is its base, in place of a heap.
  Result<std::unique_ptr<Backing>> TryCreate(const CatalogRecord& wanted) {
    return pool_->Create(wanted, [](const CatalogRecord& record, pmem::Persist persist) {
      auto* const word = reinterpret_cast<uint64_t*>(record.base);
      *word = record.base;
      persist.Flush(word, sizeof *word);
    });
  }
  std::unique_ptr<Backing> Create(const CatalogRecord& wanted) { return Expect(TryCreate(wanted)); }
  std::unique_ptr<Backing> OpenMorsel(const std::string& name, bool read_only = false) {
    return Expect(pool_->Open(name, read_only));
  }
  std::vector<Finding> Check() {
    std::vector<Finding> findings;
    EXPECT_TRUE(pool_->Check([&](const Finding& finding) { findings.push_back(finding); }).ok());
    return findings;
  }
  static uint64_t* WordsOf(const Backing& backing) {
    return reinterpret_cast<uint64_t*>(backing.record().base);
  }

  os::Scratch scratch_;
  std::string path_ = scratch_.At("p");
  std::unique_ptr<impl::Pool> pool_;

 private:
  static std::unique_ptr<Backing> Expect(Result<std::unique_ptr<Backing>> backing) {
    EXPECT_TRUE(backing.has_value()) << LastError();
    return backing ? std::move(*backing) : nullptr;
  }
};

}  // namespace morsel
