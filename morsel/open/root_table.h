// The named roots of a morsel, by which a program finds its data again.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/open/root_table_layout.h"
#include "pmem/persist/persist.h"

namespace morsel {

/// Reads and changes the root table of a morsel in mapped memory.
/// Threads  one call at a time. Several Find() may run at once.
class RootTable {
 public:
  RootTable(void* table, pmem::Persist persist)
      : entries_(static_cast<RootEntry*>(table)), persist_(persist) {}

  /// Lets the root `name` lead to `object`, whose allocation is durable. nullptr forgets the root.
  /// Durability  on return.
  /// Errors      kInvalidArgument (the name's length); kNotFound (nothing to forget); kNoSpace.
  Status Set(const char* name, void* object);

  /// Returns the object of the root `name`, or nullptr if there is no such root.
  void* Find(const char* name) const;

  struct Root {
    std::string name;
    void* object;
  };
  /// Returns all roots, sorted by name.
  std::vector<Root> All() const;

 private:
  RootEntry* EntryOf(const char* name) const;
  RootEntry* FreeEntry() const;

  RootEntry* entries_;
  pmem::Persist persist_;
};

}  // namespace morsel
