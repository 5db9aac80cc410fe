// One open morsel: its memory, its heap and its roots behind one handle.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "alloc/heap/heap.h"
#include "base/result.h"
#include "morsel/morsel.h"
#include "morsel/pool/pool.h"

namespace morsel {

class OpenPool;

/// Ownership  belongs to its OpenPool. Unmapped with the object; nothing on the medium changes by
///            that: Close() does what a close promises.
/// Threads    any, but for Close() and the destructor.
class OpenMorsel {
 public:
  /// Writes the heap and the empty roots of a new morsel into its memory.
  static void Format(const CatalogRecord& record, pmem::Persist persist);

  /// Takes up the heap in the backing's memory. The object is entered into the process' table.
  /// Errors  kCorrupt, kVersion, kNoMemory.
  static Result<std::unique_ptr<OpenMorsel>> Make(std::unique_ptr<Backing> backing,
                                                  const std::string& pool_path, OpenPool* owner);
  virtual ~OpenMorsel();
  OpenMorsel(const OpenMorsel&) = delete;
  OpenMorsel& operator=(const OpenMorsel&) = delete;

  /// The pool that it is open in.
  OpenPool& owner() const { return *owner_; }
  const CatalogRecord& record() const { return backing_->record(); }
  bool read_only() const { return backing_->read_only(); }
  bool fine() const { return record().contract == Contract::kFine; }
  alloc::Heap& heap() { return *heap_; }
  void* base() const { return reinterpret_cast<void*>(record().base); }
  uint64_t size_bytes();
  /// e.g. "morsel 'graph' of pool '/data'".
  const std::string& label() const { return label_; }

  /// kBusy in a forked child, kPermission where it is open for reading only.
  Status MayRead() const;
  Status MayWrite(const char* call) const;

  Result<void*> Root(const char* name);
  Status SetRoot(const char* name, void* object);
  Status Flush(const void* address, uint64_t size_bytes);
  Status Copy(void* to, const void* from, uint64_t size_bytes);
  Status Fence();
  Status Checkpoint();
  Status Resize(uint64_t size_bytes);
  Status Fill(morsel_info* info);
  /// As Backing's; open for writing, a snapshot morsel is checkpointed first.
  Status Export(const pmem::Directory& to, const std::string& file_name,
                const ExportOptions& options);

  /// What the last close does to the medium: a snapshot is checkpointed, a fine heap settled.
  /// Errors  as Checkpoint(): nothing is closed.
  Status Close();
  /// As Close(), but a snapshot is not checkpointed.
  Status Discard();

 private:
  OpenMorsel(std::unique_ptr<Backing> backing, std::unique_ptr<alloc::Heap> heap, std::string label,
             OpenPool* owner);
  Status OnlyFine(const char* call) const;
  Status MayFlush(const void* address, uint64_t size_bytes, const char* call);
  Status CloseFine();

  std::unique_ptr<Backing> backing_;
  std::unique_ptr<alloc::Heap> heap_;
  std::string label_;
  OpenPool* owner_;
  uint32_t fork_count_;
  bool in_table_ = false;
};

/// What a pool's record says, as the C API shows it. `granularity_bytes` as impl::Pool's.
void FillInfo(const CatalogRecord& record, uint32_t granularity_bytes, morsel_info* info);

}  // namespace morsel
