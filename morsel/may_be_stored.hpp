// Which objects a morsel takes, as far as their types say so.
#pragma once

#include <any>
#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <variant>
#include <version>

#ifdef __cpp_lib_expected
#include <expected>
#endif

namespace morsel {

class Morsel;  // of handles.hpp, as the following
class Pool;
class Update;

namespace impl {

template <class... Ts>
struct Types {
  template <class... Others>
  friend Types<Ts..., Others...> operator+(Types, Types<Others...>);
};

// What the standard's types keep that keep a few. These are overloads, not specializations, so
// that classes which are derived from such a type are seen, too.
template <class First, class Second>
Types<First, Second> FewIn(const std::pair<First, Second>*);
template <class... Ts>
Types<Ts...> FewIn(const std::tuple<Ts...>*);
template <class... Ts>
Types<Ts...> FewIn(const std::variant<Ts...>*);
template <class T>
Types<T> FewIn(const std::optional<T>*);
template <class T, size_t kCount>
Types<T> FewIn(const std::array<T, kCount>*);
template <class T>
Types<T> FewIn(const std::atomic<T>*);
template <class T>
Types<T*> FewIn(const std::reference_wrapper<T>*);
#ifdef __cpp_lib_expected
template <class T, class E>
Types<T, E> FewIn(const std::expected<T, E>*);
#endif

template <class T>
concept IsContainer = requires {
  typename T::allocator_type;
  typename T::value_type;
};
template <class T>
concept KeepsFew = std::is_class_v<T> && !IsContainer<T> && requires(const T* object) {
  impl::FewIn(object);
};

// The functions that a container keeps.
template <class T>
Types<> LessOf(...);
template <class T>
Types<typename T::key_compare> LessOf(int);
template <class T>
Types<> HashOf(...);
template <class T>
Types<typename T::hasher, typename T::key_equal> HashOf(int);
template <class T>
Types<> OrderOf(...);
template <class T>
Types<typename T::value_compare> OrderOf(int);

/// The types of what a T keeps, if it is a container, or one of the standard's that keep a few.
template <class T>
struct KeptIn {
  using Kept = Types<>;
};
template <IsContainer T>
struct KeptIn<T> {
  using Kept = decltype(Types<typename T::value_type>() + LessOf<T>(0) + HashOf<T>(0));
};
template <class T>
requires(!IsContainer<T> && requires { typename T::container_type; }) struct KeptIn<T> {
  using Kept = decltype(Types<typename T::container_type>() + OrderOf<T>(0));
};
template <KeepsFew T>
struct KeptIn<T> {
  using Kept = decltype(impl::FewIn(static_cast<const T*>(nullptr)));
};
template <class T, size_t kCount>
struct KeptIn<T[kCount]> {
  using Kept = Types<T>;
};

/// Whether a T is one of the standard's, or of a class derived from it, that keep all they have in
/// the ordinary heap.
template <class T, class Delete>
void OfOrdinaryMemory(const std::unique_ptr<T, Delete>*);
template <class T>
void OfOrdinaryMemory(const std::shared_ptr<T>*);
template <class T>
void OfOrdinaryMemory(const std::weak_ptr<T>*);
template <class T>
void OfOrdinaryMemory(const std::function<T>*);
void OfOrdinaryMemory(const std::any*);

// Of what the headers are large of, the members are told: std::filesystem::path, std::valarray,
// std::basic_regex, std::filesystem::directory_entry and its iterators, std::barrier,
// std::condition_variable_any. Boost's of these names are of the same kind.
template <class T>
concept IsPath = requires {
  typename T::string_type;
  T::preferred_separator;
};
template <class T>
concept IsValarray = requires(T object) {
  typename T::value_type;
  object.cshift(1);
  object.apply(static_cast<typename T::value_type (*)(typename T::value_type)>(nullptr));
};
template <class T>
concept IsRegex = requires(const T object) {
  typename T::locale_type;
  typename T::flag_type;
  object.mark_count();
};
template <class T>
concept IsOfDirectory = requires(T object, std::error_code error) {
  object.hard_link_count(error);
  object.refresh(error);
}
|| requires(T object, std::error_code error) {
  typename T::value_type;
  object.increment(error);
};
template <class T>
concept IsBarrier = requires(T object) {
  typename T::arrival_token;
  object.arrive_and_drop();
};
template <class T>
concept WaitsForAnyLock = requires(T object, std::unique_lock<std::mutex> lock,
                                   std::shared_lock<std::shared_mutex> other) {
  object.notify_one();
  object.wait(lock);
  object.wait(other);
};

template <class T>
constexpr bool TakesOrdinaryMemory() {
  if constexpr (!std::is_class_v<T>) {
    return false;
  } else if constexpr (requires { typename T::allocator_type; }) {
    using Alloc = typename T::allocator_type;
    return std::is_same_v<Alloc, std::allocator<typename std::allocator_traits<Alloc>::value_type>>;
  } else {
    return requires(const T* object) { impl::OfOrdinaryMemory(object); }
    || IsPath<T> || IsValarray<T> || IsRegex<T> || IsOfDirectory<T> || IsBarrier<T> ||
        WaitsForAnyLock<T>;
  }
}

/// Whether what a T keeps lies in the ordinary heap, whatever the T lies in.
template <class T>
inline constexpr bool kTakesOrdinaryMemory = TakesOrdinaryMemory<T>();

/// Whether a T is one of the standard's, or of a class derived from it, that lead into the process:
/// to its code, its static objects, its threads, or this library's state.
void OfProcess(const std::exception_ptr*);
void OfProcess(const std::error_code*);
void OfProcess(const std::error_condition*);
void OfProcess(const std::type_index*);
void OfProcess(const Morsel*);
void OfProcess(const Pool*);
void OfProcess(const Update*);
template <class T>
void OfProcess(const std::unique_lock<T>*);
template <class T>
void OfProcess(const std::shared_lock<T>*);
template <class T>
void OfProcess(const std::lock_guard<T>*);
template <class... Ts>
void OfProcess(const std::scoped_lock<Ts...>*);
template <class T>
void OfProcess(const std::coroutine_handle<T>*);

// As above: std::future, std::shared_future; std::promise, std::packaged_task; std::thread,
// std::jthread; std::stop_source, std::stop_token; std::locale; std::random_device;
// std::source_location.
template <class T>
concept IsFuture = requires(T object) {
  object.valid();
  object.wait();
  object.get();
};
template <class T>
concept MakesFuture = requires(T object, std::exception_ptr thrown) {
  object.get_future();
  object.set_exception(thrown);
}
|| requires(T object) {
  object.get_future();
  object.valid();
};
template <class T>
concept IsThread = requires(T object) {
  object.joinable();
  object.join();
  object.detach();
};
template <class T>
concept TellsStops = requires(T object) {
  object.stop_requested();
  object.stop_possible();
};
template <class T>
concept IsLocale = requires {
  typename T::facet;
  typename T::category;
  T::classic();
};

template <class T>
concept IsRandomDevice = requires(T object) {
  object.entropy();
  object();
};
template <class T>
concept IsSourceLocation = requires(const T object) {
  T::current();
  object.file_name();
  object.function_name();
};

template <class T>
constexpr bool LeadsIntoProcess() {
  if constexpr (std::is_class_v<T>) {
    return requires(const T* object) { impl::OfProcess(object); }
    || std::is_bind_expression_v<T> || IsFuture<T> || MakesFuture<T> || IsThread<T> ||
        TellsStops<T> || IsLocale<T> || IsRandomDevice<T> || IsSourceLocation<T>;
  } else {
    return std::is_function_v<std::remove_pointer_t<T>> || std::is_member_function_pointer_v<T>;
  }
}

/// Whether a T leads into the process.
template <class T>
inline constexpr bool kLeadsIntoProcess = LeadsIntoProcess<T>();

template <class T>
inline constexpr bool kIsPair = false;
template <class First, class Second>
inline constexpr bool kIsPair<std::pair<First, Second>> = true;
template <class T>
inline constexpr bool kIsTuple = false;
template <class... Ts>
inline constexpr bool kIsTuple<std::tuple<Ts...>> = true;

/// Whether a T takes the memory that it is given, and the ordinary heap if it is given none.
template <class T>
inline constexpr bool kTakesGivenMemory =
    std::uses_allocator_v<T, std::pmr::polymorphic_allocator<>>;
template <class First, class Second>
inline constexpr bool kTakesGivenMemory<std::pair<First, Second>> =
    kTakesGivenMemory<std::remove_cv_t<First>> || kTakesGivenMemory<std::remove_cv_t<Second>>;
template <class... Ts>
inline constexpr bool kTakesGivenMemory<std::tuple<Ts...>> =
    (kTakesGivenMemory<std::remove_cv_t<Ts>> || ...);

template <class... Ts>
constexpr bool TakeGivenMemory(Types<Ts...>) {
  return (kTakesGivenMemory<std::remove_cv_t<Ts>> || ...);
}
template <class... Ts>
constexpr bool PairsTakeGivenMemory(Types<Ts...>) {
  return ((kIsPair<std::remove_cv_t<Ts>> && kTakesGivenMemory<std::remove_cv_t<Ts>>) || ...);
}

/// Whether a T keeps what takes the memory that it is given, and gives it none.
template <class T>
constexpr bool WithholdsMemory() {
  using Kept = typename KeptIn<T>::Kept;
  if constexpr (kIsPair<T>) {
    return false;
  } else if constexpr (kIsTuple<T>) {
    return PairsTakeGivenMemory(Kept{});  // it asks its elements, not those of a pair
  } else if constexpr (IsContainer<T>) {
    return !std::is_convertible_v<typename T::allocator_type, std::pmr::polymorphic_allocator<>> &&
           TakeGivenMemory(Types<typename T::value_type>());
  } else if constexpr (kTakesGivenMemory<T>) {
    return false;  // it has an allocator of its own, or its container has
  } else {
    return TakeGivenMemory(Kept{});
  }
}

}  // namespace impl

/// Whether a T may lie in a morsel, as far as its type itself says so: it has no virtual functions,
/// keeps nothing in the ordinary heap, does not lead into the process, and gives the morsel's
/// memory to what it keeps. Or MORSEL_ALLOW was said of it.
template <class T>
inline constexpr bool may_be_stored = !std::is_polymorphic_v<T> && !impl::kTakesOrdinaryMemory<T> &&
                                      !impl::kLeadsIntoProcess<T> && !impl::WithholdsMemory<T>();

namespace impl {

/// Allocators are asked by libraries for what a program never uses, as the binary values of
/// nlohmann::json: there, what keeps its memory in the ordinary heap is not refused.
enum class Asks { kProgram, kAllocator };

template <Asks kAsks, class T, class... Around>
constexpr void CheckMayBeStored();

template <Asks kAsks, class... Around, class... Ts>
constexpr void CheckAllMayBeStored(Types<Ts...>) {
  (CheckMayBeStored<kAsks, Ts, Around...>(), ...);
}

/// Holds T and what it keeps, at any depth, against what a morsel takes. `Around` are the types
/// that T lies in.
template <Asks kAsks, class T, class... Around>
constexpr void CheckMayBeStored() {
  using Plain = std::remove_cv_t<T>;
  if constexpr (!std::is_void_v<Plain> && (!std::is_same_v<Plain, Around> && ...)) {
    constexpr bool kMay = may_be_stored<Plain>;
    constexpr bool kIsOrdinary = kTakesOrdinaryMemory<Plain>;
    static_assert(kMay || !std::is_polymorphic_v<Plain>,
                  "T has virtual functions: its table of functions lies elsewhere in the next "
                  "process. Keep a tag and a switch, or a std::variant; MORSEL_ALLOW(T) is for "
                  "programs that mend the table themselves");
    static_assert(kMay || !kIsOrdinary || kAsks == Asks::kAllocator,
                  "T, or what it is made of, is a type of the standard library that keeps its "
                  "memory in the ordinary heap, which is gone in the next process. Take "
                  "morsel::string, morsel::vector, morsel::map, ... of <morsel/containers.hpp>, or "
                  "give it morsel::Allocator, at every depth. A struct with such members has to "
                  "take an allocator and give it to them: see docs/guide.md, Structures of your "
                  "own. MORSEL_ALLOW(T) is for what gets its memory from the morsel all the same");
    static_assert(kMay || !kLeadsIntoProcess<Plain>,
                  "T, or what it is made of, leads into this process: to its functions, its static "
                  "objects, its threads or its handles, which are elsewhere in the next one, or "
                  "not at all. Keep a number or a name, and find the thing itself in each process; "
                  "MORSEL_ALLOW(T) is for programs that mend it themselves");
    static_assert(kMay || kIsOrdinary || !WithholdsMemory<Plain>(),
                  "T, or what it is made of, is a std::optional, array, variant or the like with "
                  "elements that take an allocator, as morsel::string, and it gives them none: "
                  "they would lie in the ordinary heap, which is gone in the next process. Put a "
                  "morsel::vector or morsel::list in its place, or a struct that has an "
                  "allocator_type and gives it to its members: see docs/guide.md, Structures of "
                  "your own");
    CheckAllMayBeStored<kAsks, Plain, Around...>(typename KeptIn<Plain>::Kept{});
  }
}

template <class T>
inline constexpr bool kCanBeMade = std::is_object_v<T> && !std::is_array_v<T>;

/// Holds T, which is to be constructed in a morsel, against what a morsel takes.
template <class T>
constexpr void CheckMayBeMade() {
  static_assert(std::is_object_v<T>, "T is no type of objects: there is nothing to make");
  static_assert(!std::is_array_v<T>,
                "T is an array, of which there is no pointer to the whole: take std::array, or "
                "morsel::vector");
  if constexpr (kCanBeMade<T>) CheckMayBeStored<Asks::kProgram, T>();
}

}  // namespace impl
}  // namespace morsel

/// Lets objects of a type be stored that has virtual functions, keeps something in the ordinary
/// heap, or leads into the process. It is for programs that mend their tables of functions, or what
/// it keeps, in each process. It stands outside of all namespaces, before the first use of T with a
/// morsel.
#define MORSEL_ALLOW(...) \
  template <>             \
  inline constexpr bool morsel::may_be_stored<__VA_ARGS__> = true
