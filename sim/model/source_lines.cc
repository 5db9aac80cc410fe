#include "sim/model/source_lines.h"

#include <link.h>
#include <unistd.h>

#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace morsel::sim {
namespace {

// The difference between where the program lies and where its file says.
uintptr_t LoadBias() {
  uintptr_t bias = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* found) {
        *static_cast<uintptr_t*>(found) = info->dlpi_addr;
        return 1;  // the first is the program
      },
      &bias);
  return bias;
}

// Without the folders that only the build knows; empty for what is no line of ours.
std::string Shortened(std::string line) {
  if (const size_t note = line.find(" (discriminator"); note != std::string::npos) {
    line.resize(note);
  }
  for (const char* const root : {"/proc/self/cwd/", "/execroot/morsel/"}) {
    if (const size_t at = line.find(root); at != std::string::npos) {
      line.erase(0, at + std::strlen(root));
    }
  }
  const bool ours = line.rfind("/usr/", 0) != 0 && line.rfind("??", 0) != 0 &&
                    line.find("pmem/persist/persist.h:") == std::string::npos;
  return ours ? line : std::string();
}

}  // namespace

std::vector<std::string> SourceLines(const std::vector<const void*>& return_addresses) {
  char program[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  program[length < 0 ? 0 : length] = '\0';
  std::string command = std::string("addr2line -a -i -e '") + program + "'";
  std::vector<std::string> lines;
  for (const void* const address : return_addresses) {
    char number[32];
    // The call is before the address that it returns to.
    std::snprintf(number, sizeof number, " 0x%zx",
                  static_cast<size_t>(reinterpret_cast<uintptr_t>(address) - LoadBias() - 1));
    command += number;
    std::snprintf(number, sizeof number, "%p", address);
    lines.push_back(number);
  }
  std::FILE* const answer = popen((command + " 2>/dev/null").c_str(), "re");
  if (answer == nullptr) return lines;
  char text[PATH_MAX + 64];
  size_t next = 0;
  bool found = false;
  while (std::fgets(text, sizeof text, answer) != nullptr) {
    text[std::strcspn(text, "\n")] = '\0';
    if (std::strncmp(text, "0x", 2) == 0) {  // -a: the address comes first
      ++next;
      found = false;
      continue;
    }
    const std::string line = Shortened(text);
    if (line.empty() || next == 0 || next > lines.size()) continue;
    std::string& of = lines[next - 1];
    of = found ? of + ", called at " + line : line;
    found = true;
  }
  pclose(answer);
  return lines;
}

}  // namespace morsel::sim
