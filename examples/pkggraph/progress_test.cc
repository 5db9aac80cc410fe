#include "examples/pkggraph/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace pkggraph {
namespace {

// What Progress writes to standard error while that is `device`, read from `other_end`. The work
// takes longer than the time for which nothing is said.
std::string SaidInto(int device, int other_end, uint64_t total) {
  const int kept = dup(STDERR_FILENO);
  dup2(device, STDERR_FILENO);
  {
    Progress progress("working");
    const auto begun = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(250)) {
      progress.Update(21, total);
    }
  }
  std::fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);

  fcntl(other_end, F_SETFL, O_NONBLOCK);
  char text[4096];
  const ssize_t length = read(other_end, text, sizeof text);
  return length < 0 ? "" : std::string(text, static_cast<size_t>(length));
}

TEST(ProgressTest, IsSilentInAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(SaidInto(ends[1], ends[0], 42), "");
  close(ends[0]);
  close(ends[1]);
}

TEST(ProgressTest, IsShownOnATerminalAndWiped) {
  const int other_end = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(other_end, 0);
  ASSERT_EQ(grantpt(other_end), 0);
  ASSERT_EQ(unlockpt(other_end), 0);
  const int terminal = open(ptsname(other_end), O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);

  const std::string with_total = SaidInto(terminal, other_end, 42);
  EXPECT_NE(with_total.find("working:  50 %"), std::string::npos) << with_total;
  const std::string wipe = "\r\033[K";
  ASSERT_GE(with_total.size(), wipe.size());
  EXPECT_EQ(with_total.substr(with_total.size() - wipe.size()), wipe);
  EXPECT_NE(SaidInto(terminal, other_end, 0).find("working: 21"), std::string::npos);
  close(terminal);
  close(other_end);
}

}  // namespace
}  // namespace pkggraph
