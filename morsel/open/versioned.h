// The structures of the C API, which grow at their end: callers may have been compiled with an
// older or a newer version of one than this library knows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "morsel/morsel.h"
#include "morsel/rebase.h"
#include "morsel/tools.h"

namespace morsel {

/// The size of a structure's first version, which struct_size 0 stands for. It never changes.
template <class Struct>
inline constexpr uint32_t kFirstBytes = 0;
template <>
inline constexpr uint32_t kFirstBytes<morsel_pool_options> = 24;
template <>
inline constexpr uint32_t kFirstBytes<morsel_options> = 64;
template <>
inline constexpr uint32_t kFirstBytes<morsel_info> = 288;
template <>
inline constexpr uint32_t kFirstBytes<morsel_pool_info> = 1672;
template <>
inline constexpr uint32_t kFirstBytes<morsel_check_info> = 40;
template <>
inline constexpr uint32_t kFirstBytes<morsel_export_options> = 32;
template <>
inline constexpr uint32_t kFirstBytes<morsel_address_info> = 1056;
template <>
inline constexpr uint32_t kFirstBytes<morsel_type> = 32;
template <>
inline constexpr uint32_t kFirstBytes<morsel_pointers> = 32;
template <>
inline constexpr uint32_t kFirstBytes<morsel_rebase_options> = 56;
template <>
inline constexpr uint32_t kFirstBytes<morsel_rebase_info> = 288;
template <>
inline constexpr uint32_t kFirstBytes<morsel_import_options> = 24;

template <>
inline constexpr uint32_t kFirstBytes<morsel_unreached_info> = 40;

/// No structure is larger. A larger struct_size is a variable that nobody has set.
inline constexpr uint32_t kStructBytesMax = 4096;

/// Returns how many bytes the caller's structure has.
/// what    names the structure in the message.
/// Errors  kInvalidArgument: its struct_size can be of no version.
template <class Struct>
Result<uint32_t> BytesOf(const char* what, const Struct& caller) {
  static_assert(kFirstBytes<Struct> != 0 && kFirstBytes<Struct> <= sizeof(Struct) &&
                sizeof(Struct) <= kStructBytesMax);
  uint32_t size = 0;
  std::memcpy(&size, &caller, sizeof size);
  if (size == 0) return kFirstBytes<Struct>;
  if (size >= kFirstBytes<Struct> && size <= kStructBytesMax) return size;
  return Fail(Code::kInvalidArgument,
              "%s of %u bytes: its first version has %u; set struct_size to sizeof or 0", what,
              size, kFirstBytes<Struct>);
}

/// Returns what this library knows of the caller's options; nullptr stands for all zeros.
/// Errors  kInvalidArgument: as BytesOf(), or they ask for something that is not known here.
template <class Options>
Result<Options> KnownOptions(const char* what, const Options* caller) {
  Options known{};
  if (caller == nullptr) return known;
  const Result<uint32_t> size = BytesOf(what, *caller);
  if (!size) return size.status();
  const char* const bytes = reinterpret_cast<const char*>(caller);
  std::memcpy(&known, bytes, std::min<size_t>(*size, sizeof known));
  for (size_t i = sizeof known; i < *size; ++i) {
    if (bytes[i] == 0) continue;
    return Fail(Code::kInvalidArgument,
                "%s of %u bytes: this library knows %zu, and what lies behind them is not 0; leave "
                "out what is newer, or use a newer library",
                what, *size, sizeof known);
  }
  return known;
}

/// Gives the caller as much of `known` as it has room for. What it has beyond that becomes 0.
/// Errors  as BytesOf(): nothing is written.
template <class Info>
Status GiveInfo(const char* what, const Info& known, Info* caller) {
  const Result<uint32_t> size = BytesOf(what, *caller);
  if (!size) return size.status();
  const uint32_t filled = std::min<uint32_t>(*size, sizeof known);
  char* const bytes = reinterpret_cast<char*>(caller);
  std::memcpy(bytes, &known, filled);
  std::memset(bytes + filled, 0, *size - filled);
  std::memcpy(bytes, &filled, sizeof filled);  // struct_size
  return Code::kOk;
}

}  // namespace morsel
