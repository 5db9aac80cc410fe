#include "morsel/rebase/moved_words.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

#include "alloc/heap/layout/heap_layout.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/units.h"
#include "morsel/roots/root_table_layout.h"
#include "morsel/roots/root_trie.h"
#include "morsel/roots/roots.h"

namespace morsel {
namespace {

constexpr uint64_t kWordBytes = sizeof(uint64_t);

// An object whose pointers are known: where it ends, and where they are.
struct KnownObject {
  uint64_t end;
  const std::vector<uint64_t>* offsets;
};

// The first of a template's arguments, which begin at `at`.
std::string_view FirstArgument(std::string_view type, size_t at) {
  size_t end = at;
  for (int depth = 0; end < type.size(); ++end) {
    const char c = type[end];
    if (depth == 0 && (c == ',' || c == '>')) break;
    if (c == '<' || c == '(') ++depth;
    if (c == '>' || c == ')') --depth;
  }
  return type.substr(at, end - at);
}

// What a type says of a container that is ordered by hashes of addresses, as part of a sentence;
// nullptr: nothing. It may have "std::hash<Account*>", or that of another library, or be a table of
// that kind whose keys have pointers, and which hash function it has is the program's.
const char* HowHashedByAddress(std::string_view type) {
  constexpr std::string_view kTables[] = {
      "hash_set",      "hash_map",      "robin_set",          "robin_map",
      "unordered_set", "unordered_map", "unordered_multiset", "unordered_multimap"};
  const char* how = nullptr;
  for (size_t at = type.find('<'); at != std::string_view::npos; at = type.find('<', at + 1)) {
    const std::string_view before = type.substr(0, at);
    if (FirstArgument(type, at + 1).find('*') == std::string_view::npos) continue;
    if (before.ends_with("hash")) {
      return "which is ordered by hashes of addresses, and these change: make it anew";
    }
    for (const std::string_view table : kTables) {
      if (!before.ends_with(table)) continue;
      how =
          "a hash table whose keys have pointers, and these change: make it anew, unless its "
          "hash function looks only at what they lead to";
    }
  }
  return how;
}

class Mover {
 public:
  Mover(alloc::Heap& heap, const Move& move, const std::function<void(const Doubt&)>& report)
      : heap_(heap),
        move_(move),
        report_(report),
        bytes_(reinterpret_cast<uint64_t>(heap.facts().header)),
        prefix_bytes_(heap.facts().header->first_unit * alloc::kUnitBytes) {}

  Result<MovedCounts> Run(const std::vector<PointersOfType>& pointers) {
    const Status walked = RootTrie(heap_).ForEach(
        [&](const RootTrie::Found& found) { of_roots_.emplace(found.offset, found.record); });
    if (!walked.ok()) return walked;
    for (const auto& [offset, record] : of_roots_) {
      if (record != nullptr) LookAtRoot(*record, pointers);
    }
    {
      const auto stopped = heap_.StopTheWorld();
      MORSEL_TRY(stopped.ForEachBlock([&](char* block, uint64_t bytes) {
        const uint64_t offset = reinterpret_cast<uint64_t>(block) - bytes_;
        if (!of_roots_.contains(offset)) MoveBlock(stopped, offset, bytes);
        return true;
      }));
    }
    MoveRoots();
    ReportAlignment();
    return counts_;
  }

 private:
  uint64_t* WordAt(uint64_t offset) const { return reinterpret_cast<uint64_t*>(bytes_ + offset); }

  void Report(const Doubt& doubt) {
    ++counts_.doubtful;
    if (report_) report_(doubt);
  }

  void LookAtRoot(const RootRecord& record, const std::vector<PointersOfType>& pointers) {
    if ((record.flags & kRootTyped) == 0) return;
    const RootType type = {record.size_bytes,
                           record.alignment,
                           record.layout,
                           record.flags,
                           {record.type_name(), record.type_name_bytes}};
    for (const PointersOfType& known : pointers) {
      if (!Fits(type, known.type)) continue;
      const uint64_t begin = record.object - move_.from_base;
      if (begin % kWordBytes != 0) return;  // it has no pointers, then
      known_[begin] = {begin + record.size_bytes, &known.offsets};
      return;
    }
    const std::string readable = ReadableName(type);
    const char* const how = HowHashedByAddress(readable);
    if (how == nullptr) return;
    Doubt doubt;
    doubt.target = record.object;
    doubt.message = "root '" + std::string(record.name(), record.name_bytes) +
                    "' is of the type '" + readable + "', " + how;
    Report(doubt);
  }

  void MoveBlock(const alloc::StoppedWorld& stopped, uint64_t block, uint64_t bytes) {
    ++counts_.blocks;
    LookAtAlignment(block, bytes);
    uint64_t at = block;
    const uint64_t end = block + bytes;
    for (auto known = known_.lower_bound(block); known != known_.end() && known->first < end;
         ++known) {
      for (; at < known->first; at += kWordBytes) MoveByValue(stopped, block, bytes, at);
      for (const uint64_t offset : *known->second.offsets) {
        if (offset + kWordBytes <= known->second.end - known->first) {
          MoveExactly(known->first + offset);
        }
      }
      at = std::max(at, AlignUp(known->second.end, kWordBytes));
    }
    for (; at + kWordBytes <= end; at += kWordBytes) MoveByValue(stopped, block, bytes, at);
  }

  // Each move is by a multiple of kSubtreeBytes.
  void LookAtAlignment(uint64_t block, uint64_t bytes) {
    const uint64_t address = move_.from_base + block;
    const uint64_t alignment = AlignmentOf(address);
    if (alignment <= kSubtreeBytes) return;
    if (AlignmentOf(move_.Moved(address, prefix_bytes_).value_or(address)) >= alignment) return;
    if (less_aligned_++ == 0) first_less_aligned_ = {address, bytes};
  }

  void ReportAlignment() {
    if (less_aligned_ == 0) return;
    const auto [address, bytes] = first_less_aligned_;
    char text[320];
    std::snprintf(text, sizeof text,
                  "the block of %" PRIu64 " bytes at 0x%" PRIx64 ", a multiple of %" PRIu64
                  " MiB, is not at one any more, and %" PRIu64
                  " others neither: who has asked for that alignment must choose an address that "
                  "keeps it, or make them anew",
                  bytes, address, AlignmentOf(address) / kMiB, less_aligned_ - 1);
    Doubt doubt;
    doubt.message = text;
    Report(doubt);
  }

  void MoveExactly(uint64_t at) {
    const std::optional<uint64_t> moved = move_.Moved(*WordAt(at), prefix_bytes_);
    if (!moved) return;
    *WordAt(at) = *moved;
    ++counts_.words;
    ++counts_.exact;
  }

  void MoveByValue(const alloc::StoppedWorld& stopped, uint64_t block, uint64_t bytes,
                   uint64_t at) {
    const uint64_t word = *WordAt(at);
    const std::optional<uint64_t> moved = move_.Moved(word, prefix_bytes_);
    if (!moved) return;
    if (!LeadsSomewhere(stopped, word)) {
      char text[240];
      std::snprintf(text, sizeof text,
                    "the block of %" PRIu64 " bytes at 0x%" PRIx64 " has at offset %" PRIu64
                    " 0x%" PRIx64 ", where no block is allocated: it is left as it is",
                    bytes, move_.from_base + block, at - block, word);
      return Report({move_.from_base + block, bytes, at - block, word, text});
    }
    *WordAt(at) = *moved;
    ++counts_.words;
  }

  // What leads to no block is a number, text, or left over. The base is in every Allocator, and
  // what lies behind the capacity is the resource of std::pmr. A pointer to the end of a block is
  // one of it.
  bool LeadsSomewhere(const alloc::StoppedWorld& stopped, uint64_t word) {
    const uint64_t offset = word - move_.from_base;
    if (offset == 0 || offset == move_.from_capacity_bytes) return true;
    if (offset > move_.from_capacity_bytes) return false;
    const auto is_live = [&](uint64_t address) {
      const Result<bool> live = stopped.IsLive(reinterpret_cast<const void*>(address));
      return live && *live;
    };
    return is_live(bytes_ + offset) || is_live(bytes_ + offset - 1);
  }

  // What leads to roots is offsets, which change with the blocks' places; objects are addresses.
  void MoveRoots() {
    alloc::HeapHeader& header = *heap_.facts().header;
    const auto move_offset = [&](uint64_t& word) {
      if (word != 0) word += move_.shift_bytes;
    };
    const auto move_object = [&](uint64_t& object) {
      object = move_.Moved(object, prefix_bytes_).value_or(object);
    };
    for (uint64_t& word : header.roots) move_offset(word);
    if (header.root_change >= prefix_bytes_) move_offset(header.root_change);
    for (const auto& [offset, record] : of_roots_) {
      if (record == nullptr) {
        for (uint64_t& word : reinterpret_cast<RootNode*>(bytes_ + offset)->words) {
          move_offset(word);
        }
        continue;
      }
      auto& found = *reinterpret_cast<RootRecord*>(bytes_ + offset);
      move_offset(found.next);
      move_object(found.object);
    }
    auto* const table = static_cast<RootEntry*>(heap_.facts().root_table());
    for (uint64_t i = 0; i < heap_.facts().root_table_bytes() / sizeof(RootEntry); ++i) {
      move_object(table[i].object);
    }
  }

  alloc::Heap& heap_;
  const Move& move_;
  const std::function<void(const Doubt&)>& report_;
  uint64_t bytes_;         ///< where the copy of the morsel begins; all offsets are from there
  uint64_t prefix_bytes_;  ///< of the heap
  std::map<uint64_t, const RootRecord*> of_roots_;  ///< blocks that the roots themselves take
  std::map<uint64_t, KnownObject> known_;
  uint64_t less_aligned_ = 0;  ///< how many blocks are at a smaller power of two after the move
  std::pair<uint64_t, uint64_t> first_less_aligned_;  ///< where that was, and how large
  MovedCounts counts_;
};

}  // namespace

Result<MovedCounts> MoveWords(alloc::Heap& heap, const Move& move,
                              const std::vector<PointersOfType>& pointers,
                              const std::function<void(const Doubt& doubt)>& report) {
  return Mover(heap, move, report).Run(pointers);
}

uint64_t AlignmentOf(uint64_t address) { return std::min(address & (~address + 1), kGiantBytes); }

uint64_t LargestAlignment(alloc::Heap& heap, uint64_t base) {
  const auto bytes = reinterpret_cast<uint64_t>(heap.facts().header);
  uint64_t largest = kSubtreeBytes;
  (void)heap.StopTheWorld().ForEachBlock([&](char* block, uint64_t) {
    const uint64_t address = base + (reinterpret_cast<uint64_t>(block) - bytes);
    largest = std::max(largest, AlignmentOf(address));
    return true;
  });
  return largest;
}

}  // namespace morsel
