// Ordinary containers and raw blocks in a snapshot morsel, and what they must contain.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "morsel/allocator.hpp"
#include "morsel/morsel.h"
#include "tests/crash/object.h"
#include "tests/crash/random.h"

namespace morsel::crash {

/// Sizes that are reserved for other users of the heap. A library has no block in the size class of
/// the first, and no extent as long as the second.
inline constexpr uint64_t kOthersBlockBytes = 96;
inline constexpr uint64_t kOthersExtentBytes = uint64_t{320} << 10;

/// The part of a library on which one thread works. Nothing in it depends on the process.
class LibraryPartition {
 public:
  LibraryPartition(morsel_t* morsel, uint64_t number);

  /// Adds, changes or removes something.
  /// Returns  false if there was no space.
  bool Change(Random& random);
  /// Returns empty, or describes what is not as it was written.
  std::string Difference() const;
  /// Depends on all that it has, its order included.
  uint64_t Sum() const;

 private:
  using String = std::basic_string<char, std::char_traits<char>, Allocator<char>>;
  using Numbers = std::vector<uint64_t, Allocator<uint64_t>>;
  using Strings =
      std::map<uint64_t, String, std::less<uint64_t>, Allocator<std::pair<const uint64_t, String>>>;
  using Sequences =
      std::unordered_map<uint64_t, Numbers, std::hash<uint64_t>, std::equal_to<uint64_t>,
                         Allocator<std::pair<const uint64_t, Numbers>>>;
  struct Raw {
    void* block;
    Object object;
  };

  void ChangeString(Random& random);
  void ChangeSequence(Random& random);
  bool ChangeRaw(Random& random);
  bool PutRaw(Random& random);

  uint64_t number_;
  uint64_t last_serial_ = 0;
  Strings strings_;
  Sequences sequences_;
  std::vector<Raw, Allocator<Raw>> raws_;
};

inline constexpr uint64_t kLibraryPartitions = 3;

/// The object of the root.
struct Library {
  explicit Library(morsel_t* morsel)
      : partitions{LibraryPartition(morsel, 0), LibraryPartition(morsel, 1),
                   LibraryPartition(morsel, 2)} {}

  std::string Difference() const;
  uint64_t Sum() const;

  std::array<LibraryPartition, kLibraryPartitions> partitions;
};

}  // namespace morsel::crash
