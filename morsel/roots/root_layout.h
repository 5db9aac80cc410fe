// How the named roots of a morsel lie in its heap.
//
// They are a trie over the XXH3-64 of their names. Its top is HeapHeader::roots, which the low 8
// bits of the hash choose from. Each node below is chosen from by the next 4 bits. All offsets are
// from the morsel's base. Nodes and records are blocks of the heap.
//
// [ROOT-1] A root exists iff words lead from the top to its record, each where the hash of its name
//          says.
// [ROOT-2] Whatever a word leads to, and its allocation, is durable before the word is.
// [ROOT-3] No two roots have one name.
// [ROOT-4] A record's words, its object and `next`, change. All else of it stays as it was made.
// [ROOT-5] Records of one hash are a chain by their `next`, and in one place of a node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "alloc/heap/layout/heap_layout.h"

namespace morsel {

inline constexpr uint64_t kRootNameBytesMax = 255;
/// Layouts from this one on say what a container keeps.
inline constexpr uint32_t kRootLayoutComputed = 0x80000000;
inline constexpr uint64_t kTypeNameBytesMax = 1024;
/// How many records may have one hash.
inline constexpr int kRootChainMax = 64;

inline constexpr unsigned kRootTopBits = 8;
inline constexpr unsigned kRootNodeBits = 4;
static_assert(alloc::kRootWords == uint64_t{1} << kRootTopBits);
/// How many nodes lie below each other at most: then all bits of the hash have chosen.
inline constexpr unsigned kRootDepthMax = (64 - kRootTopBits) / kRootNodeBits;

struct RootNode {
  uint64_t words[1 << kRootNodeBits];
};
static_assert(sizeof(RootNode) == 128);
static_assert(std::has_unique_object_representations_v<RootNode>);

/// Behind it lie the name and the name of the type, without zero bytes at their ends.
struct RootRecord {
  uint64_t next;    ///< 0, or the RootWord of another record of the same hash
  uint64_t object;  ///< its address
  uint64_t size_bytes;
  uint32_t alignment;
  uint32_t layout;
  uint16_t flags;  ///< RootFlags
  uint16_t name_bytes;
  uint16_t type_name_bytes;
  uint16_t reserved;

  const char* name() const { return reinterpret_cast<const char*>(this + 1); }
  const char* type_name() const { return name() + name_bytes; }
};
static_assert(sizeof(RootRecord) == 40);
static_assert(offsetof(RootRecord, size_bytes) == 16);
static_assert(offsetof(RootRecord, name_bytes) == 34);
static_assert(std::has_unique_object_representations_v<RootRecord>);
static_assert(std::is_trivially_copyable_v<RootRecord>);

enum RootFlags : uint16_t {
  kRootTyped = 1,    ///< without it, size, alignment, layout and type name are 0
  kRootMangled = 2,  ///< the type name is mangled, as C++ does it
};

/// A word of the trie: 0, or the offset of a node, or that of a record and bit 0.
struct RootWord {
  uint64_t raw = 0;
  constexpr bool IsRecord() const { return (raw & 1) != 0; }
  constexpr uint64_t offset() const { return raw & ~uint64_t{1}; }
  static constexpr RootWord Node(uint64_t offset) { return {offset}; }
  static constexpr RootWord Record(uint64_t offset) { return {offset | 1}; }
};

/// Which word the hash chooses, of the top (depth 0) or of a node below it.
constexpr uint64_t RootIndex(uint64_t hash, unsigned depth) {
  if (depth == 0) return hash & ((1 << kRootTopBits) - 1);
  return hash >> (kRootTopBits + kRootNodeBits * (depth - 1)) & ((1 << kRootNodeBits) - 1);
}

}  // namespace morsel
