// For tests: pools that take addresses from one registry, each with a folder on the disk.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "morsel/pool/pool_id.h"
#include "morsel/registry/address_registry.h"
#include "morsel/registry/granted.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {

inline constexpr Window kWindow = {0x160000000000, 0x170000000000};
inline constexpr uint64_t kBytes = 3 * kGranuleBytes + kSubtreeBytes;

// Makes the folder the pool of that id.
inline void WritePoolFile(const std::string& folder, const Id& id) {
  PoolFileLayout layout{};
  layout.magic = kPoolFileMagic;
  layout.version = kPoolFileVersion;
  layout.id = id;
  layout.checksum = ChecksumOf(layout);
  std::ofstream file(folder + "/" + kPoolFileName, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&layout), sizeof layout);
}

// A pool that has a folder, and knows its morsels by heart.
class FakePool {
 public:
  FakePool(AddressRegistry& registry, const std::string& path, unsigned char id,
           const Window& window = kWindow)
      : registry_(registry) {
    std::filesystem::create_directory(path);
    pool_.id.fill(id);
    WritePoolFile(path, pool_.id);
    pool_.path = path;
    pool_.window = window;
    pool_.stamp = [this] { return stamp_; };
    pool_.list = [this]() -> Result<std::vector<AddressSpan>> {
      ++lists_;
      return morsels_;
    };
    pool_.is_being_made = [this](const AddressSpan&) { return is_being_made_; };
  }

  // Takes addresses, and gives a morsel there its name.
  std::optional<uint64_t> Make(uint64_t size_bytes = kBytes) {
    const Result<std::optional<uint64_t>> base = Take(size_bytes);
    if (!base || !*base) return std::nullopt;
    AddName(**base, size_bytes);
    registry_.NoteName(pool_, opened_);
    opened_.reset();
    return *base;
  }
  Result<std::optional<uint64_t>> Take(uint64_t size_bytes = kBytes,
                                       const BaseGrid& grid = kSubtreeBytes) {
    return registry_.Take(
        pool_, size_bytes, grid, [](uint64_t) { return std::optional<uint64_t>(); }, opened_);
  }
  // As another user's process does, or who copies a file.
  void AddName(uint64_t base, uint64_t size_bytes = kBytes) {
    morsels_.push_back({base, base + size_bytes});
    ++stamp_.names_given;
    ++stamp_.changed_ns;
  }
  void Remove(uint64_t base) {
    const PoolStamp before = stamp_;
    const auto at = std::find_if(morsels_.begin(), morsels_.end(),
                                 [&](const AddressSpan& one) { return one.begin == base; });
    const AddressSpan span = *at;
    morsels_.erase(at);
    ++stamp_.changed_ns;
    registry_.GiveBack(pool_, span, before);
  }

  RegisteredPool& pool() { return pool_; }
  const std::vector<AddressSpan>& morsels() const { return morsels_; }
  int lists() const { return lists_; }
  void set_is_being_made(bool value) { is_being_made_ = value; }

 private:
  AddressRegistry& registry_;
  std::optional<RegistryFile> opened_;
  RegisteredPool pool_;
  std::vector<AddressSpan> morsels_;
  PoolStamp stamp_{1, 0};
  int lists_ = 0;
  bool is_being_made_ = false;
};

class AddressRegistryTest : public testing::Test {
 protected:
  std::unique_ptr<FakePool> Pool(const std::string& name, unsigned char id,
                                 const Window& window = kWindow) {
    return std::make_unique<FakePool>(registry_, scratch_.At(name), id, window);
  }
  void ExpectApart(std::initializer_list<const FakePool*> pools) {
    std::vector<AddressSpan> all;
    for (const FakePool* pool : pools) {
      all.insert(all.end(), pool->morsels().begin(), pool->morsels().end());
    }
    std::sort(all.begin(), all.end(),
              [](const AddressSpan& a, const AddressSpan& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < all.size(); ++i) {
      EXPECT_LE(all[i - 1].end, all[i].begin) << std::hex << all[i].begin;
    }
  }

  os::Scratch scratch_ = os::Scratch::OnDisk();
  std::string path_ = scratch_.At("addresses");
  os::ScriptedCalls calls_;
  AddressRegistry registry_{calls_, path_};
};

}  // namespace morsel
