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

morsel_code morsel_commit(morsel_t* morsel) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_commit"));
  return CodeWithoutCancellation("morsel_commit", [&] { return Morsel(morsel)->Commit(); });
}
