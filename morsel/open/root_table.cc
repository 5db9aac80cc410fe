#include "morsel/open/root_table.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "base/error.h"

namespace morsel {

RootEntry* RootTable::EntryOf(const char* name) const {
  for (uint64_t i = 0; i < kRootCount; ++i) {
    RootEntry& entry = entries_[i];
    if (pmem::Load(&entry.object) != 0 && std::strncmp(entry.name, name, sizeof entry.name) == 0) {
      return &entry;
    }
  }
  return nullptr;
}

RootEntry* RootTable::FreeEntry() const {
  for (uint64_t i = 0; i < kRootCount; ++i) {
    if (pmem::Load(&entries_[i].object) == 0) return &entries_[i];
  }
  return nullptr;
}

void* RootTable::Find(const char* name) const {
  RootEntry* const entry = EntryOf(name);
  return entry == nullptr ? nullptr : reinterpret_cast<void*>(pmem::Load(&entry->object));
}

std::vector<RootTable::Root> RootTable::All() const {
  std::vector<Root> all;
  for (uint64_t i = 0; i < kRootCount; ++i) {
    const RootEntry& entry = entries_[i];
    const uint64_t object = pmem::Load(&entry.object);
    if (object == 0) continue;
    const size_t length = strnlen(entry.name, sizeof entry.name);
    all.push_back({std::string(entry.name, length), reinterpret_cast<void*>(object)});
  }
  std::sort(all.begin(), all.end(), [](const Root& a, const Root& b) { return a.name < b.name; });
  return all;
}

Status RootTable::Set(const char* name, void* object) {
  const size_t length = strnlen(name, kRootNameBytesMax + 1);
  if (length == 0 || length > kRootNameBytesMax) {
    return Fail(Code::kInvalidArgument,
                "a root's name has 1 to %" PRIu64 " bytes, this one has %s: choose another",
                kRootNameBytesMax, length == 0 ? "none" : "more");
  }
  RootEntry* entry = EntryOf(name);
  if (entry == nullptr) {
    if (object == nullptr) {
      return Fail(Code::kNotFound,
                  "there is no root '%s' to forget; morsel_set_root of an object makes one", name);
    }
    entry = FreeEntry();
    if (entry == nullptr) {
      return Fail(Code::kNoSpace,
                  "root '%s' has no place: all %" PRIu64 " are taken; hang it below another root",
                  name, kRootCount);
    }
    // ORDER  the name  <  the object's word
    // WHY    an entry with an object is believed, whatever name stands in it.     [ROOT-1]
    // CRASH  before the word: the entry is free.
    // TEST   morsel/open/root_table_test: TheNameIsDurableBeforeTheObject
    char padded[sizeof entry->name] = {};
    std::memcpy(padded, name, length);
    std::memcpy(entry->name, padded, sizeof padded);
    persist_.Range(entry->name, sizeof entry->name);
  }
  persist_.Publish(&entry->object, reinterpret_cast<uint64_t>(object));
  return Code::kOk;
}

}  // namespace morsel
