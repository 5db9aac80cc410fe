#include "morsel/api/caller_type.h"

#include <bit>

#include "base/error.h"
#include "morsel/open/versioned.h"

namespace morsel {

Result<RootType> TypeOfCaller(const morsel_type* caller, const char* call, std::string* name) {
  if (caller == nullptr) return RootType();
  const Result<morsel_type> known = KnownOptions("morsel_type", caller);
  if (!known) return known.status();
  if ((known->flags & ~uint32_t{MORSEL_MANGLED}) != 0) {
    return Fail(Code::kInvalidArgument,
                "%s with a type of flags 0x%x: it has a meaning for MORSEL_MANGLED only", call,
                known->flags);
  }
  if (!std::has_single_bit(known->alignment)) {
    return Fail(Code::kInvalidArgument,
                "%s with a type of alignment %u, which is no power of two: set it to alignof", call,
                known->alignment);
  }
  const char* const given = known->name == nullptr ? "" : known->name;
  const bool is_mangled = (known->flags & MORSEL_MANGLED) != 0 && *given != '\0';
  *name = is_mangled ? MangledNameToKeep(given) : TypeNameToKeep(given);
  const int flags = kRootTyped | (is_mangled ? kRootMangled : 0);
  return RootType{known->size, known->alignment, known->layout, static_cast<uint16_t>(flags),
                  *name};
}

}  // namespace morsel
