// The trie of roots: how one is found, set and forgotten. root_layout.h says how it lies.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "alloc/heap/heap.h"
#include "base/checksum.h"
#include "base/result.h"
#include "morsel/roots/root_layout.h"
#include "morsel/roots/root_type.h"

namespace morsel {

/// Threads  one call at a time. Several Find() may run at once.
/// Errors   kCorrupt: what is there can be no trie. Nothing that is read is believed before.
class RootTrie {
 public:
  using Hash = uint64_t (*)(const void* bytes, size_t size_bytes);

  /// hash: for tests, in place of that of the format.
  explicit RootTrie(alloc::Heap& heap, Hash hash = Checksum64) : heap_(heap), hash_(hash) {}

  /// Returns the record of that name, or nullptr.
  Result<const RootRecord*> Find(std::string_view name) const;

  /// Lets the name, which has 1 to kRootNameBytesMax bytes, lead to `object`, whose allocation is
  /// durable. The type's name has kTypeNameBytesMax bytes at most.
  /// Durability  on return. Before that, the name leads to what it led to before.
  /// Errors      kNoSpace, kNoMemory: nothing has changed.
  /// Cost        independent of how many roots there are.
  Status Set(std::string_view name, void* object, const RootType& type);

  /// Removes the record of that name. Returns false if there is none.
  /// Durability  on return.
  Result<bool> Forget(std::string_view name);

  /// One block of the trie. A node has no record.
  struct Found {
    uint64_t offset;
    const RootRecord* record;
    bool is_misplaced;  ///< its name's hash does not lead here
  };
  /// Calls `visit` for each block of the trie, in no order.
  /// Cost  visits at most as many blocks as the heap has room for, whatever is in them.
  Status ForEach(const std::function<void(const Found&)>& visit) const;

 private:
  /// Where a name is, or would be.
  struct Place {
    uint64_t hash;
    std::array<uint64_t*, kRootDepthMax + 1> words;  ///< from the top, those that were chosen
    unsigned depth = 0;                              ///< of the last of them
    uint64_t* word = nullptr;  ///< that leads to the record, or that would: it or a `next`
    RootRecord* record = nullptr;
  };

  Result<Place> Locate(std::string_view name) const;
  Result<RootNode*> NodeAt(RootWord word) const;
  Result<RootRecord*> RecordAt(RootWord word) const;
  Status Damaged(const char* what, uint64_t offset) const;
  Result<uint64_t> ChainAt(const Place& place) const;
  Status Add(const Place& place, uint64_t record);
  Result<uint64_t> MakeRecord(std::string_view name, void* object, const RootType& type,
                              uint64_t next);
  Status Part(const Place& place, uint64_t hash_there, uint64_t record);
  void Publish(uint64_t* word, uint64_t value);
  Status CheckIsBlock(const void* block) const;
  void Release(void* block);

  char* At(uint64_t offset) const { return reinterpret_cast<char*>(heap_.facts().header) + offset; }
  uint64_t OffsetOf(const void* block) const {
    return static_cast<uint64_t>(static_cast<const char*>(block) -
                                 reinterpret_cast<const char*>(heap_.facts().header));
  }
  uint64_t HashOf(const RootRecord& record) const {
    return hash_(record.name(), record.name_bytes);
  }

  alloc::Heap& heap_;
  Hash hash_;
};

}  // namespace morsel
