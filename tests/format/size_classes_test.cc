// Compares the size classes with size_classes.txt. Heaps on media were made with that table, so a
// change of it is a change of the format.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/layout/size_class.h"

namespace morsel::alloc {
namespace {

constexpr char kFile[] = "tests/format/size_classes.txt";

std::string FirstLine() { return "kHeapVersion " + std::to_string(kHeapVersion); }

// Returns what the columns are, and what is the same for all classes.
std::vector<std::string> Heading() {
  const UnitIndex of_color_0(0);
  const uint64_t bits_offset = BitPairsOffset(0, of_color_0);
  const uint64_t step = BitPairsOffset(0, UnitIndex(SlabUnits(0).value())) - bits_offset;
  return {"",
          "A unit has " + std::to_string(kUnitBytes) + " bytes. A slab's bits begin at " +
              std::to_string(bits_offset) + " + " + std::to_string(step) +
              " x color; a line of them is for " + std::to_string(kBlocksPerLine) + " blocks.",
          "A slab's color is its first unit, divided by its units, modulo the number of colors.",
          "",
          "class | block bytes | slab units | lines of bits | colors | end block | "
          "first block of each color"};
}

// Returns the row of a class: all that decides where its blocks and their bits lie in a slab.
std::string Row(unsigned size_class) {
  const uint64_t units = SlabUnits(size_class).value();
  std::string row =
      std::to_string(size_class) + " | " + std::to_string(BlockBytes(size_class)) + " | " +
      std::to_string(units) + " | " + std::to_string(BitLineCount(size_class)) + " | " +
      std::to_string(SlabColors(size_class)) + " | " + std::to_string(EndBlock(size_class)) + " |";
  for (uint64_t color = 0; color < SlabColors(size_class); ++color) {
    row += " " + std::to_string(FirstBlock(size_class, UnitIndex(color * units)));
  }
  return row;
}

std::vector<std::string> GoldenLines() {
  const char* const folder = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  const std::string root =
      folder != nullptr && workspace != nullptr ? std::string(folder) + "/" + workspace + "/" : "";
  std::ifstream file(root + kFile);
  EXPECT_TRUE(file) << root << kFile;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(SizeClasses, AreThoseOfTheHeapsVersion) {
  std::vector<std::string> golden = GoldenLines();
  std::vector<std::string> found = {FirstLine()};
  for (const std::string& line : Heading()) found.push_back(line);
  for (unsigned c = 0; c < kClassCount; ++c) found.push_back(Row(c));
  const size_t lines = std::max(golden.size(), found.size());
  golden.resize(lines, "no line");
  found.resize(lines, "no line");
  EXPECT_EQ(golden[0], found[0]) << kFile << " is of another version of the heap: put the "
                                 << "new lines there, and change docs/format.md.";
  for (size_t i = 1; i < lines; ++i) {
    EXPECT_EQ(golden[i], found[i])
        << "Line " << i + 1 << " of " << kFile << " is not what the code says. Existing heaps have "
        << "their blocks where that line says: raise kHeapVersion in "
        << "alloc/heap/layout/heap_layout.h and change docs/format.md, or undo the change.";
  }
}

// Colors repeat, so that the rows say it of all slabs.
TEST(SizeClasses, FirstBlockFollowsFromTheColor) {
  for (unsigned c = 0; c < kClassCount; ++c) {
    const uint64_t units = SlabUnits(c).value();
    const uint64_t colors = SlabColors(c);
    for (uint64_t slab = 0; slab < 3 * colors; ++slab) {
      const UnitIndex head(slab * units);
      EXPECT_EQ(SlabColor(c, head), slab % colors);
      EXPECT_EQ(FirstBlock(c, head), FirstBlock(c, UnitIndex(slab % colors * units)));
      EXPECT_EQ(BitPairsOffset(c, head), sizeof(SlabHeader) + slab % colors * kLineBytes);
    }
  }
}

}  // namespace
}  // namespace morsel::alloc
