// What a person sees while a morsel is loaded or stored for long.
#include "cli/progress_bar.h"

#include <gtest/gtest.h>

#include <string>

namespace morsel::cli {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

morsel_progress At(uint64_t done_bytes, uint32_t activity = MORSEL_STORING) {
  return {activity, 0, done_bytes, 4 * kGiB};
}

TEST(ProgressLine, HasBytesRateAndTimeLeft) {
  EXPECT_EQ(ProgressLine(At(kGiB), 2),
            "storing  [#####               ]  25 %  1 GiB of 4 GiB, 512 MiB/s, 0:06 left");
  EXPECT_EQ(ProgressLine(At(3 * kGiB, MORSEL_LOADING), 375),
            "loading  [###############     ]  75 %  3 GiB of 4 GiB, 8.2 MiB/s, 2:05 left");
  EXPECT_EQ(ProgressLine(At(2 * kGiB, MORSEL_VERIFYING), 2),
            "verifying  [##########          ]  50 %  2 GiB of 4 GiB, 1 GiB/s, 0:02 left");
  EXPECT_EQ(ProgressLine(At(0), 1), "storing  [                    ]  0 %  0 B of 4 GiB");
}

TEST(ProgressBar, AppearsAfterHalfASecondAndDisappearsAtTheEnd) {
  std::string terminal;
  double now = 100;
  {
    ProgressBar bar([&](const std::string& text) { terminal += text; }, [&] { return now; });
    const morsel_progress begin = At(0);
    ProgressBar::Call(&begin, &bar);
    now += 0.4;
    bar.Show(At(kGiB / 2));
    bar.Show(At(4 * kGiB));
    EXPECT_EQ(terminal, "") << "nobody waits for less than half a second";
    bar.Show(At(0));
    now += 2;
    bar.Show(At(kGiB));
    EXPECT_EQ(terminal, "\r\x1b[K" + ProgressLine(At(kGiB), 2));
    terminal.clear();
    now += 2;
    bar.Show(At(4 * kGiB));
    EXPECT_EQ(terminal, "\r\x1b[K");
    terminal.clear();
    bar.Show(At(0));
    now += 1;
    bar.Show(At(kGiB));
    terminal.clear();
  }
  EXPECT_EQ(terminal, "\r\x1b[K") << "a failure's sentence is not behind a bar";
}

}  // namespace
}  // namespace morsel::cli
