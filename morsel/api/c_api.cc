// morsel.h without exports, images and roots: pools, morsels, blocks, what makes them durable.
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/error.h"
#include "morsel/api/c_call.h"
#include "morsel/morsel.h"
#include "morsel/open/open_morsel.h"
#include "morsel/open/open_pool.h"
#include "morsel/open/pointer_check.h"
#include "morsel/open/process.h"
#include "morsel/open/shared_pools.h"
#include "morsel/open/versioned.h"

namespace {

using morsel::Code;
using morsel::OpenMorsel;
using morsel::OpenPool;
using morsel::Result;
using morsel::Status;
using namespace morsel::api;  // NOLINT: these are this file's own words

// Calls `allocate` with the heap.
template <class Call>
Result<void*> AllocateIn(morsel_t* morsel, const char* call, Call allocate) {
  if (morsel == nullptr) return NoHandle(call);
  OpenMorsel& open = *Morsel(morsel);
  MORSEL_TRY(open.MayWrite(call));
  return WithoutCancellation(call, [&] { return allocate(open.heap()); });
}

Result<void*> Allocate(morsel_t* morsel, size_t size, size_t alignment, const char* call) {
  return AllocateIn(morsel, call, [&](auto& heap) { return heap.Allocate(size, alignment); });
}

// Ends the process for a block that came with a NULL handle, mostly because morsel_of() has found
// none for it.
[[noreturn]] void DieOfNoHandle(const void* block, const char* call) {
  if (morsel::MorselAt(block) != nullptr) {
    morsel::Die(
        "%s of %p with a NULL handle: the block lies in an open morsel, whose handle "
        "morsel_of returns",
        call, block);
  }
  morsel::Die(
      "%s of %p with a NULL handle: no open morsel has this address. Was its morsel closed "
      "before? What is in a morsel, containers and all, must not be used after the close",
      call, block);
}

// Whether morsel_free() or morsel_realloc() may touch a block of this handle; if not, errno says
// why. A NULL handle is the program's mistake and ends the process. In a forked child it is none,
// because there morsel_of() returns NULL for the parent's morsels: then the call does nothing.
bool MayTouch(morsel_t* morsel, const void* block, const char* call) {
  if (morsel == nullptr && morsel::ForkCount() > 0) {
    errno = EBUSY;
    return false;
  }
  if (morsel == nullptr) DieOfNoHandle(block, call);
  const Status status = Morsel(morsel)->MayWrite(call);
  if (status.ok()) return true;
  errno = ErrnoOf(status.code());
  return false;
}

// A program may close a handle twice. One that was closed is found to be so before it is looked at.
Status IsOpen(const void* handle, const char* call) {
  if (morsel::IsHandle(handle)) return Code::kOk;
  return Fail(
      Code::kInvalidArgument,
      "%s of a handle that is not open: it was closed before, or this library never gave it", call);
}

// The slow paths of morsel_malloc() and morsel_free(). They are functions of their own, called
// last, so that the fast paths need no stack frame.
[[gnu::noinline]] void* AllocateSlowly(morsel_t* morsel, size_t size) {
  if (morsel != nullptr && size <= morsel::alloc::kBlockBytesMax) {
    void* const block = Morsel(morsel)->heap().TakeInside(morsel::alloc::ClassOf(size));
    if (block != nullptr) return block;
  }
  return PointerOf(Allocate(morsel, size, morsel::alloc::kBlockBytesMin, "morsel_malloc"));
}

// A call of its own, so that this needs no stack frame either.
[[gnu::noinline]] void FreeSlowly(morsel_t* morsel, void* block);
[[gnu::noinline]] void FreeOfOther(morsel_t* morsel, void* block) {
  if (morsel::alloc::Heap::TryFreeRemote(morsel, block)) return;
  FreeSlowly(morsel, block);
}

void FreeSlowly(morsel_t* morsel, void* block) {
  if (block == nullptr || (morsel != nullptr && Morsel(morsel)->heap().FreeInside(block))) return;
  if (!MayTouch(morsel, block, "morsel_free")) return;
  WithoutCancellation("morsel_free", [&] { Morsel(morsel)->heap().Free(block); });
}

}  // namespace

extern "C" {

morsel_code morsel_pool_open(const char* path, const morsel_pool_options* options,
                             morsel_pool_t** pool) {
  if (pool == nullptr) return CodeOf(Missing("morsel_pool_open", "a place for the handle"));
  const Result<OpenPool*> opened = WithoutTrace("morsel_pool_open", [&] {
    return morsel::OpenCountedPool(path, options, morsel::os::KernelCalls());
  });
  if (!opened) return CodeOf(opened.status());
  *pool = reinterpret_cast<morsel_pool_t*>(*opened);
  return MORSEL_OK;
}

morsel_code morsel_pool_close(morsel_pool_t* pool) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_pool_close"));
  return CodeWithoutCancellation("morsel_pool_close", [&]() -> Status {
    MORSEL_TRY(IsOpen(pool, "morsel_pool_close"));
    return morsel::CloseCountedPool(Pool(pool));
  });
}

morsel_code morsel_open(morsel_pool_t* pool, const char* name, const morsel_options* options,
                        morsel_t** morsel) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_open"));
  if (morsel == nullptr) return CodeOf(Missing("morsel_open", "a place for the handle"));
  const Result<OpenMorsel*> opened =
      WithoutTrace("morsel_open", [&] { return Pool(pool)->OpenMorselNamed(name, options); });
  if (!opened) return CodeOf(opened.status());
  *morsel = reinterpret_cast<morsel_t*>(*opened);
  return MORSEL_OK;
}

morsel_code morsel_close(morsel_t* morsel) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_close"));
  return CodeWithoutCancellation("morsel_close", [&]() -> Status {
    MORSEL_TRY(IsOpen(morsel, "morsel_close"));
    MORSEL_TRY(Morsel(morsel)->NotInSection("close"));
    morsel::PrintStrayPointers(*Morsel(morsel));
    return Morsel(morsel)->owner().Close(Morsel(morsel), /*discard=*/false);
  });
}

morsel_code morsel_discard(morsel_t* morsel) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_discard"));
  return CodeWithoutCancellation("morsel_discard", [&]() -> Status {
    MORSEL_TRY(IsOpen(morsel, "morsel_discard"));
    MORSEL_TRY(Morsel(morsel)->NotInSection("discard"));
    return Morsel(morsel)->owner().Close(Morsel(morsel), /*discard=*/true);
  });
}

morsel_code morsel_remove(morsel_pool_t* pool, const char* name) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_remove"));
  return CodeWithoutCancellation("morsel_remove", [&] { return Pool(pool)->Remove(name); });
}

morsel_code morsel_rename(morsel_pool_t* pool, const char* name, const char* to) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_rename"));
  return CodeWithoutCancellation("morsel_rename", [&] { return Pool(pool)->Rename(name, to); });
}

morsel_code morsel_list(morsel_pool_t* pool, int (*visit)(const morsel_info*, void*),
                        void* context) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_list"));
  if (visit == nullptr) return CodeOf(Missing("morsel_list", "a function to call"));
  return CodeWithoutCancellation("morsel_list", [&] { return Pool(pool)->List(visit, context); });
}

morsel_code morsel_stat(morsel_t* morsel, morsel_info* info) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_stat"));
  if (info == nullptr) return CodeOf(Missing("morsel_stat", "a place for what it finds"));
  return CodeWithoutCancellation("morsel_stat", [&]() -> Status {
    MORSEL_TRY(morsel::BytesOf("morsel_info", *info).status());
    morsel_info known{};
    MORSEL_TRY(Morsel(morsel)->Fill(&known));
    return morsel::GiveInfo("morsel_info", known, info);
  });
}

morsel_code morsel_resize(morsel_t* morsel, uint64_t size_bytes) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_resize"));
  return CodeWithoutCancellation("morsel_resize",
                                 [&] { return Morsel(morsel)->Resize(size_bytes); });
}

// Heap::TryAllocate() and TryFree() succeed only for threads that the heap knows. A thread becomes
// known in a call that has checked the handle, and a fork makes all threads unknown. So the fast
// paths of morsel_malloc() and morsel_free() check nothing.

void* morsel_malloc(morsel_t* morsel, size_t size) {
  void* const block = morsel::alloc::Heap::TryAllocate(morsel, size);
  if (block != nullptr) [[likely]]
    return block;
  return AllocateSlowly(morsel, size);
}

void* morsel_calloc(morsel_t* morsel, size_t count, size_t size) {
  if (size != 0 && count > std::numeric_limits<size_t>::max() / size) {
    return PointerOf(morsel::Fail(Code::kNoSpace,
                                  "morsel_calloc of %zu times %zu bytes: no morsel is that large",
                                  count, size));
  }
  return PointerOf(AllocateIn(morsel, "morsel_calloc",
                              [&](auto& heap) { return heap.AllocateZeroed(count * size); }));
}

void* morsel_realloc(morsel_t* morsel, void* block, size_t size) {
  if (block == nullptr) return morsel_malloc(morsel, size);
  if (!MayTouch(morsel, block, "morsel_realloc")) return nullptr;
  if (size == 0) {
    morsel_free(morsel, block);
    return nullptr;
  }
  return PointerOf(WithoutCancellation(
      "morsel_realloc", [&] { return Morsel(morsel)->heap().Reallocate(block, size); }));
}

void* morsel_aligned_alloc(morsel_t* morsel, size_t alignment, size_t size) {
  return PointerOf(Allocate(morsel, size, alignment, "morsel_aligned_alloc"));
}

void morsel_free(morsel_t* morsel, void* block) {
  // NULL needs no check: no slab is there.
  if (morsel::alloc::Heap::TryFree(morsel, block)) [[likely]]
    return;
  FreeOfOther(morsel, block);
}

size_t morsel_usable_size(morsel_t* morsel, const void* block) {
  if (block == nullptr) return 0;
  if (morsel == nullptr && morsel::ForkCount() > 0) return 0;
  if (morsel == nullptr) DieOfNoHandle(block, "morsel_usable_size");
  if (!Morsel(morsel)->MayRead().ok()) return 0;
  return AbortOnBadAlloc("morsel_usable_size",
                         [&] { return Morsel(morsel)->heap().UsableBytes(block); });
}

morsel_code morsel_persist(morsel_t* morsel, const void* address, size_t size) {
  const morsel_code code = morsel_flush(morsel, address, size);
  return code == MORSEL_OK ? morsel_fence(morsel) : code;
}

morsel_code morsel_flush(morsel_t* morsel, const void* address, size_t size) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_flush"));
  return CodeOf("morsel_flush", [&] { return Morsel(morsel)->Flush(address, size); });
}

morsel_code morsel_fence(morsel_t* morsel) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_fence"));
  return CodeOf("morsel_fence", [&] { return Morsel(morsel)->Fence(); });
}

morsel_code morsel_memcpy_persist(morsel_t* morsel, void* to, const void* from, size_t size) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_memcpy_persist"));
  const morsel_code code =
      CodeOf("morsel_memcpy_persist", [&] { return Morsel(morsel)->Copy(to, from, size); });
  return code == MORSEL_OK ? morsel_fence(morsel) : code;
}

morsel_code morsel_checkpoint(morsel_t* morsel) {
  if (morsel == nullptr) return CodeOf(NoHandle("morsel_checkpoint"));
  return CodeWithoutCancellation("morsel_checkpoint", [&] {
    morsel::PrintStrayPointers(*Morsel(morsel));
    return Morsel(morsel)->Checkpoint();
  });
}

morsel_t* morsel_of(const void* address) {
  return reinterpret_cast<morsel_t*>(morsel::MorselAt(address));
}

void* morsel_base(const morsel_t* morsel) {
  return morsel == nullptr ? nullptr : Morsel(morsel)->base();
}

uint64_t morsel_capacity(const morsel_t* morsel) {
  return morsel == nullptr ? 0 : Morsel(morsel)->record().capacity_bytes;
}

int morsel_is_read_only(const morsel_t* morsel) {
  return morsel == nullptr || Morsel(morsel)->read_only() ? 1 : 0;
}

uint64_t morsel_size(const morsel_t* morsel) {
  // The check comes before the heap is touched: in a forked child its lock may be held for ever.
  if (morsel == nullptr || !Morsel(morsel)->MayRead().ok()) return 0;
  return Morsel(const_cast<morsel_t*>(morsel))->size_bytes();
}

const char* morsel_last_error(void) { return morsel::LastError(); }

#define MORSEL_TEXT(number) MORSEL_TEXT_OF(number)
#define MORSEL_TEXT_OF(text) #text
const char* morsel_version(void) {
  return MORSEL_TEXT(MORSEL_VERSION_MAJOR) "." MORSEL_TEXT(MORSEL_VERSION_MINOR) "." MORSEL_TEXT(
      MORSEL_VERSION_PATCH);
}

const char* morsel_code_name(morsel_code code) {
  return morsel::CodeName(static_cast<Code>(static_cast<int>(code)));
}

}  // extern "C"
