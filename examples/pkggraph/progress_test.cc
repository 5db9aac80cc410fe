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

constexpr char kEnd = '!';

// What Progress writes to standard error while that is `device`, read from `other_end`: all of it,
// since a mark of our own comes behind.
std::string SaidInto(int device, int other_end, uint64_t total) {
  const int kept = dup(STDERR_FILENO);
  dup2(device, STDERR_FILENO);
  {
    Progress progress("working", std::chrono::milliseconds(0));
    progress.Update(21, total);
  }
  std::fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  if (write(device, &kEnd, 1) != 1) return "nothing can be written";

  std::string said;
  for (char byte = 0; read(other_end, &byte, 1) == 1 && byte != kEnd;) said += byte;
  return said;
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
