// How what is known of a morsel, and of its move to another address, is written, for people and for
// programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/printer.h"
#include "cli/value.h"
#include "morsel/morsel.h"
#include "morsel/rebase.h"

namespace morsel::cli {

inline bool IsFine(const morsel_info& info) { return (info.flags & MORSEL_FINE) != 0; }
inline bool IsGiant(const morsel_info& info) { return (info.flags & MORSEL_GIANT) != 0; }
inline bool MayBeOlder(const morsel_info& info) { return (info.flags & MORSEL_MAY_BE_OLDER) != 0; }
inline bool Grows(const morsel_info& info) { return (info.flags & MORSEL_GROWS) != 0; }

/// "fine" or "snapshot".
const char* ContractName(const morsel_info& info);

/// The codec's name, or "unknown".
const char* CodecName(const morsel_info& info);

/// User and group, e.g. "alice:users", or numbers if they have no names.
std::string OwnerOf(const morsel_info& info);

/// 32 hexadecimal digits in the groups of a UUID: "00112233-...".
std::string FormatId(const unsigned char (&id)[16]);

/// The morsel's address.
uint64_t BaseOf(const morsel_info& info);

/// The facts for programs. Sizes are numbers of bytes; addresses and ids are texts. The names are a
/// contract: see docs/morselctl.md.
Value ValueOf(const morsel_info& info);
/// Those of an image: its file's path is its name, and it has no granularity, which is a pool's.
Value ValueOfImage(const std::string& path, const morsel_info& info);

/// Warns if `what`, made of something of the group `before`, could not be given that.
void WarnOfGroup(const std::string& what, uint32_t before, uint32_t now, const Printer& printer);

/// Collects what the library tells of a move.
struct Moving {
  Moving() { info.struct_size = sizeof info; }
  Moving(const Moving&) = delete;
  Moving& operator=(const Moving&) = delete;

  /// The options of a call of rebase.h, which report to this object.
  morsel_rebase_options Options(uint64_t base, uint64_t capacity_bytes);
  /// For programs: `blocks`, `words`, `doubtful`.
  void AddTo(Value& report) const;
  /// For people: some of the doubts, and how many words were changed.
  std::string Lines() const;

  morsel_rebase_info info{};
  std::vector<std::string> doubts{};
};

}  // namespace morsel::cli
