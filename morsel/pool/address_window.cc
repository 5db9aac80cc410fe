#include "morsel/pool/address_window.h"

#include <cctype>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bits.h"
#include "base/checksum.h"
#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/units.h"
#include "morsel/pool/pool.h"

namespace morsel {
namespace {

// The first try does not know the process' mappings. Later ones have read them, but another thread
// may map something between that and the reservation.
constexpr int kReserveTriesMax = 16;

// Parses a hexadecimal number, with or without 0x, that ends at `terminator`, and moves `text` past
// the terminator.
std::optional<uint64_t> ParseHex(const char*& text, char terminator) {
  const bool prefixed = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  const char* digits = prefixed ? text + 2 : text;
  if (!std::isxdigit(static_cast<unsigned char>(*digits))) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const uint64_t value = std::strtoull(digits, &end, 16);
  if (errno != 0 || *end != terminator) return std::nullopt;
  text = end + (terminator != '\0');
  return value;
}

// Returns everything that this process has mapped, or nothing if it cannot read its own map. Then
// only the reservation itself reveals a conflict.
std::optional<TakenRanges> Mappings() {
  TakenRanges mappings;
  const DescriptorFloor floor;
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return std::nullopt;
  char line[512];
  bool at_line_start = true;
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    uint64_t begin = 0;
    uint64_t end = 0;
    if (at_line_start && std::sscanf(line, "%" SCNx64 "-%" SCNx64, &begin, &end) == 2) {
      mappings.Add(begin, end - begin);
    }
    at_line_start = std::string_view(line).ends_with('\n');
  }
  std::fclose(maps);
  return mappings;
}

// Does what TakenRanges::FirstFree() does, for a place that must be free in both sets.
std::optional<uint64_t> FirstFree(const TakenRanges& taken, const TakenRanges& mappings,
                                  uint64_t from, uint64_t end, uint64_t size_bytes,
                                  const BaseGrid& grid) {
  for (;;) {
    const auto base = taken.FirstFree(from, end, size_bytes, grid);
    if (!base) return base;
    const auto also = mappings.FirstFree(*base, end, size_bytes, grid);
    if (!also || *also == *base) return also;
    from = *also;
  }
}

}  // namespace

bool IsPossible(const Window& window) {
  return window.begin != 0 && window.begin < window.end && window.end <= kAddressEnd &&
         IsAligned(window.begin, kGiantBytes) && IsAligned(window.end, kGiantBytes);
}

Result<Window> WindowFromEnvironment() {
  const char* const set = std::getenv("MORSEL_WINDOW");
  if (set == nullptr || *set == '\0') return kDefaultWindow;
  const char* text = set;
  const std::optional<uint64_t> begin = ParseHex(text, '-');
  const std::optional<uint64_t> end = begin ? ParseHex(text, '\0') : std::nullopt;
  if (!end || !IsPossible({*begin, *end})) {
    return Fail(
        Code::kInvalidArgument,
        "MORSEL_WINDOW is '%s'; it must be start-end, two hexadecimal multiples of 0x%" PRIx64
        ", start the smaller, end at most 0x%" PRIx64,
        set, kGiantBytes, kAddressEnd);
  }
  return Window{*begin, *end};
}

uint64_t AddressAlignment(uint64_t capacity_bytes) {
  return capacity_bytes >= kGiantBytes ? kGiantBytes : kSubtreeBytes;
}

std::vector<BaseGrid> BasesFor(uint64_t capacity_bytes, uint64_t moved_from) {
  constexpr uint64_t kLowerHalf = uint64_t{1} << 32;
  const uint64_t alignment = AddressAlignment(capacity_bytes);
  std::vector<BaseGrid> grids;
  if (moved_from != 0 && IsAligned(moved_from, alignment)) {
    for (uint64_t step = kLowerHalf; step > alignment; step /= 8) {
      grids.emplace_back(step, moved_from);
    }
  }
  grids.emplace_back(alignment);
  return grids;
}

namespace {

// Returns nothing if there is no room, and why that is so in this process, if it is.
Result<std::optional<os::AddressRange>> ReserveIn(const Window& window, const BaseGrid& grid,
                                                  uint64_t size_bytes, uint64_t spread,
                                                  const TakenRanges& taken,
                                                  const std::string& label, std::string& why) {
  std::optional<os::AddressRange> none;
  const uint64_t begin = grid.From(window.begin);
  if (!Within(begin, size_bytes, window.end)) return none;
  const uint64_t places = (window.end - size_bytes - begin) / grid.step + 1;
  const uint64_t first = begin + spread % places * grid.step;

  TakenRanges mappings;
  for (int tries = 0; tries < kReserveTriesMax; ++tries) {
    const auto first_from = [&](uint64_t from) {
      return FirstFree(taken, mappings, from, window.end, size_bytes, grid);
    };
    std::optional<uint64_t> base = first_from(first);
    if (!base) base = first_from(begin);
    if (!base) {
      if (taken.FirstFree(begin, window.end, size_bytes, grid)) {
        why =
            " beside what this process has mapped there, open morsels or other memory "
            "(/proc/self/maps)";
      }
      return none;
    }
    Result<os::AddressRange> range = os::AddressRange::Reserve(*base, size_bytes, label);
    if (range) return std::optional(std::move(*range));
    if (range.error() != Code::kAddressTaken) return range.status();
    std::optional<TakenRanges> now = Mappings();
    if (now) {
      mappings = std::move(*now);
    } else {
      mappings.Add(*base, size_bytes);
    }
  }
  why = ", as far as this process has tried: " + std::to_string(kReserveTriesMax) +
        " places there were taken one after the other, the last: " + LastError();
  return none;
}

}  // namespace

Result<os::AddressRange> ReserveNew(const Window& window, const Id& id, uint64_t capacity_bytes,
                                    const TakenRanges& taken, const std::string& label,
                                    uint64_t moved_from) {
  const uint64_t window_bytes = window.end - window.begin;
  std::string why;
  if (capacity_bytes < window_bytes) {
    const uint64_t spread = Checksum64(id.data(), id.size());
    for (const BaseGrid& grid : BasesFor(capacity_bytes, moved_from)) {
      Result<std::optional<os::AddressRange>> range =
          ReserveIn(window, grid, RangeBytes(capacity_bytes), spread, taken, label, why);
      if (!range) return range.status();
      if (*range) return std::move(**range);
    }
  }
  return Fail(Code::kAddressExhausted,
              "the address window 0x%" PRIx64 "-0x%" PRIx64 " has no room for the %" PRIu64
              " bytes of capacity of %s%s; ask for less, or remove morsels",
              window.begin, window.end, capacity_bytes, label.c_str(), why.c_str());
}

}  // namespace morsel
