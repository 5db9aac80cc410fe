#include "os/memory/frame_kind.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel::os {
namespace {

constexpr char kHugetlbFolder[] = "/sys/kernel/mm/hugepages/hugepages-";
constexpr char kThpFolder[] = "/sys/kernel/mm/transparent_hugepage/";

constexpr std::array kAllKinds = {FrameKind::kHugetlb1G, FrameKind::kHugetlb2M,
                                  FrameKind::kShmemHuge, FrameKind::kShmem, FrameKind::kAnonymous};

// The beginning of a small file. Empty if there is no such file. A stream would allocate by the
// operators of the program, and this string is freed by the library's own.
std::string TextOf(const std::string& path) {
  const DescriptorFloor floor;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  char text[256];
  const ssize_t bytes = read(fd, text, sizeof text);
  close(fd);
  return std::string(text, static_cast<size_t>(std::max<ssize_t>(bytes, 0)));
}

// The setting in a file like "always [madvise] never", which is the word in brackets. Empty if
// there is no such file.
std::string ThpSetting(const char* name) {
  const std::string text = TextOf(std::string(kThpFolder) + name);
  const size_t begin = text.find('[');
  const size_t end = text.find(']');
  return begin < end && end < text.size() ? text.substr(begin + 1, end - begin - 1) : "";
}

bool IsOn(const std::string& setting) {
  return !setting.empty() && setting != "never" && setting != "deny";
}

uint64_t HugetlbCount(FrameKind kind, const char* name) {
  const std::string text =
      TextOf(kHugetlbFolder + std::to_string(FrameBytes(kind) / kKiB) + "kB/" + name);
  return std::strtoull(text.c_str(), nullptr, 10);
}

// How much can be reserved now: some free pages may be promised to others.
uint64_t HugetlbBytes(FrameKind kind) {
  const uint64_t free = HugetlbCount(kind, "free_hugepages");
  const uint64_t promised = HugetlbCount(kind, "resv_hugepages");
  return free > promised ? (free - promised) * FrameBytes(kind) : 0;
}

// Whether this process gets a page that is free.
bool CanBeTaken(FrameKind kind) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
                    std::countr_zero(FrameBytes(kind)) << MAP_HUGE_SHIFT;
  void* const page = mmap(nullptr, FrameBytes(kind), PROT_READ | PROT_WRITE, flags, -1, 0);
  if (page == MAP_FAILED) return false;
  const bool can = TakePages(page, FrameBytes(kind));
  munmap(page, FrameBytes(kind));
  return can;
}

Result<FrameChoice> Forced(FrameKind kind) {
  if (kind == FrameKind::kShmemHuge && !IsOn(ThpSetting("shmem_enabled"))) {
    return Fail(Code::kUnsupported,
                "MORSEL_FRAMES is %s, and this host gives memory files no huge pages; write "
                "'advise' to %sshmem_enabled, or set another kind",
                FrameKindName(kind), kThpFolder);
  }
  FrameChoice choice = {{kind}, true};
  // A morsel need not end where a page of 1 GiB ends, so the rest is of smaller pages.
  if (kind == FrameKind::kHugetlb1G) choice.kinds.push_back(FrameKind::kHugetlb2M);
  if (kind == FrameKind::kHugetlb1G) choice.kinds.push_back(FrameKind::kAnonymous);
  return choice;
}

}  // namespace

const char* FrameKindName(FrameKind kind) {
  switch (kind) {
    case FrameKind::kHugetlb1G:
      return "hugetlb-1g";
    case FrameKind::kHugetlb2M:
      return "hugetlb-2m";
    case FrameKind::kShmemHuge:
      return "shmem-huge";
    case FrameKind::kShmem:
      return "shmem";
    case FrameKind::kAnonymous:
      return "anonymous";
    case FrameKind::kFile:
      return "file";
  }
  return "unknown";
}

uint64_t FrameBytes(FrameKind kind) {
  if (kind == FrameKind::kHugetlb1G) return kGiantBytes;
  return kind == FrameKind::kHugetlb2M ? kSubtreeBytes : kPageBytes;
}

bool TakePages(void* memory, uint64_t size_bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, which the headers may be too old for
  int failed = 0;
  do {
    failed = madvise(memory, size_bytes, kPopulateWrite);
  } while (failed != 0 && (errno == EINTR || errno == EAGAIN));
  return failed == 0;
}

bool IsMemoryFile(FrameKind kind) {
  return kind == FrameKind::kShmem || kind == FrameKind::kShmemHuge;
}

Result<FrameChoice> ChooseFrames(bool read_only) {
  const char* const set = std::getenv("MORSEL_FRAMES");
  const std::string_view name = set != nullptr ? set : "";
  for (const FrameKind kind : kAllKinds) {
    if (name == FrameKindName(kind)) return Forced(kind);
  }
  if (!name.empty() && name != "auto") {
    return Fail(Code::kInvalidArgument,
                "MORSEL_FRAMES is '%s'; it must be auto, hugetlb-1g, hugetlb-2m, shmem-huge, shmem "
                "or anonymous",
                set);
  }
  FrameChoice choice;
  if (read_only) choice.kinds.push_back(FrameKind::kHugetlb1G);
  choice.kinds.push_back(FrameKind::kHugetlb2M);
  // Private memory is preferred: nobody shares frames, and a page of it that is only read costs
  // nothing. Memory files are for hosts that give huge pages to memory files alone.
  if (!PrivateMemoryIsHuge() && IsOn(ThpSetting("shmem_enabled"))) {
    choice.kinds.push_back(FrameKind::kShmemHuge);
  }
  choice.kinds.push_back(FrameKind::kAnonymous);
  return choice;
}

bool PrivateMemoryIsHuge() { return IsOn(ThpSetting("enabled")); }

std::string FramesInWords() {
  const Result<FrameChoice> choice = ChooseFrames(false);
  if (!choice) return LastError();
  std::string words;
  for (const FrameKind kind : choice->kinds) {
    std::string part = FrameKindName(kind);
    if (FrameBytes(kind) > kPageBytes) {
      const uint64_t bytes = HugetlbBytes(kind);
      if (bytes == 0 && !choice->is_forced) continue;
      part += " (" + std::to_string(bytes / kMiB) +
              (bytes == 0 || CanBeTaken(kind)
                   ? " MiB to be had)"
                   : " MiB are free, and a limit of this process' control group forbids them)");
    } else if (kind == FrameKind::kAnonymous) {
      part += PrivateMemoryIsHuge() ? " (in huge pages where it can)" : " (in 4 KiB pages)";
    }
    words += (words.empty() ? "" : ", then ") + part;
  }
  return words;
}

}  // namespace morsel::os
