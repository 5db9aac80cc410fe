#include "os/memory/mappings.h"

#include <cinttypes>
#include <cstdio>

#include "base/descriptor_floor.h"
#include "base/error.h"

namespace morsel::os {

Result<std::vector<Mapping>> ReadableMappings() {
  const DescriptorFloor floor;
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return FailErrno("open of /proc/self/maps");
  std::vector<Mapping> mappings;
  char line[640];
  bool is_begin = true;  // a long line comes in parts
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    std::string text = line;
    const bool was_begin = is_begin;
    is_begin = !text.empty() && text.back() == '\n';
    if (!was_begin) continue;
    if (is_begin) text.pop_back();
    Mapping mapping;
    char rights[5] = {};
    int name = 0;
    const int read = std::sscanf(text.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n",
                                 &mapping.begin, &mapping.end, rights, &name);
    if (read != 3 || rights[0] != 'r') continue;
    if (name > 0) mapping.name = text.substr(static_cast<size_t>(name));
    mappings.push_back(std::move(mapping));
  }
  std::fclose(maps);
  return mappings;
}

}  // namespace morsel::os
