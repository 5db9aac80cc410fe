// tools.h without exports and images: facts about pools, the search for damage, formatting.
#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "image/codecs/codecs.h"
#include "morsel/api/c_call.h"
#include "morsel/carved/format_device.h"
#include "morsel/check/check.h"
#include "morsel/open/open_options.h"
#include "morsel/open/open_pool.h"
#include "morsel/open/versioned.h"
#include "morsel/tools.h"
#include "pmem/media/dax_file.h"

namespace {

using morsel::Code;
using morsel::Finding;
using morsel::Result;
using morsel::Status;
using namespace morsel::api;  // NOLINT: these are this file's own words

Result<uint64_t> CountHuge(morsel::impl::Pool& pool, const char* name) {
  const Result<morsel::CatalogRecord> record = pool.Find(name);
  if (!record) return record.status();
  if (record->contract != morsel::Contract::kFine) {
    return morsel::Fail(Code::kUnsupported,
                        "morsel '%s' of pool '%s' is a snapshot morsel, which lies in frames of "
                        "each process: morsel_pool_stat() tells which",
                        name, pool.path().c_str());
  }
  const Result<std::unique_ptr<morsel::Backing>> backing = pool.Open(name, /*read_only=*/true);
  if (!backing) return backing.status();
  return morsel::pmem::CountMappedHuge(reinterpret_cast<const void*>(record->base),
                                       record->size_bytes / morsel::kSubtreeBytes);
}

Status Check(morsel_pool_t* pool, const char* name, std::vector<Finding>& findings,
             morsel_check_info& info) {
  if (name != nullptr) MORSEL_TRY(Pool(pool)->CheckKnownName(name));
  MORSEL_TRY(Pool(pool)->MayCheck());
  const Result<morsel::CheckSummary> summary = morsel::CheckPool(
      Pool(pool)->pool(), name == nullptr ? "" : name,
      [&](const Finding& finding) { findings.push_back(finding); },
      [&](const std::string& morsel, const std::function<Status()>& look) {
        return Pool(pool)->WhileClosed(morsel, look);
      });
  if (!summary) return summary.status();
  info.struct_size = sizeof info;
  info.obstacle = static_cast<uint32_t>(summary->obstacle);
  info.morsels = summary->morsels;
  info.roots = summary->roots;
  info.live_bytes = summary->live_bytes;
  info.damages = summary->damages;
  return Code::kOk;
}

}  // namespace

extern "C" {

morsel_code morsel_pool_stat(morsel_pool_t* pool, morsel_pool_info* info) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_pool_stat"));
  if (info == nullptr) return CodeOf(Missing("morsel_pool_stat", "a place for what it finds"));
  return CodeWithoutCancellation("morsel_pool_stat", [&]() -> Status {
    MORSEL_TRY(morsel::BytesOf("morsel_pool_info", *info).status());
    const Result<morsel_pool_info> known = Pool(pool)->Facts();
    if (!known) return known.status();
    return morsel::GiveInfo("morsel_pool_info", *known, info);
  });
}

morsel_code morsel_find(morsel_pool_t* pool, const char* name, morsel_info* info) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_find"));
  if (info == nullptr) return CodeOf(Missing("morsel_find", "a place for what it finds"));
  return CodeWithoutCancellation("morsel_find", [&]() -> Status {
    const Result<morsel_info> known = Pool(pool)->Find(name);
    if (!known) return known.status();
    return morsel::GiveInfo("morsel_info", *known, info);
  });
}

morsel_code morsel_list_unreadable(morsel_pool_t* pool,
                                   int (*visit)(const char* name, morsel_code code,
                                                const char* message, void* context),
                                   void* context) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_list_unreadable"));
  if (visit == nullptr) return CodeOf(Missing("morsel_list_unreadable", "a function to call"));
  return CodeWithoutCancellation("morsel_list_unreadable",
                                 [&] { return Pool(pool)->ListUnreadable(visit, context); });
}

morsel_code morsel_count_huge(morsel_pool_t* pool, const char* name, uint64_t* subtrees) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_count_huge"));
  if (subtrees == nullptr) return CodeOf(Missing("morsel_count_huge", "a place for the count"));
  return CodeWithoutCancellation("morsel_count_huge", [&]() -> Status {
    MORSEL_TRY(morsel::CheckMorselName(name));
    return Pool(pool)->WhileClosed(name, [&] {
      const Result<uint64_t> huge = CountHuge(Pool(pool)->pool(), name);
      if (huge) *subtrees = *huge;
      return huge.status();
    });
  });
}

morsel_code morsel_check(morsel_pool_t* pool, const char* name,
                         void (*visit)(const morsel_finding* finding, void* context), void* context,
                         morsel_check_info* info) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_check"));
  if (info == nullptr) return CodeOf(Missing("morsel_check", "a place for the result"));
  return CodeWithoutCancellation("morsel_check", [&]() -> Status {
    MORSEL_TRY(morsel::BytesOf("morsel_check_info", *info).status());
    std::vector<Finding> findings;
    morsel_check_info known{};
    MORSEL_TRY(Check(pool, name, findings, known));
    for (const Finding& finding : findings) {
      if (visit == nullptr) break;
      const morsel_finding shown = {sizeof shown, static_cast<uint32_t>(finding.code),
                                    finding.subject.c_str(), finding.message.c_str()};
      visit(&shown, context);
    }
    return morsel::GiveInfo("morsel_check_info", known, info);
  });
}

morsel_code morsel_format(const char* path, uint32_t flags) {
  if (path == nullptr) return CodeOf(Missing("morsel_format", "a path"));
  return CodeWithoutCancellation("morsel_format", [&]() -> Status {
    if ((flags & ~uint32_t{MORSEL_DESTROY}) != 0) {
      return morsel::Fail(Code::kInvalidArgument,
                          "morsel_format with flags 0x%x: it has a meaning for MORSEL_DESTROY only",
                          flags);
    }
    const bool destroys = (flags & MORSEL_DESTROY) != 0;
    return morsel::FormatDevice(
        path, destroys ? morsel::DeviceData::kIsDestroyed : morsel::DeviceData::kMustBeAbsent,
        morsel::os::KernelCalls());
  });
}

const char* morsel_codec_name(uint32_t codec) {
  const auto codecs = morsel::image::AllCodecs();
  return codec < codecs.size() ? codecs[codec].name : nullptr;
}

}  // extern "C"
