#include "pmem/media/power_safety.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/descriptor_floor.h"

namespace morsel::pmem {
namespace {

constexpr PowerSafety kUnknown = {
    false,
    "the platform does not say whether this memory outlives the power: take it that it does not"};

// The first word of a file; "" if there is none.
std::string WordIn(const std::string& path) {
  const DescriptorFloor floor;
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return "";
  char word[64] = "";
  if (std::fscanf(file, "%63s", word) != 1) word[0] = '\0';
  std::fclose(file);
  return word;
}

bool Has(const std::string& folder, const char* part) {
  return folder.find(part) != std::string::npos;
}

}  // namespace

PowerSafety PowerSafetyBelow(const std::string& folder) {
  if (Has(folder, "/e820_pmem/")) {
    return {false, "ordinary memory that memmap= has set aside: all is lost at power-off"};
  }
  if (Has(folder, "/virtio")) {
    return {
        false,
        "virtio-pmem: the host keeps what it was asked to flush, and stores do not ask; what was "
        "persisted may be lost when the host fails"};
  }
  if (Has(folder, "/hmem") || Has(folder, "/dax_region")) {
    return {false, "memory that is a device, and yet not persistent: all is lost at power-off"};
  }
  const size_t region = folder.find("/region");
  if (region == std::string::npos) return kUnknown;
  const std::string domain =
      WordIn(folder.substr(0, folder.find('/', region + 1)) + "/persistence_domain");
  if (domain == "cpu_cache") {
    return {true, "the platform keeps processor caches and memory (eADR)", /*keeps_caches=*/true};
  }
  if (domain == "memory_controller") return {true, "the platform keeps what was flushed to memory"};
  return kUnknown;
}

PowerSafety PowerSafetyOf(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return kUnknown;
  const bool is_device = S_ISCHR(status.st_mode);
  const dev_t device = is_device ? status.st_rdev : status.st_dev;
  char link[96];
  std::snprintf(link, sizeof link, "/sys/dev/%s/%u:%u", is_device ? "char" : "block", major(device),
                minor(device));
  char folder[PATH_MAX];
  return realpath(link, folder) == nullptr ? kUnknown : PowerSafetyBelow(folder);
}

}  // namespace morsel::pmem
