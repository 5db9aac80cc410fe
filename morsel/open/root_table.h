// Named roots: where a program finds its data again.
#pragma once

#include "base/result.h"
#include "morsel/open/root_table_layout.h"
#include "pmem/persist/persist.h"

namespace morsel {

/// Over a table in mapped memory.
/// Threads  one call at a time; Find() beside Find().
class RootTable {
 public:
  RootTable(void* table, pmem::Persist persist)
      : entries_(static_cast<RootEntry*>(table)), persist_(persist) {}

  /// Names `object`, whose allocation is durable; nullptr forgets the name.
  /// Durability  on return.
  /// Errors      kInvalidArgument (the name's length); kNotFound (nothing to forget); kNoSpace.
  Status Set(const char* name, void* object);

  /// nullptr if there is none of that name.
  void* Find(const char* name) const;

 private:
  RootEntry* EntryOf(const char* name) const;
  RootEntry* FreeEntry() const;

  RootEntry* entries_;
  pmem::Persist persist_;
};

}  // namespace morsel
