// The roots and the blocks of an open morsel.
#include <cinttypes>

#include "base/error.h"
#include "morsel/open/open_morsel.h"

namespace morsel {

Result<void*> OpenMorsel::Root(const char* name, const RootType& wanted) {
  MORSEL_TRY(MayRead());
  const Result<Roots::Found> found = [&] {
    const std::lock_guard lock(roots_mutex_);
    return Roots(*heap_).Find(name, wanted);
  }();
  if (!found) return found.status();
  void* const object = found->object;
  if (object == nullptr) {
    return Fail(Code::kNotFound, "%s has no root '%s'; name one with morsel_set_root",
                label_.c_str(), name);
  }
  const uint64_t offset = reinterpret_cast<uint64_t>(object) - record().base;
  const uint64_t size_bytes = heap_->range().size_bytes();
  if (offset >= size_bytes && offset < record().capacity_bytes && read_only() && fine()) {
    return Fail(Code::kBusy,
                "root '%s' of %s is %p, in memory that it has not had when it was opened for "
                "reading: another process writes it; close it, and open it again",
                name, label_.c_str(), object);
  }
  if (offset >= size_bytes) {
    return Fail(Code::kCorrupt,
                "root '%s' of %s is %p, outside its memory; restore the morsel from a copy", name,
                label_.c_str(), object);
  }
  if (!found->fits) {
    return Fail(Code::kInvalidArgument,
                "root '%s' of %s is of the type %s, and was asked for as %s: ask for the type that "
                "it has, or make an object of the new one from it and set the root to that",
                name, label_.c_str(), InWords(found->type).c_str(), InWords(wanted).c_str());
  }
  if (!found->type.is_typed()) MORSEL_TRY(FitsItsBlock(name, object, wanted));
  return object;
}

// Whether an object of which no type is known may be of that one: whether its block has the bytes.
// Who only reads beside a writer does not know the blocks of now.
Status OpenMorsel::FitsItsBlock(const char* name, const void* object, const RootType& wanted) {
  if (!wanted.is_typed() || (read_only() && fine())) return Code::kOk;
  const Result<uint64_t> bytes = heap_->StopTheWorld().BytesFrom(object);
  if (!bytes) return bytes.status();
  if (*bytes >= wanted.size_bytes) return Code::kOk;
  if (*bytes == 0) {
    return Fail(
        Code::kInvalidArgument,
        "root '%s' of %s leads to %p, where no block is allocated: it was freed, so set the "
        "root to another object, or forget it",
        name, label_.c_str(), object);
  }
  return Fail(Code::kInvalidArgument,
              "root '%s' of %s has no type, and its block has %" PRIu64
              " bytes from %p on; it was asked for as %s: ask for the type that it has",
              name, label_.c_str(), *bytes, object, InWords(wanted).c_str());
}

Result<void*> OpenMorsel::RootToReplace(const char* name, const RootType& wanted) {
  MORSEL_TRY(MayWrite("root_to_replace"));
  const Result<void*> object = Root(name, wanted);
  if (!object) return object;
  const Result<bool> begins = heap_->IsLive(*object, /*must_begin=*/true);
  if (!begins) return begins.status();
  if (!*begins) {
    return Fail(
        Code::kInvalidArgument,
        "the object of root '%s' of %s cannot be replaced and freed: no block begins at %p, "
        "where it lies; make the new one, set the root to that, and leave the old one",
        name, label_.c_str(), *object);
  }
  const Result<uint64_t> bytes = heap_->StopTheWorld().BytesFrom(*object);
  if (!bytes) return bytes.status();
  const Result<std::vector<Roots::Root>> roots = AllRoots();
  if (!roots) return roots.status();
  const uint64_t begin = reinterpret_cast<uint64_t>(*object);
  for (const Roots::Root& root : *roots) {
    if (root.name == name || reinterpret_cast<uint64_t>(root.object) - begin >= *bytes) continue;
    return Fail(
        Code::kInvalidArgument,
        "the object of root '%s' of %s cannot be replaced and freed: root '%s' leads to it, "
        "too, and would lead to nothing; forget one of the two before",
        name, label_.c_str(), root.name.c_str());
  }
  return object;
}

Result<std::vector<Roots::Root>> OpenMorsel::AllRoots() {
  MORSEL_TRY(MayRead());
  const std::lock_guard lock(roots_mutex_);
  Result<std::vector<Roots::Root>> roots = Roots(*heap_).All();
  if (!roots) return roots;
  for (Roots::Root& root : *roots) {
    const uint64_t offset = reinterpret_cast<uint64_t>(root.object) - record().base;
    if (offset >= heap_->range().size_bytes()) root.object = nullptr;
  }
  return roots;
}

// Whether a root may lead to the object, whose allocation is durable afterwards.
Status OpenMorsel::MayBeRoot(const char* name, const void* object) {
  const uint64_t offset = reinterpret_cast<uint64_t>(object) - record().base;
  const Result<bool> live = offset < size_bytes() ? heap_->IsLive(object) : false;
  if (!live) return live.status();
  if (!*live) {
    return Fail(Code::kInvalidArgument,
                "root '%s' cannot be %p: that lies in no live block of %s; allocate the object "
                "there first",
                name, object, label_.c_str());
  }
  // ORDER  the object's allocation  <  the root's word
  // WHY    an object that a root names must be live after a crash.               [P2]
  // CRASH  before the word: the object is allocated, and nobody reaches it yet.
  // TEST   morsel/open/open_morsel_test: ARootedObjectIsLiveAfterACrash
  MORSEL_TRY(heap_->Flush(object, 0));
  heap_->Fence();
  return Code::kOk;
}

Status OpenMorsel::SetRoot(const char* name, void* object, const RootType& type, bool exclusive) {
  MORSEL_TRY(MayWrite("set_root"));
  if (object != nullptr) MORSEL_TRY(MayBeRoot(name, object));
  const std::lock_guard lock(roots_mutex_);
  Roots roots(*heap_);
  if (object == nullptr) return roots.Forget(name);
  if (exclusive) {
    const Result<Roots::Found> found = roots.Find(name, {});
    if (!found) return found.status();
    if (found->object != nullptr) {
      return Fail(Code::kExists, "%s has a root '%s' already, at %p", label_.c_str(), name,
                  found->object);
    }
  }
  return roots.Set(name, object, type);
}

Status OpenMorsel::ForEachBlock(const std::function<bool(const alloc::StoppedWorld& stopped,
                                                         char* block, uint64_t bytes)>& visit) {
  return WhileStopped([&](const alloc::StoppedWorld& stopped, const Roots&) {
    return ForEachBlock(stopped,
                        [&](char* block, uint64_t bytes) { return visit(stopped, block, bytes); });
  });
}

Status OpenMorsel::ForEachBlock(const alloc::StoppedWorld& stopped,
                                const std::function<bool(char* block, uint64_t bytes)>& visit) {
  const Result<std::vector<const void*>> of_roots = Roots(*heap_).Blocks();
  if (!of_roots) return of_roots.status();
  auto next = of_roots->begin();
  return stopped.ForEachBlock([&](char* block, uint64_t bytes) {
    while (next != of_roots->end() && *next < block) ++next;
    return (next != of_roots->end() && *next == block) || visit(block, bytes);
  });
}

}  // namespace morsel
