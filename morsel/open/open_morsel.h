// One open morsel: its memory, its heap and its roots behind one handle.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "alloc/heap/heap.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/result.h"
#include "morsel/morsel.h"
#include "morsel/pool/pool.h"
#include "morsel/roots/roots.h"
#include "morsel/sections/group_commit.h"
#include "morsel/sections/sections.h"
#include "os/memory/dense_memory.h"

namespace morsel {

class OpenPool;

/// Ownership  its OpenPool owns it. The destructor unmaps the memory and changes nothing on the
///            medium; what a close does to the medium is done by Close().
/// Threads    any. Nobody may use the object during Close(), Discard() or the destructor.
class OpenMorsel : public os::InDenseMemory {
 public:
  /// Writes the heap and the empty roots of a new morsel into its memory.
  static void Format(const CatalogRecord& record, pmem::Persist persist);

  /// Opens the heap in the backing's memory, and enters the morsel into the process' table.
  /// `is_new`: nothing was done with the morsel since Format().
  /// Errors  kCorrupt, kVersion, kNoMemory, kInvalidArgument (MORSEL_GUARD).
  /// patience_ms: how long a call that stores the morsel waits for sections.
  static Result<std::unique_ptr<OpenMorsel>> Make(std::unique_ptr<Backing> backing,
                                                  const std::string& pool_path, OpenPool* owner,
                                                  bool is_new = false,
                                                  uint64_t patience_ms = kPatienceMs);
  static constexpr uint64_t kPatienceMs = 3000;
  virtual ~OpenMorsel();
  OpenMorsel(const OpenMorsel&) = delete;
  OpenMorsel& operator=(const OpenMorsel&) = delete;

  /// The pool that the morsel is open in.
  OpenPool& owner() const { return *owner_; }
  const CatalogRecord& record() const { return backing_->record(); }
  bool read_only() const { return backing_->read_only(); }
  bool fine() const { return record().contract == Contract::kFine; }
  alloc::Heap& heap() { return *heap_; }
  void* base() const { return reinterpret_cast<void*>(record().base); }
  uint64_t size_bytes();
  /// E.g. "morsel 'graph' of pool '/data'".
  const std::string& label() const { return label_; }

  /// Check that this process may read or write the morsel. `call` is what the message says was
  /// tried. They take no lock, so that they work in a forked child.
  /// Errors  kBusy: this is a forked child; kPermission (MayWrite()): it is open for reading only.
  Status MayRead() const;
  Status MayWrite(const char* call) const;

  /// Checks that the calling thread is in no section of this morsel, where `call` would wait for
  /// its own end.
  /// Errors  kInvalidArgument.
  Status NotInSection(const char* call) const;

  // The calls of morsel.h and updates.h. Each checks MayRead() or MayWrite() first.

  /// Errors  kInvalidArgument: the root's object is not of the type `wanted`.
  Result<void*> Root(const char* name, const RootType& wanted = {});
  Result<void*> RootToReplace(const char* name, const RootType& wanted);
  /// `exclusive`: a root of that name is an error, kExists.
  Status SetRoot(const char* name, void* object, const RootType& type = {}, bool exclusive = false);
  /// All roots, sorted by name. The object of one that leads outside of the memory is nullptr.
  Result<std::vector<Roots::Root>> AllRoots();
  /// All live blocks but those that the roots take, in the order of addresses, until `visit`
  /// returns false. `visit` calls nothing of this morsel but what takes `stopped`.
  Status ForEachBlock(const std::function<bool(const alloc::StoppedWorld& stopped, char* block,
                                               uint64_t bytes)>& visit);
  /// Calls body(stopped, roots) while no other thread calls the library on this morsel, and returns
  /// what it returns: a Result.
  template <class Body>
  auto WhileStopped(const Body& body)
      -> decltype(body(std::declval<const alloc::StoppedWorld&>(), std::declval<const Roots&>())) {
    MORSEL_TRY(MayRead());
    const std::lock_guard lock(roots_mutex_);
    const auto stopped = heap_->StopAndRelease();
    return body(stopped, Roots(*heap_));
  }
  /// Does what the function of the same name does, for the body of WhileStopped().
  Status ForEachBlock(const alloc::StoppedWorld& stopped,
                      const std::function<bool(char* block, uint64_t bytes)>& visit);
  Status Flush(const void* address, uint64_t size_bytes);
  Status Copy(void* to, const void* from, uint64_t size_bytes);
  Status Fence();
  Status Begin() {
    if (may_have_sections_ && sections_.TryBegin()) [[likely]]
      return Code::kOk;
    return BeginSlowly();
  }
  Status End();
  /// Does what Sections::ForInline() does, or ForNobody() where the thread may begin no section.
  Sections::Inline SectionOfThisThread();
  void LeftSection() { sections_.Left(); }
  Status Commit();
  Status Checkpoint();
  Status Resize(uint64_t size_bytes);
  /// It does not wait for a call that stores, exports or resizes the morsel: meanwhile it tells
  /// what was so when that began.
  Status Fill(morsel_info* info);
  /// Does what Backing::Export() does. A snapshot morsel that is open for writing is checkpointed
  /// first.
  Status Export(const os::Directory& to, const std::string& file_name,
                const ExportRequest& options);

  /// Does what the last close does to the medium: checkpoints a snapshot morsel; flushes the frees
  /// of a fine one and marks its heap as closed. A morsel that is open for reading is left as it
  /// is.
  /// Errors  as Checkpoint(): nothing is closed.
  Status Close();
  /// Does what Close() does, but does not checkpoint a snapshot morsel. A damaged fine morsel is no
  /// error.
  Status Discard();

 private:
  OpenMorsel(std::unique_ptr<Backing> backing, std::unique_ptr<alloc::Heap> heap, std::string label,
             OpenPool* owner, uint64_t patience_ms);
  Status BeginSlowly();
  Status MayHaveSections(const char* call) const;
  Status OnlyFine(const char* call) const;
  Status MayFlush(const void* address, uint64_t size_bytes, const char* call);
  enum class Then { kGoesOn, kCloses };
  /// Stores the morsel, and calls `served` once nobody is in a section, nor changes the heap.
  Status Store(Then then, const std::function<void()>& served = {});
  /// `copied` is called once: the memory may change from then on.
  Status Checkpoint(const alloc::StoppedWorld& stopped, Then then,
                    const std::function<void()>& copied);
  Status CloseFine();
  Status MayBeRoot(const char* name, const void* object);
  Status FitsItsBlock(const char* name, const void* object, const RootType& wanted);
  // The caller holds roots_mutex_ and has stopped the heap.
  Status ResizeTo(uint64_t size_bytes);
  Status Shrink(const alloc::StoppedWorld& stopped, uint64_t size_bytes);
  Status FailInTheWay(const alloc::StoppedWorld& stopped, uint64_t size_bytes);
  Result<bool> IsOfRoots(uint64_t address);
  class Telling;
  class Still;
  /// The caller has stopped the heap, and holds told_mutex_.
  void FillStopped(uint64_t live_bytes, morsel_info* info) const;

  std::unique_ptr<Backing> backing_;
  std::unique_ptr<alloc::Heap> heap_;
  std::string label_;
  OpenPool* owner_;
  uint32_t fork_count_;
  bool in_table_ = false;
  const bool may_have_sections_;
  Sections sections_;
  GroupCommit commits_;
  /// Held by the one call that stores or exports the morsel, or shrinks it. No thread waits for it
  /// in a section.
  Mutex storing_mutex_{LockRank::kStoring};
  /// Held while roots are read or changed, and while the whole morsel is stored: a change of them
  /// takes several steps in the heap.
  Mutex roots_mutex_{LockRank::kRoots};
  /// Guards the following, and what of the record a checkpoint changes while the heap goes on.
  Mutex told_mutex_{LockRank::kMorselInfo};
  Condition told_changed_;  ///< one of the following has changed
  int tellings_ = 0;        ///< calls that hold the heap while bytes move
  bool is_told_ = false;    ///< one of these has filled told_
  morsel_info told_{};      ///< what Fill() tells meanwhile
  int askings_ = 0;         ///< Fill()s that are at work in the heap
};

/// Fills `info` with what a pool's record says, as the C API shows it. `granularity_bytes` comes
/// from impl::Pool::granularity_bytes().
void FillInfo(const CatalogRecord& record, uint32_t granularity_bytes, morsel_info* info);

}  // namespace morsel
