// rebase.h: morsels at another address.
#include <deque>
#include <string>
#include <vector>

#include "base/error.h"
#include "morsel/api/c_call.h"
#include "morsel/api/caller_type.h"
#include "morsel/open/open_pool.h"
#include "morsel/open/process.h"
#include "morsel/open/rebasing.h"
#include "morsel/open/versioned.h"
#include "morsel/rebase.h"

namespace {

using morsel::Code;
using morsel::Doubt;
using morsel::Fail;
using morsel::Rebased;
using morsel::Rebasing;
using morsel::Result;
using morsel::Status;
using namespace morsel::api;  // NOLINT: these are this file's own words

void* AddressOf(uint64_t address) { return reinterpret_cast<void*>(address); }

// What the caller says of one type. `names` gets the names of types.
Result<morsel::PointersOfType> PointersOf(const morsel_pointers* caller, const char* call,
                                          std::deque<std::string>& names) {
  if (caller == nullptr) return Missing(call, "pointers of a type");
  const Result<morsel_pointers> known = morsel::KnownOptions("morsel_pointers", caller);
  if (!known) return known.status();
  if (known->type == nullptr) return Missing(call, "the type of which there are pointers");
  if (known->offsets == nullptr && known->count != 0) return Missing(call, "offsets of pointers");
  if (known->reserved != 0) {
    return Fail(Code::kInvalidArgument, "%s with pointers whose `reserved` is not 0", call);
  }
  const Result<morsel::RootType> type =
      morsel::TypeOfCaller(known->type, call, &names.emplace_back());
  if (!type) return type.status();
  morsel::PointersOfType pointers = {*type, {known->offsets, known->offsets + known->count}};
  for (const uint64_t offset : pointers.offsets) {
    if (offset % sizeof(void*) == 0 && offset + sizeof(void*) <= type->size_bytes) continue;
    return Fail(Code::kInvalidArgument,
                "%s with a pointer at offset %llu of a type of %llu bytes: set offsets to offsetof",
                call, static_cast<unsigned long long>(offset),
                static_cast<unsigned long long>(type->size_bytes));
  }
  return pointers;
}

Result<Rebasing> RebasingOf(const morsel_rebase_options* caller, const char* call,
                            uint32_t flags_known, std::deque<std::string>& names) {
  const Result<morsel_rebase_options> known = morsel::KnownOptions("morsel_rebase_options", caller);
  if (!known) return known.status();
  if ((known->flags & ~flags_known) != 0) {
    return Fail(Code::kInvalidArgument, "%s with flags 0x%x: it knows 0x%x", call, known->flags,
                flags_known);
  }
  Rebasing rebasing;
  rebasing.base = reinterpret_cast<uint64_t>(known->base);
  rebasing.capacity_bytes = known->capacity_bytes;
  rebasing.is_dry = (known->flags & MORSEL_DRY_RUN) != 0;
  rebasing.progress = ProgressOfThread();
  if (known->pointers == nullptr && known->pointers_count != 0) {
    return Missing(call, "the pointers that it is to know of");
  }
  for (size_t i = 0; i < known->pointers_count; ++i) {
    Result<morsel::PointersOfType> pointers = PointersOf(known->pointers[i], call, names);
    if (!pointers) return pointers.status();
    rebasing.pointers.push_back(std::move(*pointers));
  }
  if (known->doubtful != nullptr) {
    rebasing.doubtful = [report = known->doubtful,
                         context = known->doubtful_context](const Doubt& doubt) {
      const morsel_doubt shown = {sizeof shown,           0,
                                  AddressOf(doubt.block), doubt.block_bytes,
                                  doubt.offset,           AddressOf(doubt.target),
                                  doubt.message.c_str()};
      const morsel::OutsideCall outside;
      report(&shown, context);
    };
  }
  return rebasing;
}

Status GiveRebaseInfo(const Rebased& rebased, morsel_rebase_info* info) {
  if (info == nullptr) return Code::kOk;
  morsel_rebase_info known{};
  known.base_before = AddressOf(rebased.before.base);
  known.base = AddressOf(rebased.after.base);
  known.capacity_before = rebased.before.capacity_bytes;
  known.capacity_bytes = rebased.after.capacity_bytes;
  known.size_bytes = rebased.after.size_bytes;
  known.blocks = rebased.counts.blocks;
  known.words = rebased.counts.words;
  known.exact = rebased.counts.exact;
  known.doubtful = rebased.counts.doubtful;
  rebased.after.name.copy(known.name, sizeof known.name - 1);
  return morsel::GiveInfo("morsel_rebase_info", known, info);
}

// Checks the structures of the caller, calls `make`, and fills `info`.
template <class Make>
Status Run(const char* call, const morsel_rebase_options* options, morsel_rebase_info* info,
           uint32_t flags_known, const Make& make) {
  if (info != nullptr) MORSEL_TRY(morsel::BytesOf("morsel_rebase_info", *info).status());
  std::deque<std::string> names;
  const Result<Rebasing> rebasing = RebasingOf(options, call, flags_known, names);
  if (!rebasing) return rebasing.status();
  const Result<Rebased> made = make(*rebasing);
  return made ? GiveRebaseInfo(*made, info) : made.status();
}

Status Import(morsel_pool_t* pool, const char* path, const morsel_import_options* options,
              morsel_rebase_info* info, const char* call) {
  const Result<morsel_import_options> known =
      morsel::KnownOptions("morsel_import_options", options);
  if (!known) return known.status();
  constexpr uint32_t kFlags = MORSEL_REPLACE | MORSEL_REBASE;
  if ((known->flags & ~kFlags) != 0) {
    return Fail(Code::kInvalidArgument,
                "%s with flags 0x%x: it has a meaning for MORSEL_REPLACE and MORSEL_REBASE only",
                call, known->flags);
  }
  return Run(call, known->rebase, info, 0, [&](const Rebasing& rebasing) {
    return Pool(pool)->Import(path, known->name,
                              {.replaces = (known->flags & MORSEL_REPLACE) != 0,
                               .may_move = (known->flags & MORSEL_REBASE) != 0,
                               .rebasing = rebasing});
  });
}

}  // namespace

extern "C" {

morsel_code morsel_rebase(morsel_pool_t* pool, const char* name,
                          const morsel_rebase_options* options, morsel_rebase_info* info) {
  constexpr char kCall[] = "morsel_rebase";
  if (pool == nullptr) return CodeOf(NoHandle(kCall));
  return CodeWithoutCancellation(kCall, [&] {
    return Run(kCall, options, info, MORSEL_DRY_RUN,
               [&](const Rebasing& rebasing) { return Pool(pool)->Rebase(name, rebasing); });
  });
}

morsel_code morsel_copy(morsel_pool_t* pool, const char* name, const char* to,
                        const morsel_rebase_options* options, morsel_rebase_info* info) {
  constexpr char kCall[] = "morsel_copy";
  if (pool == nullptr) return CodeOf(NoHandle(kCall));
  return CodeWithoutCancellation(kCall, [&] {
    return Run(kCall, options, info, MORSEL_DRY_RUN, [&](const Rebasing& rebasing) {
      return Pool(pool)->CopyMorsel(name, to, rebasing);
    });
  });
}

morsel_code morsel_import_with(morsel_pool_t* pool, const char* path,
                               const morsel_import_options* options, morsel_rebase_info* info) {
  constexpr char kCall[] = "morsel_import_with";
  if (pool == nullptr) return CodeOf(NoHandle(kCall));
  if (path == nullptr) return CodeOf(Missing(kCall, "a path"));
  return CodeWithoutCancellation(kCall, [&] { return Import(pool, path, options, info, kCall); });
}

}  // extern "C"
