// A snapshot morsel that is full of what a program has, for the measurements of commits.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/place.h"
#include "bench/random.h"
#include "bench/scratch_folder.h"
#include "morsel/morsel.h"

namespace bench {

inline constexpr uint64_t kMib = uint64_t{1} << 20;
inline constexpr uint64_t kPage = 4096;

inline void Must(morsel_code code, const char* tried) {
  if (code != MORSEL_OK) Fail(tried, morsel_last_error());
}

/// A directory pool of its own in a folder, and in it one morsel. Half of what is used are blocks
/// of 64 bytes, and half is one large block; or one page is used in each 2 MiB ("thin"). The
/// destructor leaves the folder empty.
class FullMorsel {
 public:
  enum class Kind { kFull, kThin };

  FullMorsel(const std::string& folder, uint64_t used_mib, Kind kind = Kind::kFull)
      : folder_(folder, "commit") {
    morsel_pool_options pool = {};
    pool.flags = MORSEL_CREATE;
    Must(morsel_pool_open(folder_.path().c_str(), &pool, &pool_), "making a pool");
    morsel_options options = {};
    options.flags = MORSEL_CREATE;
    Must(morsel_open(pool_, "m", &options, &morsel_), "making a morsel");
    if (kind == Kind::kFull) {
      AddSmall(used_mib * kMib / 2);
      AddLarge(used_mib * kMib / 2, kPage);
    } else {
      AddLarge(used_mib * kMib, 2 * kMib);
    }
    Must(morsel_checkpoint(morsel_), "storing all");
  }
  ~FullMorsel() {
    Must(morsel_discard(morsel_), "discarding");
    Must(morsel_pool_close(pool_), "closing the pool");
  }
  FullMorsel(const FullMorsel&) = delete;
  FullMorsel& operator=(const FullMorsel&) = delete;

  morsel_t* get() const { return morsel_; }
  /// What lies in pages that differ. 8 bytes of each may be stored to.
  const std::vector<char*>& pages() const { return pages_; }

  /// Changes so many pages, neighbours from the first one on.
  void ChangeFirst(uint64_t count) {
    for (uint64_t page = 0; page < count; ++page) Change(pages_[pages_.size() - 1 - page]);
  }
  /// Changes so many pages anywhere; returns how many that are without those that were met twice.
  uint64_t ChangeSome(uint64_t count) {
    const uint64_t before = ++value_;
    uint64_t changed = 0;
    for (uint64_t i = 0; i < count; ++i) {
      char* const page = pages_[random_.Below(pages_.size())];
      uint64_t met = 0;
      std::memcpy(&met, page, sizeof met);
      changed += met < before ? 1 : 0;
      Change(page);
    }
    return changed;
  }
  void Change(char* page) {
    ++value_;
    std::memcpy(page, &value_, sizeof value_);
  }
  void Commit() { Must(morsel_commit(morsel_), "committing"); }
  void Begin() { Must(morsel_begin(morsel_), "beginning a section"); }

  /// What all files of the pool take of their disk.
  uint64_t FileBytes() const {
    uint64_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
      struct stat status {};
      if (stat(file.path().c_str(), &status) == 0) {
        bytes += static_cast<uint64_t>(status.st_blocks) * 512;
      }
    }
    return bytes;
  }
  const std::string& folder() const { return folder_.path(); }

 private:
  // Bytes that no codec makes less, below what Change() stores.
  void Fill(char* block, uint64_t bytes) {
    for (uint64_t at = 0; at < bytes; at += sizeof(uint64_t)) {
      const uint64_t word = at % kPage == 0 ? 0 : random_.Next();
      std::memcpy(block + at, &word, sizeof word);
    }
  }
  void AddSmall(uint64_t bytes) {
    constexpr uint64_t kBlock = 64;
    for (uint64_t i = 0; i < bytes / kBlock; ++i) {
      auto* const block = static_cast<char*>(morsel_malloc(morsel_, kBlock));
      if (block == nullptr) Fail("allocating a small block", morsel_last_error());
      Fill(block, kBlock);
      std::memset(block, 0, sizeof(uint64_t));
      if (pages_.empty() || PageOf(block) != PageOf(pages_.back())) pages_.push_back(block);
    }
  }
  void AddLarge(uint64_t bytes, uint64_t apart) {
    auto* const block = static_cast<char*>(morsel_malloc(morsel_, bytes));
    if (block == nullptr) Fail("allocating a large block", morsel_last_error());
    for (uint64_t at = 0; at + kPage <= bytes; at += apart) {
      Fill(block + at, kPage);
      std::memset(block + at, 0, sizeof(uint64_t));
      pages_.push_back(block + at);
    }
  }
  static uint64_t PageOf(const char* block) { return reinterpret_cast<uint64_t>(block) / kPage; }

  ScratchFolder folder_;
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
  std::vector<char*> pages_;
  Random random_{1};
  uint64_t value_ = 0;
};

}  // namespace bench
