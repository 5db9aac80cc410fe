#include "morsel/roots/root_table.h"

#include <cstring>

namespace morsel {
namespace {

std::string_view NameOf(const RootEntry& entry) {
  return {entry.name, strnlen(entry.name, sizeof entry.name)};
}

}  // namespace

RootEntry* RootTable::EntryOf(std::string_view name) const {
  for (uint64_t i = 0; i < count_; ++i) {
    if (pmem::Load(&entries_[i].object) != 0 && NameOf(entries_[i]) == name) return &entries_[i];
  }
  return nullptr;
}

void* RootTable::Find(std::string_view name) const {
  RootEntry* const entry = EntryOf(name);
  return entry == nullptr ? nullptr : reinterpret_cast<void*>(pmem::Load(&entry->object));
}

bool RootTable::Forget(std::string_view name) {
  RootEntry* const entry = EntryOf(name);
  if (entry == nullptr) return false;
  persist_.Publish(&entry->object, 0);
  return true;
}

void RootTable::ForEach(const std::function<void(uint64_t, std::string_view, void*)>& visit) const {
  for (uint64_t i = 0; i < count_; ++i) {
    const uint64_t object = pmem::Load(&entries_[i].object);
    if (object != 0) visit(i, NameOf(entries_[i]), reinterpret_cast<void*>(object));
  }
}

}  // namespace morsel
