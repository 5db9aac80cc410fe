// The roots of a morsel, and its blocks, as members of Morsel.
#pragma once

#include <cerrno>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "morsel/allocator.hpp"
#include "morsel/morsel.h"
#include "morsel/stored_type.hpp"

// X11, for one, makes this word a macro.
#pragma push_macro("Status")
#undef Status

namespace morsel {
namespace impl {

// No exception may pass through the C API: it is kept, and thrown again behind it. This differs
// between programs, or parts of one, that are built with and without exceptions.
#if defined(__cpp_exceptions)
inline namespace with_exceptions {
template <class Visit>
struct Visiting {
  Visit& visit;
  std::exception_ptr thrown{};
  /// Returns other than 0 if no more are to be visited.
  template <class... Arguments>
  int Next(const Arguments&... arguments) {
    try {
      visit(arguments...);
    } catch (...) {
      thrown = std::current_exception();
    }
    return thrown ? 1 : 0;
  }
  void Rethrow() const {
    if (thrown) std::rethrow_exception(thrown);
  }
};
#else
inline namespace without_exceptions {
template <class Visit>
struct Visiting {
  Visit& visit;
  template <class... Arguments>
  int Next(const Arguments&... arguments) {
    visit(arguments...);
    return 0;
  }
  void Rethrow() const {}
};
#endif
}  // inline namespace

/// What a function of one argument takes, without reference and const.
template <class Function>
struct ArgumentOf : ArgumentOf<decltype(&Function::operator())> {};
template <class Answer, class Argument>
struct ArgumentOf<Answer (*)(Argument)> : std::remove_cvref<Argument> {};
template <class Class, class Answer, class Argument>
struct ArgumentOf<Answer (Class::*)(Argument)> : std::remove_cvref<Argument> {};
template <class Class, class Answer, class Argument>
struct ArgumentOf<Answer (Class::*)(Argument) const> : std::remove_cvref<Argument> {};
template <class Answer, class Argument>
struct ArgumentOf<Answer (*)(Argument) noexcept> : std::remove_cvref<Argument> {};
template <class Class, class Answer, class Argument>
struct ArgumentOf<Answer (Class::*)(Argument) noexcept> : std::remove_cvref<Argument> {};
template <class Class, class Answer, class Argument>
struct ArgumentOf<Answer (Class::*)(Argument) const noexcept> : std::remove_cvref<Argument> {};

/// Held while an older object becomes one of today: a morsel has one writing process. The function
/// that makes it may ask for other roots in the same way.
[[gnu::visibility("default")]] inline std::recursive_mutex& UpgradeMutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

/// The members of Morsel that are about roots and blocks.
template <class Self>
class Roots {
 public:
  /// Gives the object a name, and keeps its type with it: its size, its alignment, its layout
  /// (MORSEL_LAYOUT) and, if the program has RTTI, its name. Of void, char, unsigned char and
  /// std::byte no type is kept. It is morsel_set_root_typed(): an object that had the name before,
  /// of whatever type, stays allocated and has none. find_or_make() never replaces one.
  template <class T, class Type = StoredType<T>>
  Status set_root(const char* name, T* object) {
    return Code(morsel_set_root_typed(handle(), name, const_cast<std::remove_cv_t<T>*>(object),
                                      Type().get(), 0));
  }
  /// Forgets the root.
  Status set_root(const char* name, std::nullptr_t) {
    return Code(morsel_set_root(handle(), name, nullptr));
  }

  /// Returns the object of that name, or nullptr if there is none, or if it is no T: of another
  /// size, alignment, layout or name of its type. The message names both types then, and errno is
  /// EINVAL. void fits whatever is there; what has no type fits every T.
  template <class T = void, class Type = StoredType<T>>
  T* root(const char* name) const {
    Type::Check();
    return static_cast<T*>(morsel_root_typed(handle(), name, Type().get()));
  }

  /// Returns the object of that name if it is a T. If it is an older one, `upgrade`, a function of
  /// one argument, makes a T from it: `T* upgrade(Old& old)`. An object is an Old if its type has
  /// the size, the alignment and the layout of one, whatever its name was. The root leads to the T
  /// from then on, and the Old is destroyed and freed, unless the T lies in its place. This happens
  /// once, whoever asks. `upgrade` must not free the Old.
  ///
  /// Durability  as set_root(). Under the fine contract `upgrade` persists what it makes.
  /// Ownership   of the T that `upgrade` returns: the root's. If it returns nullptr, this does, and
  ///             the root is as before. If the root cannot be set, the T is destroyed, unless it
  ///             lies in no block of this morsel.
  /// Errors      as without `upgrade`, if the object is neither a T nor an Old, or the morsel is
  ///             open for reading only. nullptr, and errno is EINVAL: as morsel_root_to_replace(),
  ///             before `upgrade` is called; as set_root(), if the T is not in this morsel.
  template <class T, class Upgrade, class Old = typename ArgumentOf<std::decay_t<Upgrade>>::type,
            class Type = StoredType<T>, class OldType = StoredType<Old>>
  T* root(const char* name, Upgrade&& upgrade) {
    static_assert(!kIsBytes<T> && !kIsBytes<Old>, "bytes have no type that could be an older one");
    Type::Check();
    const std::lock_guard<std::recursive_mutex> lock(UpgradeMutex());
    const Type wanted;
    void* const found = morsel_root_typed(handle(), name, wanted.get());
    if (found != nullptr || errno != EINVAL) return static_cast<T*>(found);
    morsel_type older = OldType().type;
    older.name = nullptr;
    void* const place = morsel_root_typed(handle(), name, &older);
    if (place == nullptr || morsel_is_read_only(handle())) {
      return static_cast<T*>(morsel_root_typed(handle(), name, wanted.get()));  // for its message
    }
    if (morsel_root_to_replace(handle(), name, &older) == nullptr) return nullptr;
    const size_t place_bytes = morsel_usable_size(handle(), place);
    Old* const old = static_cast<Old*>(place);
    T* const made = std::forward<Upgrade>(upgrade)(*old);
    if (made == nullptr) return nullptr;
    const bool is_in_place =
        reinterpret_cast<uintptr_t>(made) - reinterpret_cast<uintptr_t>(place) < place_bytes;
    const Status set = set_root(name, made);
    if (set.code() == Code::kInvalidArgument) {  // it lies in no block of this morsel
      errno = EINVAL;
      return nullptr;
    }
    if (!is_in_place) set.ok() ? self().destroy(old) : self().destroy(made);
    return set.ok() ? made : nullptr;
  }

  /// Returns the root's object as root<T>() does. If there is no such root, makes a T as
  /// Morsel::make() does, and gives it the name. If several threads do so at once, all get one
  /// object, and what the others have made is destroyed.
  ///
  /// Durability  as set_root(). Under the fine contract the T itself is persisted before it has the
  ///             name; what its constructor allocates is the constructor's to persist.
  /// Ownership   the object is the root's.
  /// Errors      nullptr: as root(), make() and set_root(). What T's constructor throws passes on.
  template <class T, class... Arguments, class Type = StoredType<T>>
  T* find_or_make(const char* name, Arguments&&... arguments) {
    T* const found = root<T>(name);
    if (found != nullptr || errno != ENOENT) return found;
    T* const made = self().template make<T>(std::forward<Arguments>(arguments)...);
    if (made == nullptr) return nullptr;
    morsel_code code = Persist(made, sizeof(T));
    if (code == MORSEL_OK) {
      code = morsel_set_root_typed(handle(), name, const_cast<std::remove_cv_t<T>*>(made),
                                   Type().get(), MORSEL_EXCLUSIVE);
    }
    if (code == MORSEL_OK) return made;
    self().destroy(made);
    return code == MORSEL_EXISTS ? root<T>(name) : nullptr;
  }

  /// An allocator in this morsel.
  template <class T = std::byte>
  Allocator<T> allocator() const {
    return Allocator<T>(handle());
  }

  /// Calls `visit(const morsel_root_info&)` for each root, in the order of names. If `visit`
  /// throws, no more roots are visited and the exception passes on.
  template <class Visit, class Visiting = Visiting<std::remove_reference_t<Visit>>>
  Status for_each_root(Visit&& visit) const {
    Visiting visiting{visit};
    const auto next = [](const morsel_root_info* root, void* context) {
      return static_cast<Visiting*>(context)->Next(*root);
    };
    const Status status = Code(morsel_for_each_root(handle(), next, &visiting));
    visiting.Rethrow();
    return status;
  }

  /// Calls `visit(void* block, size_t bytes)` for each live block, in the order of addresses, as
  /// morsel_for_each_block() does. If `visit` throws, no more blocks are visited and the exception
  /// passes on.
  template <class Visit, class Visiting = Visiting<std::remove_reference_t<Visit>>>
  Status for_each_block(Visit&& visit) const {
    Visiting visiting{visit};
    const auto next = [](void* block, size_t bytes, void* context) {
      return static_cast<Visiting*>(context)->Next(block, bytes);
    };
    const Status status = Code(morsel_for_each_block(handle(), next, &visiting));
    visiting.Rethrow();
    return status;
  }

  /// Calls `visit(const morsel_pointer&)` for each word that leads where nothing will be in the
  /// next process, or nothing is now, as morsel_check_pointers() does. If `visit` throws, no more
  /// are visited and the exception passes on.
  template <class Visit, class Visiting = Visiting<std::remove_reference_t<Visit>>>
  Status check_pointers(Visit&& visit) const {
    Visiting visiting{visit};
    const auto next = [](const morsel_pointer* pointer, void* context) {
      return static_cast<Visiting*>(context)->Next(*pointer);
    };
    const Status status = Code(morsel_check_pointers(handle(), next, &visiting));
    visiting.Rethrow();
    return status;
  }

  /// Calls `visit(const morsel_unreached&)` for each live block that no root leads to, as
  /// morsel_find_unreached() does. If `visit` throws, no more are visited and the exception passes
  /// on.
  template <class Visit, class Visiting = Visiting<std::remove_reference_t<Visit>>>
  Result<morsel_unreached_info> find_unreached(Visit&& visit) const {
    Visiting visiting{visit};
    const auto next = [](const morsel_unreached* unreached, void* context) {
      return static_cast<Visiting*>(context)->Next(*unreached);
    };
    morsel_unreached_info info{};
    info.struct_size = sizeof info;
    const morsel_code code = morsel_find_unreached(handle(), next, &visiting, &info);
    visiting.Rethrow();
    if (code != MORSEL_OK) return Code(code);
    return info;
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }
  morsel_t* handle() const { return static_cast<const Self&>(*this).handle(); }
  /// Under the fine contract only: a commit makes all durable.
  morsel_code Persist(const void* object, size_t bytes) {
    morsel_info info{};
    const morsel_code code = morsel_stat(handle(), &info);
    if (code != MORSEL_OK || (info.flags & MORSEL_FINE) == 0) return code;
    return morsel_persist(handle(), object, bytes);
  }
};

}  // namespace impl
}  // namespace morsel

#pragma pop_macro("Status")
