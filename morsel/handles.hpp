// Pools and morsels as move-only handles over the C API.
#pragma once

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "morsel/allocator.hpp"
#include "morsel/construction.hpp"
#include "morsel/memory_resource.hpp"
#include "morsel/morsel.h"
#include "morsel/roots.hpp"
#include "morsel/tools.h"

// X11, for one, makes this word a macro.
#pragma push_macro("Status")
#undef Status

namespace morsel {

/// The options of Pool::open(). The members mean what those of morsel_pool_options mean.
struct PoolOptions {
  uint32_t flags = 0;
  uint32_t mode = 0;
  uint64_t size_bytes = 0;
};

/// The options of Morsel::open(). The members mean what those of morsel_options mean.
struct MorselOptions {
  uint32_t flags = 0;
  uint32_t mode = 0;
  uint64_t size_bytes = 0;
  uint64_t capacity_bytes = 0;
  uint32_t codec = MORSEL_CODEC_NONE;
  void (*progress)(const morsel_progress* progress, void* context) = nullptr;
  void* progress_context = nullptr;
  void (*damaged)(const char* message, void* context) = nullptr;
  void* damaged_context = nullptr;
  uint32_t patience_ms = 0;
};

/// The options of Pool::export_to(). The members mean what those of morsel_export_options mean.
struct ExportOptions {
  uint32_t flags = 0;
  uint32_t codec = 0;
  void (*skipped)(const char* message, void* context) = nullptr;
  void* skipped_context = nullptr;
};

/// The options of Pool::import_from(). The members mean what those of morsel_import_options mean.
struct ImportOptions {
  uint32_t flags = 0;
  const char* name = nullptr;
  const morsel_rebase_options* rebase = nullptr;
};

/// What Pool::check() has found: a morsel_finding whose texts are the caller's.
struct CheckFinding {
  Code code = Code::kOk;
  std::string subject;
  std::string message;
};

/// The message of the calling thread's last failure, valid until its next call that fails.
inline const char* last_error() { return morsel_last_error(); }

/// The version of the library that runs, e.g. "0.1.0".
inline const char* version() { return morsel_version(); }

class Pool;

/// An open morsel. A member function does what the C function of the same name does, and returns
/// the same errors. Roots are in roots.hpp.
///
/// Ownership  holds one open of the morsel, which close(), discard() or the destructor ends. The
///            destructor closes, and so makes a snapshot morsel's last checkpoint; while an
///            exception unwinds its scope it discards, since the change that the exception ended
///            may be half done. If the close in the destructor fails, it discards and prints the
///            message on standard error: call close() where the result matters. A Morsel must not
///            outlive its Pool.
/// Threads    as the C functions: any, except close(), discard(), assignment and destruction.
class Morsel : public impl::Roots<Morsel> {
 public:
  Morsel() = default;
  /// Opens the morsel `name`: without options an existing one, with the pool's rights; else as
  /// morsel_open() does.
  static Result<Morsel> open(Pool& pool, const std::string& name);
  static Result<Morsel> open(Pool& pool, const std::string& name, const MorselOptions& options);
  /// Takes over a handle that morsel_open() returned: this object closes it.
  explicit Morsel(morsel_t* handle) : handle_(handle) {}
  Morsel(Morsel&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Morsel& operator=(Morsel&& other) noexcept {
    if (this != &other) {
      CloseOrWarn();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Morsel() { CloseOrWarn(); }

  explicit operator bool() const { return handle_ != nullptr; }
  /// The handle, for the C API. It stays this object's.
  morsel_t* handle() const { return handle_; }

  /// The handle is empty after a success, and unchanged after a failure.
  Status close() { return End(morsel_close(handle_)); }
  Status discard() { return End(morsel_discard(handle_)); }

  void* malloc(size_t size) { return morsel_malloc(handle_, size); }
  void* calloc(size_t count, size_t size) { return morsel_calloc(handle_, count, size); }
  void* realloc(void* block, size_t size) { return morsel_realloc(handle_, block, size); }
  void* aligned_alloc(size_t alignment, size_t size) {
    return morsel_aligned_alloc(handle_, alignment, size);
  }
  void free(void* block) { morsel_free(handle_, block); }
  size_t usable_size(const void* block) const { return morsel_usable_size(handle_, block); }

  Status persist(const void* address, size_t size) {
    return Code(morsel_persist(handle_, address, size));
  }
  Status flush(const void* address, size_t size) {
    return Code(morsel_flush(handle_, address, size));
  }
  Status fence() { return Code(morsel_fence(handle_)); }
  Status memcpy_persist(void* to, const void* from, size_t size) {
    return Code(morsel_memcpy_persist(handle_, to, from, size));
  }
  Status checkpoint() { return Code(morsel_checkpoint(handle_)); }
  Status resize(uint64_t size_bytes) { return Code(morsel_resize(handle_, size_bytes)); }
  Result<morsel_info> stat() const {
    morsel_info info{};
    info.struct_size = sizeof info;
    if (const morsel_code code = morsel_stat(handle_, &info); code != MORSEL_OK) return Code(code);
    return info;
  }

  /// Allocates a T in the morsel and constructs it from `arguments`. If it takes an allocator, an
  /// Allocator or one of std::pmr, and is given none, it gets that of the morsel; so do the parts
  /// of a pair or a tuple.
  ///
  /// Ownership  the caller ends it with destroy().
  /// Errors     nullptr if the allocation fails. If T's constructor throws, the memory is freed and
  ///            the exception passes on.
  template <class T, class... Arguments, class Alloc = Allocator<std::byte>>
  T* make(Arguments&&... arguments) {
    impl::CheckMayBeMade<T>();
    T* made = nullptr;
    if constexpr (impl::kCanBeMade<T>) {
      void* const place = aligned_alloc(alignof(T), sizeof(T));
      if (place == nullptr) return nullptr;
      Unmade unmade{*this, place};  // if T's constructor throws
      if constexpr (construction::kMayTake<T, Alloc, Arguments...>) {
        made = construction::ConstructAt<T>(place, Alloc(handle_),
                                            std::forward<Arguments>(arguments)...);
      } else {
        made = new (place) T(std::forward<Arguments>(arguments)...);
      }
      unmade.place = nullptr;
    }
    return made;
  }
  /// Destroys and frees an object that make() returned. nullptr is allowed.
  template <class T>
  void destroy(T* object) {
    if (object == nullptr) return;
    if constexpr (std::is_array_v<T>) {
      std::destroy_at(object);
    } else {
      object->~T();
    }
    free(const_cast<std::remove_cv_t<T>*>(object));
  }

  void* base() const { return morsel_base(handle_); }
  uint64_t capacity() const { return morsel_capacity(handle_); }
  uint64_t size() const { return morsel_size(handle_); }

  /// The memory resource for std::pmr containers in this morsel. It lies at a fixed address behind
  /// the capacity, so a container in the morsel may keep the pointer to it.
  ///
  /// Ownership  the library's: it lives while this process has the morsel open.
  memory_resource* resource() const { return ResourceOf(base(), capacity()); }

 private:
  struct Unmade {
    Morsel& morsel;
    void* place;
    ~Unmade() { morsel.free(place); }
  };
  static Result<Morsel> Opened(Pool& pool, const std::string& name, const morsel_options* options);
  Status End(morsel_code code) {
    if (code == MORSEL_OK) handle_ = nullptr;
    return Code(code);
  }
  void CloseOrWarn() {
    if (handle_ == nullptr) return;
    const bool unwinds = std::uncaught_exceptions() > exceptions_;
    // Where others have the morsel open, this open ends without a checkpoint either way.
    if (unwinds && morsel_discard(handle_) == MORSEL_OK) return;
    if (close().ok()) return;
    if (morsel_discard(handle_) == MORSEL_OK) {
      std::fprintf(stderr, "morsel: closed without a checkpoint: %s\n", last_error());
    }
  }

  morsel_t* handle_ = nullptr;
  int exceptions_ = std::uncaught_exceptions();  ///< those that unwound when this was made
};

template <class T>
Allocator<T>::Allocator(const Morsel& morsel) : Allocator(morsel.handle()) {}

/// An open pool. A member function does what the C function of the same name does, and returns the
/// same errors.
///
/// Ownership  close() or the destructor closes the pool. Its morsels must be closed before. If the
///            close in the destructor fails, the destructor prints the message on standard error
///            and the pool stays open.
/// Threads    as the C functions: any, except close(), assignment and destruction.
class Pool {
 public:
  static Result<Pool> open(const std::string& path, const PoolOptions& options = {}) {
    const morsel_pool_options plain = {sizeof plain, options.flags, options.mode, 0,
                                       options.size_bytes};
    morsel_pool_t* handle = nullptr;
    if (const morsel_code code = morsel_pool_open(path.c_str(), &plain, &handle);
        code != MORSEL_OK) {
      return Code(code);
    }
    return Pool(handle);
  }
  Pool(Pool&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Pool& operator=(Pool&& other) noexcept {
    if (this != &other) {
      CloseOrWarn();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Pool() { CloseOrWarn(); }

  /// The handle, for the C API. It stays this object's.
  morsel_pool_t* handle() const { return handle_; }

  /// The handle is empty after a success, and unchanged after a failure.
  Status close() {
    const morsel_code code = morsel_pool_close(handle_);
    if (code == MORSEL_OK) handle_ = nullptr;
    return Code(code);
  }

  /// These are morsel_export(), morsel_export_coded() with a MORSEL_CODEC_*, and morsel_import();
  /// without `name` the morsel has the one that the image carries, or the file's.
  Status export_to(const std::string& name, const std::string& path) {
    return Code(morsel_export(handle_, name.c_str(), path.c_str()));
  }
  Status export_to(const std::string& name, const std::string& path, uint32_t codec) {
    return Code(morsel_export_coded(handle_, name.c_str(), path.c_str(), codec));
  }
  Status import_from(const std::string& path) {
    return Code(morsel_import(handle_, path.c_str(), nullptr));
  }
  Status import_from(const std::string& path, const std::string& name) {
    return Code(morsel_import(handle_, path.c_str(), name.c_str()));
  }

  /// This is morsel_import_with().
  Result<morsel_rebase_info> import_from(const std::string& path, const ImportOptions& options) {
    const morsel_import_options plain = {sizeof plain, options.flags, options.name, options.rebase};
    morsel_rebase_info info{};
    info.struct_size = sizeof info;
    if (const morsel_code code = morsel_import_with(handle_, path.c_str(), &plain, &info);
        code != MORSEL_OK) {
      return Code(code);
    }
    return info;
  }

  /// This is morsel_copy(). rebase() of rebase.hpp gives a morsel another address.
  Result<morsel_rebase_info> copy(const std::string& name, const std::string& to,
                                  morsel_rebase_options options = {}) {
    options.struct_size = sizeof options;
    morsel_rebase_info info{};
    info.struct_size = sizeof info;
    if (const morsel_code code = morsel_copy(handle_, name.c_str(), to.c_str(), &options, &info);
        code != MORSEL_OK) {
      return Code(code);
    }
    return info;
  }

  /// This is morsel_export_with().
  Status export_to(const std::string& name, const std::string& path, const ExportOptions& options) {
    morsel_export_options plain{};
    plain.struct_size = sizeof plain;
    plain.flags = options.flags;
    plain.codec = options.codec;
    plain.skipped = options.skipped;
    plain.skipped_context = options.skipped_context;
    return Code(morsel_export_with(handle_, name.c_str(), path.c_str(), &plain));
  }

  Status remove(const std::string& name) { return Code(morsel_remove(handle_, name.c_str())); }
  Status rename(const std::string& name, const std::string& to) {
    return Code(morsel_rename(handle_, name.c_str(), to.c_str()));
  }

  /// These are morsel_pool_stat(), morsel_find() and morsel_count_huge().
  Result<morsel_pool_info> stat() const {
    morsel_pool_info info{};
    info.struct_size = sizeof info;
    if (const morsel_code code = morsel_pool_stat(handle_, &info); code != MORSEL_OK) {
      return Code(code);
    }
    return info;
  }
  Result<morsel_info> find(const std::string& name) const {
    morsel_info info{};
    info.struct_size = sizeof info;
    if (const morsel_code code = morsel_find(handle_, name.c_str(), &info); code != MORSEL_OK) {
      return Code(code);
    }
    return info;
  }
  Result<uint64_t> count_huge(const std::string& name) const {
    uint64_t subtrees = 0;
    if (const morsel_code code = morsel_count_huge(handle_, name.c_str(), &subtrees);
        code != MORSEL_OK) {
      return Code(code);
    }
    return subtrees;
  }

  /// Looks for damage in the pool, as morsel_check() does; with `name`, in what concerns that
  /// morsel. It appends what it finds to `findings`, unless that is nullptr.
  Result<morsel_check_info> check(std::vector<CheckFinding>* findings = nullptr,
                                  const char* name = nullptr) {
    const auto add = [](const morsel_finding* one, void* to) {
      if (to == nullptr) return;
      const Code code = static_cast<Code>(one->code);
      static_cast<std::vector<CheckFinding>*>(to)->push_back({code, one->subject, one->message});
    };
    morsel_check_info info{};
    info.struct_size = sizeof info;
    if (const morsel_code code = morsel_check(handle_, name, add, findings, &info);
        code != MORSEL_OK) {
      return Code(code);
    }
    return info;
  }

  /// Appends to `unreadable` what morsel_list_unreadable() tells; the subject is the name.
  Status list_unreadable(std::vector<CheckFinding>& unreadable) {
    const auto add = [](const char* name, morsel_code code, const char* message, void* to) {
      static_cast<std::vector<CheckFinding>*>(to)->push_back({Code(code), name, message});
      return 0;
    };
    return Code(morsel_list_unreadable(handle_, add, &unreadable));
  }

  /// Calls `visit(const morsel_info&)` for each morsel, in the order of names. If `visit` throws,
  /// no more morsels are visited and the exception passes on.
  template <class Visit, class Visiting = impl::Visiting<std::remove_reference_t<Visit>>>
  Status list(Visit&& visit) {
    Visiting visiting{visit};
    const auto next = [](const morsel_info* info, void* context) {
      return static_cast<Visiting*>(context)->Next(*info);
    };
    const Status status = Code(morsel_list(handle_, next, &visiting));
    visiting.Rethrow();
    return status;
  }

 private:
  explicit Pool(morsel_pool_t* handle) : handle_(handle) {}
  void CloseOrWarn() {
    if (handle_ == nullptr || close().ok()) return;
    std::fprintf(stderr, "morsel: a pool stays open: %s\n", last_error());
  }

  morsel_pool_t* handle_ = nullptr;
};

inline Result<Morsel> Morsel::Opened(Pool& pool, const std::string& name,
                                     const morsel_options* options) {
  morsel_t* handle = nullptr;
  if (const morsel_code code = morsel_open(pool.handle(), name.c_str(), options, &handle);
      code != MORSEL_OK) {
    return Code(code);
  }
  return Morsel(handle);
}

inline Result<Morsel> Morsel::open(Pool& pool, const std::string& name) {
  return Opened(pool, name, nullptr);
}

inline Result<Morsel> Morsel::open(Pool& pool, const std::string& name,
                                   const MorselOptions& options) {
  morsel_options plain{};
  plain.struct_size = sizeof plain;
  plain.flags = options.flags;
  plain.mode = options.mode;
  plain.codec = options.codec;
  plain.size_bytes = options.size_bytes;
  plain.capacity_bytes = options.capacity_bytes;
  plain.progress = options.progress;
  plain.progress_context = options.progress_context;
  plain.damaged = options.damaged;
  plain.damaged_context = options.damaged_context;
  plain.patience_ms = options.patience_ms;
  return Opened(pool, name, &plain);
}

/// Sets the function that this thread's exports, imports, verify() and salvage() call, as
/// morsel_set_progress() does.
inline void set_progress(void (*progress)(const morsel_progress* progress, void* context),
                         void* context) {
  morsel_set_progress(progress, context);
}

/// Reads the image at `path` and compares it with its checksums, as morsel_verify() does. It
/// appends one message for each damaged subtree to `damages`, unless that is nullptr.
inline Status verify(const std::string& path, std::vector<std::string>* damages = nullptr) {
  const auto add = [](const char* message, void* to) {
    if (to != nullptr) static_cast<std::vector<std::string>*>(to)->emplace_back(message);
  };
  return Code(morsel_verify(path.c_str(), add, damages));
}

/// Finds what is intact of the image at `path`, as morsel_salvage() does, and writes it to the new
/// file `to`, unless that is empty. `damages` is as that of verify().
inline Status salvage(const std::string& path, const std::string& to,
                      std::vector<std::string>* damages = nullptr) {
  const auto add = [](const char* message, void* list) {
    if (list != nullptr) static_cast<std::vector<std::string>*>(list)->emplace_back(message);
  };
  return Code(morsel_salvage(path.c_str(), to.empty() ? nullptr : to.c_str(), add, damages));
}

/// Does what salvage() does, and returns how many bytes are intact, as morsel_salvage_counted()
/// does.
inline Result<uint64_t> salvage_counted(const std::string& path, const std::string& to,
                                        std::vector<std::string>* damages = nullptr) {
  const auto add = [](const char* message, void* list) {
    if (list != nullptr) static_cast<std::vector<std::string>*>(list)->emplace_back(message);
  };
  uint64_t intact_bytes = 0;
  const morsel_code code = morsel_salvage_counted(path.c_str(), to.empty() ? nullptr : to.c_str(),
                                                  add, damages, &intact_bytes);
  if (code != MORSEL_OK) return Code(code);
  return intact_bytes;
}

/// These are morsel_stat_image(), morsel_format() and morsel_codec_name().
inline Result<morsel_info> stat_image(const std::string& path) {
  morsel_info info{};
  info.struct_size = sizeof info;
  if (const morsel_code code = morsel_stat_image(path.c_str(), &info); code != MORSEL_OK) {
    return Code(code);
  }
  return info;
}
inline Status format(const std::string& path, uint32_t flags = 0) {
  return Code(morsel_format(path.c_str(), flags));
}
inline const char* codec_name(uint32_t codec) { return morsel_codec_name(codec); }

}  // namespace morsel

#pragma pop_macro("Status")
