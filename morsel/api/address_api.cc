// tools.h: which pools of the host have which addresses.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "base/error.h"
#include "morsel/api/c_call.h"
#include "morsel/open/versioned.h"
#include "morsel/registry/address_registry.h"
#include "morsel/registry/registry_path.h"
#include "morsel/tools.h"

namespace {

using morsel::AddressRegistry;
using morsel::Code;
using morsel::Fail;
using morsel::RegistryPlace;
using morsel::Result;
using morsel::Status;
using morsel::Window;
using namespace morsel::api;  // NOLINT: these are this file's own words

Result<RegistryPlace> ExistingRegistry() {
  const std::optional<RegistryPlace> place = morsel::FindRegistry();
  if (!place) {
    return Fail(Code::kNotFound,
                "this user has no registry of addresses: MORSEL_ADDRESSES is empty, or there is no "
                "home directory of the user's own");
  }
  if (access(place->path.c_str(), F_OK) != 0) {
    return Fail(Code::kNotFound,
                "there is no registry of addresses at '%s' yet: the first morsel that is made "
                "makes it",
                place->path.c_str());
  }
  return *place;
}

// How much of the window no pool has.
uint64_t FreeIn(const Window& window, const std::vector<AddressRegistry::Holder>& holders) {
  uint64_t free = window.end - window.begin;
  for (const AddressRegistry::Holder& holder : holders) {
    for (const morsel::AddressSpan& span : holder.spans) {
      const uint64_t begin = std::max(span.begin, window.begin);
      const uint64_t end = std::min(span.end, window.end);
      if (begin < end) free -= end - begin;
    }
  }
  return free;
}

}  // namespace

extern "C" {

morsel_code morsel_addresses(morsel_address_info* info,
                             void (*visit)(const morsel_address_range* range, void* context),
                             void* context) {
  if (info == nullptr) return CodeOf(Missing("morsel_addresses", "a place for what it finds"));
  return CodeWithoutCancellation("morsel_addresses", [&]() -> Status {
    MORSEL_TRY(morsel::BytesOf("morsel_address_info", *info).status());
    const Result<Window> window = morsel::WindowFromEnvironment();
    if (!window) return window.status();
    const Result<RegistryPlace> place = ExistingRegistry();
    if (!place) return place.status();
    const auto holders = AddressRegistry(morsel::os::KernelCalls(), place->path).Holders();
    if (!holders) return holders.status();
    const Window own = place->window.value_or(*window);
    morsel_address_info known{};
    known.struct_size = sizeof known;
    known.pools = static_cast<uint32_t>(holders->size());
    known.window_begin = own.begin;
    known.window_end = own.end;
    known.free_bytes = FreeIn(own, *holders);
    std::strncpy(known.registry, place->path.c_str(), sizeof known.registry - 1);
    for (const AddressRegistry::Holder& holder : *holders) {
      for (const morsel::AddressSpan& span : holder.spans) {
        if (visit == nullptr) break;
        const morsel_address_range range = {sizeof range,
                                            holder.presence != morsel::Presence::kThere,
                                            holder.path.c_str(), span.begin, span.end - span.begin};
        visit(&range, context);
      }
    }
    return morsel::GiveInfo("morsel_address_info", known, info);
  });
}

morsel_code morsel_share_addresses(uint32_t user) {
  return CodeWithoutCancellation("morsel_share_addresses", [&]() -> Status {
    if (user == ~uint32_t{0}) {
      return Fail(Code::kInvalidArgument, "%u is no user: the system keeps that number to itself",
                  user);
    }
    if (geteuid() != 0) {
      return Fail(Code::kPermission, "only root gives users parts of the addresses");
    }
    return morsel::MakeRegistryFor(user, morsel::kDefaultWindow).status();
  });
}

}  // extern "C"
