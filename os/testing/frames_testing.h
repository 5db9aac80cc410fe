// For tests: huge pages that the host is asked for and gets back, settings, a free address range.
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

namespace morsel::pmem {

/// Sets an environment variable (nullptr: it is not set), and puts back what was there.
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

/// What this host gives frames of while it lives: pages of hugetlb beside those it has, and huge
/// pages for memory files. Needs root. One test program of the host at a time has them.
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

  /// `count` can be had. Of 2 MiB there are some more: other programs of the host may take a few.
  void Reserve(FrameKind kind, uint64_t count) {
    const std::string folder =
        std::string(kFolder) + "/hugepages-" + std::to_string(FrameBytes(kind) / kKiB) + "kB/";
    const uint64_t before = std::stoull(Get(folder + "nr_hugepages"));
    if (kind == FrameKind::kHugetlb2M) count += kSpare;
    Set(folder + "nr_hugepages", std::to_string(before + count));
    // Memory in one piece may have to be made first: of what others keep for later.
    for (int i = 0; i < 20 && std::stoull(Get(folder + "nr_hugepages")) < before + count; ++i) {
      Put("/proc/sys/vm/drop_caches", "3");
      Put("/proc/sys/vm/compact_memory", "1");
      Put(folder + "nr_hugepages", std::to_string(before + count));
    }
    ASSERT_EQ(std::stoull(Get(folder + "nr_hugepages")), before + count)
        << "the host has no memory for " << count << " pages of " << FrameBytes(kind)
        << " bytes, or this is not root";
  }
  /// Memory files get huge pages, or do not.
  void SetShmem(const char* setting) {
    Set("/sys/kernel/mm/transparent_hugepage/shmem_enabled", setting);
  }
  /// Private memory does.
  void SetAnonymous(const char* setting) {
    Set("/sys/kernel/mm/transparent_hugepage/enabled", setting);
  }
  /// All that `kind` needs for `size_bytes`.
  void Provide(FrameKind kind, uint64_t size_bytes) {
    if (FrameBytes(kind) > kPageBytes) Reserve(kind, size_bytes / FrameBytes(kind));
    if (kind == FrameKind::kShmemHuge) SetShmem("advise");
  }
  /// And of each kind so much, once for a whole suite of tests.
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

/// Where nothing else of a test is, under every sanitizer: the kernel chooses. Aligned to 1 GiB.
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

/// For names of tests.
inline std::string TestNameOf(FrameKind kind) {
  std::string name = FrameKindName(kind);
  std::erase(name, '-');
  return name;
}

}  // namespace morsel::pmem
