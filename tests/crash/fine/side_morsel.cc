// The second morsel in the pool, made and filled, or removed.
#include "base/units.h"
#include "tests/crash/fine/fine_morsel.h"

namespace morsel::crash {
namespace {

constexpr char kSideRoot[] = "only";
/// The one object that it has once it is filled.
constexpr Object kSideObject = {.serial = 1, .owner = 4, .size_bytes = 100'000, .seed = 42};

}  // namespace

void FineMorsel::MakeOrRemoveSide() {
  Counter& steps = log().steps;
  Count(Operation::kSide);
  if (side_.load() == Presence::kPresent) {
    side_.store(Presence::kGoing);
    steps.Raise();
    MustDo("morsel_remove", morsel_remove(pool_, kSideName));
    return side_.store(Presence::kAbsent);
  }
  morsel_options fine = {};
  fine.struct_size = sizeof fine;
  fine.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_FINE;
  fine.size_bytes = 2 * kMiB;
  fine.capacity_bytes = 2 * kMiB;
  side_.store(Presence::kComing);
  steps.Raise();
  morsel_t* side = nullptr;
  const morsel_code code = morsel_open(pool_, kSideName, &fine, &side);
  if (code == MORSEL_NO_SPACE) return side_.store(Presence::kAbsent);
  MustDo("morsel_open of the side morsel", code);
  void* const object = morsel_malloc(side, kSideObject.size_bytes);
  if (object == nullptr) Fail(log().failure, std::string("side morsel: ") + morsel_last_error());
  WriteObject(object, kSideObject);
  MustDo("morsel_persist", morsel_persist(side, object, kSideObject.size_bytes));
  MustDo("morsel_set_root", morsel_set_root(side, kSideRoot, object));
  side_.store(Presence::kPresent);
  steps.Raise();
  MustDo("morsel_close of the side morsel", morsel_close(side));
}

void FineMorsel::CheckSide(Findings* findings) {
  const Presence logged = side_.load();
  morsel_t* side = nullptr;
  const morsel_code code = morsel_open(pool_, kSideName, nullptr, &side);
  if (code == MORSEL_NOT_FOUND) {
    if (logged == Presence::kPresent) findings->push_back("the side morsel is lost");
    return side_.store(Presence::kAbsent);
  }
  if (code != MORSEL_OK) {
    return findings->push_back(Message("morsel_open of the side morsel", code));
  }
  if (logged == Presence::kAbsent) {
    findings->push_back("the side morsel is there, and should not be");
  }
  const void* const object = morsel_root(side, kSideRoot);
  std::string difference;
  if (object != nullptr) difference = crash::Difference(object, kSideObject);
  if (object == nullptr && logged != Presence::kComing) difference = "it has lost its root";
  if (!difference.empty()) findings->push_back("the side morsel: " + difference);
  const morsel_code closed = morsel_close(side);
  if (closed != MORSEL_OK) findings->push_back(Message("morsel_close of the side morsel", closed));
  side_.store(Presence::kPresent);
  if (object != nullptr || closed != MORSEL_OK) return;
  // It came without its object. A later check could not tell that from a root that was lost.
  side_.store(Presence::kGoing);
  const morsel_code removed = morsel_remove(pool_, kSideName);
  if (removed != MORSEL_OK) {
    return findings->push_back(Message("morsel_remove of the side morsel", removed));
  }
  side_.store(Presence::kAbsent);
}

}  // namespace morsel::crash
