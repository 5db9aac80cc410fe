#include "morsel/pool/address_window.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstdlib>
#include <string>

#include "base/bits.h"
#include "base/error.h"
#include "base/units.h"
#include "morsel/pool/pool.h"

namespace morsel {
namespace {

// Sets MORSEL_WINDOW and restores its old value at the end: the sanitizers' builds set one of their
// own and need it.
class ScopedWindow {
 public:
  explicit ScopedWindow(const char* text) {
    const char* before = std::getenv("MORSEL_WINDOW");
    if (before != nullptr) before_ = before;
    text == nullptr ? unsetenv("MORSEL_WINDOW") : setenv("MORSEL_WINDOW", text, 1);
  }
  ~ScopedWindow() {
    before_.empty() ? unsetenv("MORSEL_WINDOW") : setenv("MORSEL_WINDOW", before_.c_str(), 1);
  }

 private:
  std::string before_;
};

// Returns a part of the usable window that is small enough to fill.
Window SmallWindow(uint64_t size_bytes) {
  Window window = WindowFromEnvironment().value();
  window.begin += 3 * kGiantBytes;
  window.end = window.begin + size_bytes;
  return window;
}

Id IdOf(unsigned char number) { return Id{number}; }

TEST(WindowTest, IsTheDefaultIfNothingIsSet) {
  ScopedWindow scoped(nullptr);
  const Result<Window> window = WindowFromEnvironment();
  ASSERT_TRUE(window.has_value());
  EXPECT_EQ(window->begin, kDefaultWindow.begin);
  EXPECT_EQ(window->end, kDefaultWindow.end);
}

TEST(WindowTest, NumbersMayHaveThePrefix0xOrNot) {
  ScopedWindow scoped("0x1000000000-7f00000000");
  const Result<Window> window = WindowFromEnvironment();
  ASSERT_TRUE(window.has_value()) << LastError();
  EXPECT_EQ(window->begin, 0x1000000000u);
  EXPECT_EQ(window->end, 0x7f00000000u);
}

TEST(WindowTest, AnInvalidWindowIsRefusedAndQuoted) {
  for (const char* text :
       {"nonsense", "0x1000000000", "0x1000000000-", "-0x1000000000", "0x0-0x1000000000",
        "0x2000000000-0x1000000000", "0x1000000000-0x1000000000", "0x1000000001-0x2000000000",
        "0x1000000000-0x2000100000", "0x1000000000-0x2000000000 ", "0x1000000000-0x1000000000000",
        "0x1000000000-0xffffffffffffffffffff", "0x-0x1000000000", " 0x1000000000-0x2000000000"}) {
    ScopedWindow scoped(text);
    EXPECT_EQ(WindowFromEnvironment().error(), Code::kInvalidArgument) << text;
    EXPECT_NE(std::string(LastError()).find(text), std::string::npos) << LastError();
  }
}

TEST(ReserveNewTest, RangesHoldTheCapacityAndTheProcessPage) {
  EXPECT_EQ(RangeBytes(kSubtreeBytes), 2 * kSubtreeBytes);
  EXPECT_EQ(RangeBytes(kGiantBytes), kGiantBytes + kSubtreeBytes);
  const Window window = SmallWindow(64 * kGiantBytes);
  const auto range = ReserveNew(window, IdOf(1), 6 * kSubtreeBytes, {}, "morsel 'a'");
  ASSERT_TRUE(range.has_value()) << LastError();
  EXPECT_EQ(range->size_bytes(), RangeBytes(6 * kSubtreeBytes));
  EXPECT_TRUE(IsAligned(range->base(), kSubtreeBytes));
  EXPECT_GE(range->base(), window.begin);
  EXPECT_LE(range->base() + range->size_bytes(), window.end);
}

TEST(ReserveNewTest, ACapacityOfAGiantSubtreeIsAlignedToOne) {
  const Window window = SmallWindow(64 * kGiantBytes);
  for (unsigned char number = 0; number < 8; ++number) {
    const auto range = ReserveNew(window, IdOf(number), kGiantBytes, {}, "morsel 'a'");
    ASSERT_TRUE(range.has_value()) << LastError();
    EXPECT_TRUE(IsAligned(range->base(), kGiantBytes));
  }
}

TEST(ReserveNewTest, WhatMovesKeepsTheLowerHalvesOfItsAddressesWhereThatIsFree) {
  const Window window = SmallWindow(12 * kGiantBytes);
  const uint64_t before = window.begin + 5 * kSubtreeBytes;
  std::vector<os::AddressRange> ranges;
  for (unsigned char number = 0; number < 4; ++number) {
    auto range = ReserveNew(window, IdOf(number), kSubtreeBytes, {}, "morsel 'a'", before);
    ASSERT_TRUE(range.has_value()) << LastError();
    const bool is_like = (range->base() - before) % (4 * kGiantBytes) == 0;
    EXPECT_EQ(is_like, number < 3) << number;  // there are three such places
    ranges.push_back(std::move(*range));
  }
  // It was no base of a morsel of that capacity.
  const auto giant = ReserveNew(window, IdOf(1), kGiantBytes, {}, "morsel 'a'", before);
  ASSERT_TRUE(giant.has_value()) << LastError();
  EXPECT_TRUE(IsAligned(giant->base(), kGiantBytes));
}

TEST(ReserveNewTest, TheSameIdChoosesTheSameBaseAndAnotherIdAnother) {
  const Window window = SmallWindow(64 * kGiantBytes);
  uint64_t first = 0;
  {
    const auto range = ReserveNew(window, IdOf(1), kSubtreeBytes, {}, "morsel 'a'");
    ASSERT_TRUE(range.has_value());
    first = range->base();
  }
  const auto again = ReserveNew(window, IdOf(1), kSubtreeBytes, {}, "morsel 'a'");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->base(), first);
  const auto other = ReserveNew(window, IdOf(2), kSubtreeBytes, {}, "morsel 'b'");
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(other->base(), first);
}

TEST(ReserveNewTest, RangesOfThePoolAndOfTheProcessAreAvoidedUntilTheWindowIsFull) {
  const Window window = SmallWindow(kGiantBytes);
  const uint64_t capacity = 127 * kSubtreeBytes;  // a range of 128 subtrees: four fit
  // A closed morsel takes one of the four places, a mapping of the process another.
  TakenRanges taken;
  taken.Add(window.begin + kSubtreeBytes, kSubtreeBytes);
  const auto mapping = os::AddressRange::Reserve(window.end - kPageBytes, kPageBytes, "a mapping");
  ASSERT_TRUE(mapping.has_value()) << LastError();
  std::vector<os::AddressRange> ranges;
  for (unsigned char number = 0; number < 8; ++number) {
    auto range = ReserveNew(window, IdOf(number), capacity, taken, "morsel 'a'");
    if (!range.has_value()) {
      EXPECT_EQ(range.error(), Code::kAddressExhausted);
      EXPECT_NE(std::string(LastError()).find("morsel 'a'"), std::string::npos);
      break;
    }
    EXPECT_GE(range->base(), window.begin + 2 * kSubtreeBytes);
    EXPECT_LE(range->base() + range->size_bytes(), window.end - kPageBytes);
    ranges.push_back(std::move(range).value());
  }
  EXPECT_GE(ranges.size(), 1u);
  EXPECT_LE(ranges.size(), 3u);
}

// As in a chroot without /proc, where a process cannot learn what it has mapped.
TEST(ReserveNewTest, WhoCannotReadHisMapAvoidsWhatHeHasMetThere) {
  const Window window = SmallWindow(64 * kGiantBytes);
  std::vector<os::AddressRange> ranges;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  std::string refused;
  for (int i = 0; i < 40; ++i) {
    auto range = ReserveNew(window, IdOf(1), kSubtreeBytes, {}, "morsel 'a'");
    refused = LastError();
    if (!range) break;
    ranges.push_back(std::move(*range));
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(ranges.size(), 16u) << refused;
  EXPECT_NE(refused.find("taken in this process by morsel 'a'"), std::string::npos) << refused;
}

TEST(ReserveNewTest, AWindowThatTheProcessHasFilledIsToldAsThat) {
  const Window window = SmallWindow(kGiantBytes);
  const auto all =
      os::AddressRange::Reserve(window.begin, window.end - window.begin, "all of the window");
  ASSERT_TRUE(all.has_value()) << LastError();
  EXPECT_EQ(ReserveNew(window, IdOf(1), kSubtreeBytes, {}, "morsel 'a'").error(),
            Code::kAddressExhausted);
  EXPECT_NE(std::string(LastError()).find("this process has mapped"), std::string::npos)
      << LastError();
}

TEST(ReserveNewTest, ACapacityLargerThanTheWindowIsRefused) {
  const Window window = SmallWindow(kGiantBytes);
  for (const uint64_t capacity : {kGiantBytes, 2 * kGiantBytes, ~uint64_t{0} - kSubtreeBytes + 1}) {
    EXPECT_EQ(ReserveNew(window, IdOf(1), capacity, {}, "morsel 'a'").error(),
              Code::kAddressExhausted);
  }
  const auto whole = ReserveNew(window, IdOf(1), kGiantBytes - kSubtreeBytes, {}, "morsel 'a'");
  ASSERT_TRUE(whole.has_value()) << LastError();
  EXPECT_EQ(whole->base(), window.begin);
}

}  // namespace
}  // namespace morsel
