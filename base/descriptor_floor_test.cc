#include "base/descriptor_floor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

namespace morsel {
namespace {

bool IsOpen(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

int OpenSomething() { return open("/dev/null", O_RDWR | O_CLOEXEC); }

/// Runs `part` in a process without the descriptors 0 to 2. It returns 0, or what went wrong.
template <class Part>
int WithoutStandard(Part&& part) {
  const pid_t child = fork();
  if (child == 0) {
    for (const int descriptor : {0, 1, 2}) close(descriptor);
    _exit(part());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

TEST(DescriptorFloorTest, NothingIsMadeBelowThree) {
  EXPECT_EQ(WithoutStandard([] {
              const DescriptorFloor floor;
              return OpenSomething() >= 3 ? 0 : 1;
            }),
            0);
}

TEST(DescriptorFloorTest, AfterItTheyAreClosedAsBefore) {
  EXPECT_EQ(WithoutStandard([] {
              { const DescriptorFloor floor; }
              return IsOpen(0) || IsOpen(1) || IsOpen(2) ? 1 : 0;
            }),
            0);
}

TEST(DescriptorFloorTest, WhoPrintsMeanwhileFailsAsWithClosedOnes) {
  EXPECT_EQ(WithoutStandard([] {
              const DescriptorFloor floor;
              char byte = 0;
              if (write(1, &byte, 1) >= 0 || errno != EBADF) return 1;
              if (read(0, &byte, 1) >= 0 || errno != EBADF) return 2;
              return 0;
            }),
            0);
}

TEST(DescriptorFloorTest, WhatIsOpenStays) {
  EXPECT_EQ(WithoutStandard([] {
              if (OpenSomething() != 0 || OpenSomething() != 1) return 1;
              close(0);  // 1 is the program's
              {
                const DescriptorFloor floor;
                if (OpenSomething() < 3) return 2;
                char byte = 0;
                if (write(1, &byte, 1) != 1) return 3;
              }
              return IsOpen(0) || !IsOpen(1) || IsOpen(2) ? 4 : 0;
            }),
            0);
}

TEST(DescriptorFloorTest, AnotherThatEndsOpensNoGap) {
  EXPECT_EQ(WithoutStandard([] {
              auto* const other = new DescriptorFloor;
              const DescriptorFloor floor;
              delete other;
              return OpenSomething() >= 3 ? 0 : 1;
            }),
            0);
}

TEST(DescriptorFloorTest, ItKeepsTheErrnoOfTheCallItStandsAround) {
  EXPECT_EQ(WithoutStandard([] {
              {
                const DescriptorFloor floor;
                (void)!open("/does/not/exist", O_RDONLY);
              }
              return errno == ENOENT ? 0 : 1;
            }),
            0);
}

TEST(DescriptorFloorTest, ThreadsThatComeAndGoNeverMakeOneBelowThree) {
  EXPECT_EQ(WithoutStandard([] {
              std::atomic<int> wrong = 0;
              std::vector<std::thread> threads;
              for (int i = 0; i < 4; ++i) {
                threads.emplace_back([&] {
                  for (int round = 0; round < 500; ++round) {
                    int made;
                    {
                      const DescriptorFloor floor;
                      made = OpenSomething();
                    }
                    if (made < 3) ++wrong;
                    close(made);
                  }
                });
              }
              for (std::thread& thread : threads) thread.join();
              return wrong > 0 || IsOpen(0) || IsOpen(1) || IsOpen(2) ? 1 : 0;
            }),
            0);
}

TEST(DescriptorFloorTest, AChildHasNothingThatStoodInForItsParent) {
  EXPECT_EQ(WithoutStandard([] {
              const DescriptorFloor floor;
              DescriptorFloor::BeforeFork();
              const pid_t child = fork();
              DescriptorFloor::AfterFork(child == 0);
              if (child == 0) _exit(IsOpen(0) || IsOpen(1) || IsOpen(2) ? 1 : 0);
              int status = 0;
              waitpid(child, &status, 0);
              if (status != 0) return 1;
              return IsOpen(0) && IsOpen(1) && IsOpen(2) ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace morsel
