// roots.h, and the roots of morsel.h: named objects, what type they are of, and all blocks.
#include <string>

#include "base/error.h"
#include "morsel/api/c_call.h"
#include "morsel/api/caller_type.h"
#include "morsel/morsel.h"
#include "morsel/open/open_morsel.h"
#include "morsel/open/pointer_check.h"
#include "morsel/open/unreached.h"
#include "morsel/open/versioned.h"
#include "morsel/roots.h"

namespace {

using morsel::Code;
using morsel::Fail;
using morsel::OpenMorsel;
using morsel::Result;
using morsel::RootType;
using morsel::Status;
using namespace morsel::api;  // NOLINT: these are this file's own words

Status SetRoot(morsel_t* morsel, const char* name, void* object, const morsel_type* type,
               uint32_t flags, const char* call) {
  if ((flags & ~uint32_t{MORSEL_EXCLUSIVE}) != 0) {
    return Fail(Code::kInvalidArgument,
                "%s with flags 0x%x: it has a meaning for MORSEL_EXCLUSIVE only", call, flags);
  }
  std::string type_name;
  const Result<RootType> known = morsel::TypeOfCaller(type, call, &type_name);
  if (!known) return known.status();
  return Morsel(morsel)->SetRoot(name, object, *known, (flags & MORSEL_EXCLUSIVE) != 0);
}

// The object of the root, asked for by `find` as one of the caller's type.
void* RootOfType(morsel_t* morsel, const char* name, const morsel_type* type,
                 Result<void*> (OpenMorsel::*find)(const char*, const RootType&),
                 const char* call) {
  if (morsel == nullptr) return PointerOf(NoHandle(call));
  if (name == nullptr) return PointerOf(Missing(call, "a name"));
  return PointerOf(AbortOnBadAlloc(call, [&]() -> Result<void*> {
    std::string type_name;
    const Result<RootType> known = morsel::TypeOfCaller(type, call, &type_name);
    if (!known) return known.status();
    return (Morsel(morsel)->*find)(name, *known);
  }));
}

}  // namespace

extern "C" {

morsel_code morsel_set_root(morsel_t* morsel, const char* name, void* object) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_set_root"));
  if (name == nullptr) return CodeOf(Missing("morsel_set_root", "a name"));
  return CodeWithoutCancellation("morsel_set_root",
                                 [&] { return Morsel(morsel)->SetRoot(name, object); });
}

morsel_code morsel_set_root_typed(morsel_t* morsel, const char* name, void* object,
                                  const morsel_type* type, uint32_t flags) {
  constexpr char kCall[] = "morsel_set_root_typed";
  if (morsel == nullptr) return CodeOf(NoHandle(kCall));
  if (name == nullptr) return CodeOf(Missing(kCall, "a name"));
  return CodeWithoutCancellation(kCall,
                                 [&] { return SetRoot(morsel, name, object, type, flags, kCall); });
}

void* morsel_root(morsel_t* morsel, const char* name) {
  if (morsel == nullptr) return PointerOf(NoHandle("morsel_root"));
  if (name == nullptr) return PointerOf(Missing("morsel_root", "a name"));
  return PointerOf(AbortOnBadAlloc("morsel_root", [&] { return Morsel(morsel)->Root(name); }));
}

void* morsel_root_typed(morsel_t* morsel, const char* name, const morsel_type* type) {
  return RootOfType(morsel, name, type, &OpenMorsel::Root, "morsel_root_typed");
}

void* morsel_root_to_replace(morsel_t* morsel, const char* name, const morsel_type* type) {
  return RootOfType(morsel, name, type, &OpenMorsel::RootToReplace, "morsel_root_to_replace");
}

morsel_code morsel_for_each_root(morsel_t* morsel,
                                 int (*visit)(const morsel_root_info* root, void* context),
                                 void* context) {
  constexpr char kCall[] = "morsel_for_each_root";
  if (morsel == nullptr) return CodeOf(NoHandle(kCall));
  if (visit == nullptr) return CodeOf(Missing(kCall, "a function to call"));
  return CodeWithoutCancellation(kCall, [&]() -> Status {
    const auto roots = Morsel(morsel)->AllRoots();
    if (!roots) return roots.status();
    for (const auto& root : *roots) {
      const uint32_t flags = root.type.is_typed() ? MORSEL_TYPED : 0;
      const morsel_root_info info = {sizeof info,          flags,
                                     root.name.c_str(),    root.object,
                                     root.type.size_bytes, root.type.alignment,
                                     root.type.layout,     root.type_name.c_str()};
      if (visit(&info, context) != 0) break;
    }
    return Code::kOk;
  });
}

morsel_code morsel_for_each_block(morsel_t* morsel,
                                  int (*visit)(void* block, size_t bytes, void* context),
                                  void* context) {
  constexpr char kCall[] = "morsel_for_each_block";
  if (morsel == nullptr) return CodeOf(NoHandle(kCall));
  if (visit == nullptr) return CodeOf(Missing(kCall, "a function to call"));
  return CodeWithoutCancellation(kCall, [&] {
    return Morsel(morsel)->ForEachBlock(
        [&](const morsel::alloc::StoppedWorld&, char* block, uint64_t bytes) {
          return visit(block, bytes, context) == 0;
        });
  });
}

morsel_code morsel_check_pointers(morsel_t* morsel,
                                  int (*visit)(const morsel_pointer* pointer, void* context),
                                  void* context) {
  constexpr char kCall[] = "morsel_check_pointers";
  if (morsel == nullptr) return CodeOf(NoHandle(kCall));
  if (visit == nullptr) return CodeOf(Missing(kCall, "a function to call"));
  return CodeWithoutCancellation(kCall, [&]() -> Status {
    const auto found = morsel::FindStrayPointers(*Morsel(morsel));
    if (!found) return found.status();
    for (const morsel::StrayPointer& one : *found) {
      const std::string message = morsel::InWords(one);
      morsel_pointer pointer{};
      pointer.struct_size = sizeof pointer;
      pointer.to = static_cast<uint32_t>(one.to);
      pointer.is_doubtful = one.is_doubtful ? 1 : 0;
      pointer.block = const_cast<char*>(one.block);
      pointer.block_bytes = one.block_bytes;
      pointer.offset = one.offset;
      pointer.target = reinterpret_cast<void*>(one.target);
      pointer.symbol = one.symbol.c_str();
      pointer.place = one.place.c_str();
      pointer.message = message.c_str();
      if (visit(&pointer, context) != 0) break;
    }
    return Code::kOk;
  });
}

morsel_code morsel_find_unreached(morsel_t* morsel,
                                  int (*visit)(const morsel_unreached* unreached, void* context),
                                  void* context, morsel_unreached_info* info) {
  constexpr char kCall[] = "morsel_find_unreached";
  if (morsel == nullptr) return CodeOf(NoHandle(kCall));
  return CodeWithoutCancellation(kCall, [&]() -> Status {
    if (info != nullptr) MORSEL_TRY(morsel::BytesOf("morsel_unreached_info", *info).status());
    const auto found = morsel::FindUnreached(*Morsel(morsel));
    if (!found) return found.status();
    for (const morsel::UnreachedBlock& one : found->blocks) {
      if (visit == nullptr) break;
      const morsel_unreached shown = {sizeof shown, one.is_first ? 1u : 0u, one.block,
                                      one.bytes,    one.group_blocks,       one.group_bytes};
      if (visit(&shown, context) != 0) break;
    }
    if (info == nullptr) return Code::kOk;
    const morsel_unreached_info known = {
        sizeof known, 0, found->blocks.size(), found->bytes, found->live_blocks, found->live_bytes};
    return morsel::GiveInfo("morsel_unreached_info", known, info);
  });
}

}  // extern "C"
