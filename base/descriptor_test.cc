#include "base/descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <utility>

namespace morsel {
namespace {

int OpenNull() { return open("/dev/null", O_RDWR | O_CLOEXEC); }
int OpenZero() { return open("/dev/zero", O_RDWR | O_CLOEXEC); }
bool IsOpen(int number) { return fcntl(number, F_GETFD) >= 0; }

// Gives the number to another file, as a program does that closes all descriptors and opens a file.
void GiveToAnother(int number) {
  const int another = OpenZero();
  ASSERT_EQ(dup2(another, number), number);
  close(another);
}

TEST(DescriptorTest, HasItsNumberWhileTheFileIsTheSame) {
  const Descriptor descriptor(OpenNull());
  EXPECT_TRUE(descriptor.is_open());
  EXPECT_GE(descriptor.number(), 0);
  EXPECT_EQ(descriptor.number(), descriptor.number_at_open());
}

TEST(DescriptorTest, HasNoNumberOnceSomebodyElseHasClosedIt) {
  const Descriptor descriptor(OpenNull());
  close(descriptor.number());
  EXPECT_TRUE(descriptor.is_open());
  EXPECT_EQ(descriptor.number(), -1);
}

TEST(DescriptorTest, NeitherUsesNorClosesTheNumberOfAnotherFile) {
  int number = -1;
  {
    const Descriptor descriptor(OpenNull());
    number = descriptor.number();
    GiveToAnother(number);
    EXPECT_EQ(descriptor.number(), -1);
  }
  EXPECT_TRUE(IsOpen(number)) << "the other file's descriptor was closed";
  close(number);
}

TEST(DescriptorTest, ClosesWhatIsItsOwn) {
  int number = -1;
  {
    Descriptor first(OpenNull());
    number = first.number();
    const Descriptor second = std::move(first);
    EXPECT_FALSE(first.is_open());  // NOLINT: what a move leaves is of interest
    EXPECT_EQ(second.number(), number);
  }
  EXPECT_FALSE(IsOpen(number));
}

TEST(DescriptorTest, ClosesWhatItHadWhenAnotherIsAssigned) {
  Descriptor descriptor(OpenNull());
  const int first = descriptor.number();
  descriptor = Descriptor(OpenZero());
  EXPECT_FALSE(IsOpen(first));
  EXPECT_TRUE(IsOpen(descriptor.number()));
}

TEST(DescriptorTest, WithoutAFileNothingIsOpen) {
  const Descriptor descriptor(-1);
  EXPECT_FALSE(descriptor.is_open());
  EXPECT_EQ(descriptor.number(), -1);
}

}  // namespace
}  // namespace morsel
