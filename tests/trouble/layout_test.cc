// The default address window in each layout that the kernel gives a process.
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "morsel/pool/address_window.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

struct Layout {
  const char* name;
  unsigned long personality;
  bool unlimited_stack;
};

class LayoutTest : public testing::TestWithParam<Layout> {};
INSTANTIATE_TEST_SUITE_P(
    All, LayoutTest,
    testing::Values(Layout{"Usual", 0, false}, Layout{"UnlimitedStack", 0, true},
                    Layout{"Old", ADDR_COMPAT_LAYOUT, false},
                    Layout{"NotRandom", ADDR_NO_RANDOMIZE, false},
                    Layout{"NotRandomUnlimitedStack", ADDR_NO_RANDOMIZE, true},
                    Layout{"NotRandomOld", ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT, false}),
    [](const auto& layout) { return layout.param.name; });

/// In a program that has just been started in the layout: what of its mappings lies in the window.
std::string InTheWay() {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  std::string found = maps == nullptr ? "no /proc/self/maps" : "";
  char line[512];
  while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
    uint64_t begin = 0;
    uint64_t end = 0;
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64, &begin, &end) != 2) continue;
    if (begin < kDefaultWindow.end && end > kDefaultWindow.begin && found.size() < 500) {
      found += line;
    }
  }
  if (maps != nullptr) std::fclose(maps);
  return found;
}

// The program that the tests below start. It does what programs do: it has threads and
// mappings, 8 TiB of them.
TEST(LayoutProbe, NothingIsInTheWindow) {
  if (std::getenv("MORSEL_LAYOUT_PROBE") == nullptr) return;
  constexpr auto kAccess = PROT_READ | PROT_WRITE;
  constexpr auto kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  for (const size_t size : {size_t{1} << 30, size_t{64} << 20, size_t{1} << 40}) {
    for (int i = 0; i < 8; ++i) {
      EXPECT_NE(mmap(nullptr, size, kAccess, kFlags, -1, 0), MAP_FAILED);
    }
  }
  std::string in_a_thread;
  std::thread([&] { in_a_thread = InTheWay(); }).join();
  EXPECT_EQ(in_a_thread, "");
}

TEST_P(LayoutTest, TheWindowIsFree) {
  const pid_t child = fork();
  if (child == 0) {
    personality(personality(0xffffffff) | GetParam().personality);
    if (GetParam().unlimited_stack) {
      rlimit limit = {};
      getrlimit(RLIMIT_STACK, &limit);
      if (limit.rlim_max != RLIM_INFINITY) _exit(77);
      limit.rlim_cur = RLIM_INFINITY;
      setrlimit(RLIMIT_STACK, &limit);
    }
    setenv("MORSEL_LAYOUT_PROBE", "1", 1);
    const char* const arguments[] = {"layout", "--gtest_filter=LayoutProbe.*", nullptr};
    execv("/proc/self/exe", const_cast<char* const*>(arguments));
    _exit(78);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_NE(WEXITSTATUS(status), 77) << "a hard limit on the stack (ulimit -Hs) is in the way";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace morsel::trouble
