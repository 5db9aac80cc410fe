// For tests: huge pages borrowed from the host, environment variables, and free address ranges.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "os/memory/address_range.h"
#include "os/memory/frame_kind.h"

namespace morsel::os {

/// Sets an environment variable, or unsets it if the value is nullptr. The destructor restores it.
class Setting {
 public:
  Setting(std::string name, const char* value) : name_(std::move(name)) {
    const char* const before = std::getenv(name_.c_str());
    had_ = before != nullptr;
    if (had_) before_ = before;
    value != nullptr ? setenv(name_.c_str(), value, 1) : unsetenv(name_.c_str());
  }
  ~Setting() { had_ ? setenv(name_.c_str(), before_.c_str(), 1) : unsetenv(name_.c_str()); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  std::string name_;
  bool had_ = false;
  std::string before_;
};

/// Changes which huge pages the host gives, and undoes that in the destructor: it adds hugetlb
/// pages, and sets whether memory gets huge pages. Needs root. One test program of the host has it
/// at a time; the constructor waits.
class HugePages {
 public:
  HugePages() : lock_(open(kFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    EXPECT_EQ(flock(lock_, LOCK_EX), 0);
  }
  ~HugePages() {
    for (auto file = files_.rbegin(); file != files_.rend(); ++file) Put(file->path, file->before);
    close(lock_);
  }
  HugePages(const HugePages&) = delete;
  HugePages& operator=(const HugePages&) = delete;

  /// Adds `count` pages of this kind to those that the host has. Of 2 MiB it adds some more, since
  /// other programs of the host may take a few.
  void Reserve(FrameKind kind, uint64_t count) {
    const std::string folder =
        std::string(kFolder) + "/hugepages-" + std::to_string(FrameBytes(kind) / kKiB) + "kB/";
    const uint64_t before = std::stoull(Get(folder + "nr_hugepages"));
    if (kind == FrameKind::kHugetlb2M) count += kSpare;
    Set(folder + "nr_hugepages", std::to_string(before + count));
    // The host may have to drop caches and compact its memory before it has large pages.
    for (int i = 0; i < 20 && std::stoull(Get(folder + "nr_hugepages")) < before + count; ++i) {
      Put("/proc/sys/vm/drop_caches", "3");
      Put("/proc/sys/vm/compact_memory", "1");
      Put(folder + "nr_hugepages", std::to_string(before + count));
    }
    ASSERT_EQ(std::stoull(Get(folder + "nr_hugepages")), before + count)
        << "the host has no memory for " << count << " pages of " << FrameBytes(kind)
        << " bytes, or this is not root";
  }
  /// Sets whether memory files get huge pages.
  void SetShmem(const char* setting) {
    Set("/sys/kernel/mm/transparent_hugepage/shmem_enabled", setting);
  }
  /// Sets whether private memory gets huge pages.
  void SetAnonymous(const char* setting) {
    Set("/sys/kernel/mm/transparent_hugepage/enabled", setting);
  }
  /// Does what frames of `kind` need for `size_bytes`.
  void Provide(FrameKind kind, uint64_t size_bytes) {
    if (FrameBytes(kind) > kPageBytes) Reserve(kind, size_bytes / FrameBytes(kind));
    if (kind == FrameKind::kShmemHuge) SetShmem("advise");
  }
  /// Does what frames of each kind need for `size_bytes`, once for a whole suite of tests. Of 1 GiB
  /// that is one page.
  void ProvideEach(uint64_t size_bytes) {
    Provide(FrameKind::kHugetlb1G, kGiantBytes);
    Provide(FrameKind::kHugetlb2M, size_bytes);
    Provide(FrameKind::kShmemHuge, size_bytes);
  }

 private:
  static constexpr char kFolder[] = "/sys/kernel/mm/hugepages";
  static constexpr uint64_t kSpare = 64;
  struct File {
    std::string path;
    std::string before;
  };

  static std::string Get(const std::string& path) {
    std::ifstream file(path);
    std::string word;
    while (file >> word) {
      if (word.front() == '[') return word.substr(1, word.size() - 2);
    }
    return word;
  }
  static void Put(const std::string& path, const std::string& value) {
    std::ofstream file(path);
    file << value << std::flush;
    EXPECT_TRUE(file.good()) << path << " cannot be set: is this root?";
  }
  void Set(const std::string& path, const std::string& value) {
    files_.push_back({path, Get(path)});
    Put(path, value);
  }

  int lock_;
  std::vector<File> files_;
};

/// Reserves a range at an address that the kernel chooses, so that it is free under each sanitizer.
/// The range is aligned to 1 GiB.
inline AddressRange ReserveAnywhere(uint64_t size_bytes) {
  const uint64_t mapped_bytes = size_bytes + kGiantBytes;
  void* const free_place =
      mmap(nullptr, mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  munmap(free_place, mapped_bytes);
  const uint64_t base =
      (reinterpret_cast<uint64_t>(free_place) + kGiantBytes - 1) & ~(kGiantBytes - 1);
  Result<AddressRange> range = AddressRange::Reserve(base, size_bytes, "a test's range");
  EXPECT_TRUE(range.has_value()) << LastError();
  return std::move(range).value();
}

inline const FrameKind kEachFrameKind[] = {FrameKind::kHugetlb1G, FrameKind::kHugetlb2M,
                                           FrameKind::kShmemHuge, FrameKind::kShmem,
                                           FrameKind::kAnonymous};

/// The kind's name without hyphens, for the names of tests.
inline std::string TestNameOf(FrameKind kind) {
  std::string name = FrameKindName(kind);
  std::erase(name, '-');
  return name;
}

}  // namespace morsel::os
