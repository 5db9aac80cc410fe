// updates.h: sections and commits.
#include "morsel/api/c_call.h"
#include "morsel/open/open_morsel.h"
#include "morsel/updates.h"

using namespace morsel::api;  // NOLINT: these are this file's own words

morsel_code morsel_begin(morsel_t* morsel) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_begin"));
  return CodeOf(Morsel(morsel)->Begin());
}

morsel_code morsel_end(morsel_t* morsel) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_end"));
  return CodeOf(Morsel(morsel)->End());
}

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) &&
              sizeof(std::atomic<uint64_t>) == sizeof(uint64_t));

void morsel_section_of(morsel_t* morsel, morsel_section* section) {
  static constexpr uint64_t kSame = 0;
  *section = {nullptr, nullptr, &kSame, 0};
  if (morsel == nullptr) return;
  const morsel::Sections::Inline place = Morsel(morsel)->SectionOfThisThread();
  section->depth = reinterpret_cast<uint32_t*>(place.depth);
  section->closed = reinterpret_cast<const uint32_t*>(place.closed);
  section->changes = reinterpret_cast<const uint64_t*>(place.changes);
  section->changes_then = place.changes_then;
}

void morsel_section_left(morsel_t* morsel) { Morsel(morsel)->LeftSection(); }

morsel_code morsel_commit(morsel_t* morsel) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_commit"));
  return CodeWithoutCancellation("morsel_commit", [&] { return Morsel(morsel)->Commit(); });
}
