#include "morsel/open/pointer_check.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>

#include "alloc/heap/guard/memory_marks.h"
#include "alloc/heap/layout/size_class.h"
#include "base/demangled.h"
#include "base/error.h"
#include "morsel/open/open_morsel.h"
#include "morsel/open/process.h"
#include "os/memory/mappings.h"

namespace morsel {
namespace {

constexpr uint64_t kAddressEnd = uint64_t{1} << 47;
/// Numbers are often less, and addresses seldom: those of programs that are not moved about.
constexpr uint64_t kLowEnd = uint64_t{1} << 32;
/// A sanitizer's tables: nobody has that much memory.
constexpr uint64_t kTableBytesMin = uint64_t{1} << 40;
/// Where Linux maps programs that are moved about, and libraries and stacks.
constexpr uint64_t kProgramsBegin = 0x5500'0000'0000;
constexpr uint64_t kProgramsEnd = 0x5700'0000'0000;
constexpr uint64_t kLibrariesBegin = 0x7e00'0000'0000;
constexpr int kPrintedMax = 5;

// Words that are 6 letters and two zero bytes.
bool IsText(uint64_t word) {
  for (int i = 0; i < 6; ++i) {
    const uint64_t letter = word >> (8 * i) & 0xff;
    if (letter < 0x20 || letter > 0x7e) return false;
  }
  return true;
}

bool LooksLikeAnAddress(uint64_t word) {
  const bool is_among_programs = word >= kProgramsBegin && word < kProgramsEnd;
  const bool is_among_libraries = word >= kLibrariesBegin && word < kAddressEnd;
  return (is_among_programs || is_among_libraries) && !IsText(word);
}

// Whether a block of so many bytes may have been asked for with fewer, so that nobody need have
// stored the word at `offset`.
bool MayBeUnused(uint64_t block_bytes, uint64_t offset) {
  uint64_t used_bytes = 0;  // the fewest bytes that need such a block, less one
  if (block_bytes > alloc::kBlockBytesMax) {
    used_bytes = block_bytes - alloc::kUnitBytes;
  } else if (const unsigned of = alloc::ClassOf(block_bytes); of > 0) {
    used_bytes = alloc::BlockBytes(of - 1);
  }
  return offset > used_bytes;
}

class Search {
 public:
  Search(OpenMorsel& morsel, std::vector<os::Mapping> mappings)
      : morsel_(morsel),
        mappings_(std::move(mappings)),
        base_(morsel.record().base),
        capacity_end_(base_ + morsel.record().capacity_bytes) {
    std::erase_if(mappings_, [this](const os::Mapping& one) {
      const bool is_own = one.begin < capacity_end_ + kSubtreeBytes && one.end > base_;
      return is_own || one.end - one.begin >= kTableBytesMin;
    });
  }

  // While the world is stopped: which words lead out, or to no block. What there is out there is
  // asked for afterwards, since that takes locks of the loader.
  [[gnu::no_sanitize_address]] void Look(const alloc::StoppedWorld& stopped, char* block,
                                         uint64_t bytes) {
    for (uint64_t offset = 0; offset + sizeof(uint64_t) <= bytes; offset += sizeof(uint64_t)) {
      const uint64_t word = std::atomic_ref(*reinterpret_cast<uint64_t*>(block + offset))
                                .load(std::memory_order_relaxed);
      if (word < kPageBytes || word >= kAddressEnd) continue;
      StrayPointer found;
      if (word >= base_ && word < capacity_end_ + kPageBytes) {
        if (IsRightInside(stopped, word)) continue;
        found.to = PointsTo::kFreed;
      } else if (MappingOf(word) != nullptr) {
        found.to = PointsTo::kMemory;
      } else if (LooksLikeAnAddress(word)) {
        found.to = PointsTo::kNowhere;
      } else {
        continue;
      }
      found.block = block;
      found.block_bytes = bytes;
      found.offset = offset;
      found.target = word;
      found_.push_back(std::move(found));
    }
  }

  std::vector<StrayPointer> Explained() && {
    for (StrayPointer& found : found_) Explain(found);
    return std::move(found_);
  }

 private:
  // The base is in every Allocator, and what lies behind the capacity is the resource of std::pmr.
  bool IsRightInside(const alloc::StoppedWorld& stopped, uint64_t word) {
    if (word == base_ || word >= capacity_end_) return true;
    const auto is_live = [&](uint64_t address) {
      const KeepLastError keep;
      const Result<bool> live = stopped.IsLive(reinterpret_cast<const void*>(address));
      return live && *live;
    };
    return is_live(word) || is_live(word - 1);
  }

  const os::Mapping* MappingOf(uint64_t address) const {
    const auto after =
        std::upper_bound(mappings_.begin(), mappings_.end(), address,
                         [](uint64_t at, const os::Mapping& one) { return at < one.begin; });
    if (after == mappings_.begin() || address >= std::prev(after)->end) return nullptr;
    return &*std::prev(after);
  }

  void Explain(StrayPointer& found) const {
    found.is_doubtful = found.to == PointsTo::kFreed || found.to == PointsTo::kNowhere;
    if (found.to != PointsTo::kMemory) return;
    const auto* const target = reinterpret_cast<const void*>(found.target);
    if (const OpenMorsel* const other = MorselAt(target); other != nullptr) {
      found.to = PointsTo::kMorsel;
      found.is_doubtful = true;
      found.place = other->label();
      return;
    }
    Dl_info info{};
    if (dladdr(target, &info) == 0) {
      const os::Mapping* const mapping = MappingOf(found.target);
      found.place = mapping->name.empty() ? "memory of this process" : mapping->name;
      const bool is_guarded = morsel_.heap().guard() != nullptr;
      found.is_doubtful =
          found.target < kLowEnd || (!is_guarded && MayBeUnused(found.block_bytes, found.offset));
      return;
    }
    found.to = PointsTo::kProgram;
    found.place = info.dli_fname == nullptr ? "" : info.dli_fname;
    if (info.dli_sname != nullptr) {
      found.symbol = Demangled(info.dli_sname);
      found.from_symbol = found.target - reinterpret_cast<uint64_t>(info.dli_saddr);
    }
    // A table of functions is pointed to behind two words.
    const bool is_exact =
        !found.symbol.empty() && (found.from_symbol == 0 || found.from_symbol == 16);
    found.is_doubtful = found.target < kLowEnd && !is_exact;
  }

  OpenMorsel& morsel_;
  std::vector<os::Mapping> mappings_;  ///< but the morsel's own
  uint64_t base_;
  uint64_t capacity_end_;
  std::vector<StrayPointer> found_;
};

const char* WhereTo(PointsTo to) {
  switch (to) {
    case PointsTo::kProgram:
      return "the program or a library, which lies elsewhere in the next process";
    case PointsTo::kMemory:
      return "other memory of this process, which the next one has not got";
    case PointsTo::kMorsel:
      return "another morsel, which the next process need not have open";
    case PointsTo::kFreed:
      return "where no block of the morsel is allocated";
    case PointsTo::kNowhere:
      return "where programs lie, and where nothing is mapped here: one that has ended had "
             "something "
             "there";
  }
  return "";
}

}  // namespace

Result<std::vector<StrayPointer>> FindStrayPointers(OpenMorsel& morsel) {
  MORSEL_TRY(morsel.MayRead());
  Result<std::vector<os::Mapping>> mappings = os::ReadableMappings();
  if (!mappings) return mappings.status();
  Search search(morsel, std::move(*mappings));
  MORSEL_TRY(
      morsel.ForEachBlock([&](const alloc::StoppedWorld& stopped, char* block, uint64_t bytes) {
        const alloc::ReportsAreOff quiet;
        search.Look(stopped, block, bytes);
        return true;
      }));
  return std::move(search).Explained();
}

std::string InWords(const StrayPointer& pointer) {
  char text[200];
  std::snprintf(text, sizeof text,
                "the block of %" PRIu64 " bytes at %p has at offset %" PRIu64 " 0x%" PRIx64
                ", which leads to ",
                pointer.block_bytes, static_cast<const void*>(pointer.block), pointer.offset,
                pointer.target);
  std::string words = text;
  words += WhereTo(pointer.to);
  if (!pointer.symbol.empty()) {
    words += ": " + pointer.symbol;
    if (pointer.from_symbol != 0) words += " + " + std::to_string(pointer.from_symbol);
  }
  if (!pointer.place.empty()) words += " (" + pointer.place + ")";
  if (pointer.is_doubtful) words += "; it may be a number, or left over and used by nobody";
  return words;
}

void PrintStrayPointers(OpenMorsel& morsel) {
  if (morsel.heap().guard() == nullptr || morsel.read_only()) return;
  const KeepLastError keep;
  const Result<std::vector<StrayPointer>> found = FindStrayPointers(morsel);
  if (!found) return;
  int count = 0;
  for (const StrayPointer& pointer : *found) {
    if (pointer.is_doubtful || ++count > kPrintedMax) continue;
    std::fprintf(stderr, "morsel: checkpoint of %s: %s\n", morsel.label().c_str(),
                 InWords(pointer).c_str());
  }
  if (count > kPrintedMax) {
    std::fprintf(stderr, "morsel: checkpoint of %s: %d such words in all\n", morsel.label().c_str(),
                 count);
  }
}

}  // namespace morsel
