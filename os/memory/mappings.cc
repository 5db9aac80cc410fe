#include "os/memory/mappings.h"

#include <algorithm>
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

namespace {

// The lines of /proc/self/maps; 0 if it cannot be read.
size_t MappingCount() {
  const DescriptorFloor floor;
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return 0;
  size_t count = 0;
  char text[4096];
  for (size_t bytes = 0; (bytes = std::fread(text, 1, sizeof text, maps)) > 0;) {
    count += static_cast<size_t>(std::count(text, text + bytes, '\n'));
  }
  std::fclose(maps);
  return count;
}

size_t MappingsMax() {
  const DescriptorFloor floor;
  std::FILE* const file = std::fopen("/proc/sys/vm/max_map_count", "re");
  if (file == nullptr) return 0;
  size_t most = 0;
  const bool is_told = std::fscanf(file, "%zu", &most) == 1;
  std::fclose(file);
  return is_told ? most : 0;
}

}  // namespace

size_t MappingsLeft() {
  const size_t now = MappingCount();
  const size_t most = MappingsMax();
  return now == 0 || most <= now ? 0 : most - now;
}

}  // namespace morsel::os
