"""The types that a morsel takes and those that it refuses, and what the compiler says of them."""

import re
import subprocess

PREAMBLE = r"""
#include <any>
#include <bitset>
#include <chrono>
#include <complex>
#include <condition_variable>
#include <coroutine>
#include <filesystem>
#include <functional>
#include <future>
#include <locale>
#include <queue>
#include <random>
#include <regex>
#include <shared_mutex>
#include <source_location>
#include <span>
#include <sstream>
#include <stack>
#include <string_view>
#include <thread>
#include <typeindex>
#include <valarray>
#include <morsel/containers.hpp>
#include <morsel/morsel.hpp>
struct Point { int x, y; };
struct Shape { virtual ~Shape() = default; };
struct VirtualLess : Shape { bool operator()(int a, int b) const { return a < b; } };
struct VirtualHash : Shape { size_t operator()(int a) const { return a; } };
struct Free { void operator()(int*) const {} };
struct Named : std::string {};
struct Callback : std::function<void()> {};
struct Maybe : std::optional<morsel::string> {};
struct Entry : std::pair<int, morsel::string> {};
struct Person {
  using allocator_type = std::pmr::polymorphic_allocator<>;
  Person(allocator_type memory = {}) : name(memory) {}
  Person(const Person& other, allocator_type memory = {}) : name(other.name, memory) {}
  morsel::string name;
};
struct Tree : morsel::map<int, Tree> {};
template <class T>
struct Malloc : std::allocator<T> {
  Malloc() = default;
  template <class U>
  Malloc(const Malloc<U>&) {}
  template <class U>
  struct rebind { using other = Malloc<U>; };
};
using Allowed = std::optional<std::pair<int, std::pmr::u32string>>;
MORSEL_ALLOW(Allowed);
MORSEL_LAYOUT(Point, 0x7fffffff);
"""

# Types that a morsel does not take, by what the compiler says of them.
REFUSED = {
    "T has virtual functions": (
        "Shape",
        "std::pair<int, Shape>",
        "morsel::set<int, VirtualLess>",
        "morsel::unordered_set<int, VirtualHash>",
        "std::stringstream",
    ),
    "keeps its memory in the ordinary heap": (
        "std::string",
        "const std::deque<int>",
        "std::vector<int>",
        "morsel::vector<std::string>",
        "std::unordered_map<int, morsel::string>",
        "morsel::map<int, std::string>",
        "std::unique_ptr<int>",
        "std::unique_ptr<int, Free>",
        "std::shared_ptr<int>",
        "std::atomic<std::shared_ptr<int>>",
        "std::any",
        "std::function<void()>",
        "Named",
        "Callback",
        "std::pair<int, std::string>",
        "morsel::set<int, std::function<bool(int, int)>>",
        "std::priority_queue<int, morsel::vector<int>, std::function<bool(int, int)>>",
        "std::filesystem::path",
        "morsel::vector<std::filesystem::path>",
        "std::filesystem::directory_entry",
        "std::filesystem::directory_iterator",
        "std::valarray<int>",
        "std::regex",
        "std::condition_variable_any",
    ),
    "leads into this process": (
        "void (*)()",
        "int (Point::*)()",
        "morsel::map<int, int (*)(int)>",
        "morsel::set<int, bool (*)(int, int)>",
        "std::atomic<void (*)(int)>",
        "std::reference_wrapper<int(int)>",
        "std::exception_ptr",
        "std::error_code",
        "std::error_condition",
        "std::locale",
        "std::type_index",
        "morsel::map<std::type_index, int>",
        "std::random_device",
        "std::source_location",
        "std::future<int>",
        "std::shared_future<int>",
        "std::promise<int>",
        "std::packaged_task<int()>",
        "std::thread",
        "std::jthread",
        "std::stop_token",
        "std::unique_lock<std::mutex>",
        "std::shared_lock<std::shared_mutex>",
        "std::lock_guard<std::mutex>",
        "std::coroutine_handle<>",
        "morsel::Morsel",
        "morsel::Pool",
        "morsel::Update",
        "std::optional<morsel::Morsel>",
    ),
    "it gives them none": (
        "std::optional<morsel::string>",
        "std::array<morsel::string, 2>",
        "std::variant<int, morsel::string>",
        "morsel::map<int, std::optional<morsel::string>>",
        "std::deque<std::array<morsel::string, 2>, "
        "morsel::Allocator<std::array<morsel::string, 2>>>",
        "std::optional<std::pair<int, morsel::vector<int>>>",
        "std::pair<int, std::array<Person, 2>>",
        "std::pair<int, morsel::string[2]>",
        "std::tuple<std::pair<int, morsel::string>, int>",
        "morsel::vector<Maybe>",
        "Entry",
        "std::vector<morsel::string, Malloc<morsel::string>>",
        "std::optional<std::stack<int, morsel::deque<int>>>",
    ),
    "T is an array": ("int[4]", "morsel::string[2]"),
}
TAKEN = (
    "int", "const int", "int*", "Shape*", "std::string_view", "std::span<int>", "const char*",
    "Point", "int Point::*", "std::pair<int, double>", "std::optional<int>",
    "std::array<std::pair<int, int>, 2>", "std::variant<int, double>", "std::atomic<int>",
    "std::reference_wrapper<int>*", "std::mutex", "morsel::string", "const morsel::string",
    "std::pair<int, morsel::string>", "std::tuple<int, morsel::string, std::tuple<morsel::string>>",
    "std::pair<int, std::pair<int, morsel::string>>", "Person", "morsel::vector<Person>",
    "morsel::map<int, morsel::vector<morsel::string>>", "Tree", "morsel::vector<bool>",
    "morsel::set<int, decltype([](int a, int b) { return a < b; })>",
    "std::stack<morsel::string, morsel::deque<morsel::string>>",
    "std::optional<std::vector<int, morsel::Allocator<int>>>",
    "morsel::list<morsel::vector<int>::iterator>", "Allowed", "std::mt19937", "std::bitset<9>",
    "std::chrono::system_clock::time_point", "std::complex<double>", "void*",
)

_AT = re.compile(r"types\.cc:(\d+):\d+:")
_ERROR = re.compile(r"error: (.*)")


def errors(folder, flags, lines):
    """Compiles the lines of C++, and returns the errors of each."""
    source = folder / "types.cc"
    source.write_text("#line 1000000\n" + PREAMBLE + "#line 1\n" + "\n".join(lines) + "\n")
    command = ["g++", "-std=c++20", "-fsyntax-only", *flags, source]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [[] for _ in lines]
    at = None
    for told in ran.stderr.splitlines():
        place = _AT.search(told)
        if place and int(place.group(1)) <= len(lines):
            at = int(place.group(1)) - 1
        error = _ERROR.search(told)
        if error:
            found[at].append(error.group(1))
    return found


def made(of_type):
    """A function that makes, finds, names and destroys objects of the type."""
    return (
        f"void f(morsel::Morsel& m, std::type_identity<{of_type}> type) {{ "
        "using T = decltype(type)::type; m.destroy(m.find_or_make<T>(\"r\")); "
        "m.destroy(m.make<T>()); (void)m.set_root(\"r\", m.root<T>(\"s\")); }"
    )


def found(of_type):
    """A function that looks for an object of the type."""
    return (
        f"auto f(morsel::Morsel& m, std::type_identity<{of_type}>) "
        f"{{ return m.root<{of_type}>(\"r\"); }}"
    )


def allocated(of_type):
    """A function that allocates for elements which have the type in them."""
    pair = f"std::pair<{of_type}, char>"
    return f"auto f(morsel::Allocator<{pair}> a) {{ return a.allocate(1); }}"


def constructed(of_type):
    """A function that makes a container of elements of the type."""
    return f"void f(std::deque<{of_type}, morsel::Allocator<{of_type}>>& d) {{ d.emplace_back(); }}"


def with_layout(number):
    """A type of whose layout the number is said."""
    return f"struct T{abs(hash(number))} {{}}; MORSEL_LAYOUT(T{abs(hash(number))}, {number});"
