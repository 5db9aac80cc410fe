// Programs that store containers of one library each in a morsel, are killed, and use them in
// another process.
//
//   FAMILY POOL make                        stores all, says "ready", and waits to be killed
//   FAMILY POOL move                        gives the morsel another address, says what is doubtful
//   FAMILY POOL use CONTAINER STATE...      reads one in each state, changes it and destroys it
//   FAMILY list                             names all containers
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <morsel/morsel.hpp>
#include <string>
#include <vector>

namespace containers {

/// That of the process. An allocator that a library makes without an argument finds it here.
inline morsel::Morsel* the_morsel = nullptr;

[[noreturn]] inline void Fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::_Exit(3);
}
inline void Expect(bool holds, const char* what) {
  if (!holds) Fail(what);
}

constexpr int kFew = 1000;

/// Negative: a number and its value lie in one word, which a move would take for an address if it
/// had the value of one.
constexpr int ValueOf(int number) { return -number; }

/// What the programs do with each kind of container. All have the numbers from 0 on.
template <class C>
void Put(C& container, int number) {
  if constexpr (requires { container.put(number); }) {
    container.put(number);
  } else if constexpr (requires { container.insert(number); }) {
    container.insert(number);
  } else if constexpr (requires { typename C::mapped_type; }) {
    container.emplace(number, ValueOf(number));
  } else if constexpr (requires { container.push_front(number); }) {
    container.push_front(number);
  } else {
    container.push_back(static_cast<typename C::value_type>(number));
  }
}

template <class C>
void Fill(C& container, int from, int to) {
  for (int number = from; number < to; ++number) Put(container, number);
}

/// Whether elements are looked for by themselves, or by their keys.
template <class C>
concept Searched = requires(const C& container) {
  container.find(0) == container.end();
};

/// Reads every element, and looks for each where one can.
template <class C>
void Check(const C& container, int count) {
  int found = 0;
  for (const auto& element : container) found += static_cast<const void*>(&element) != nullptr;
  Expect(found == count, "there are other elements than were put in");
  if constexpr (Searched<C>) {
    for (int number = 0; number < count; ++number) {
      const auto place = container.find(number);
      Expect(place != container.end(), "an element is not found");
      if constexpr (requires { place->second == ValueOf(number); }) {
        Expect(place->second == ValueOf(number), "an element is another one");
      }
    }
    Expect(container.find(-1) == container.end(), "what was not put in is found");
  }
}

/// `stored` has `count` elements.
template <class C>
void Use(C& stored, int count) {
  Check(stored, count);
  Fill(stored, count, count + kFew);
  Check(stored, count + kFew);
  if constexpr (Searched<C>) {
    for (int number = 0; number < kFew; number += 2) stored.erase(number);
  }
  stored.clear();
  Fill(stored, 0, kFew);
  Check(stored, kFew);
}

struct Container {
  std::string name;
  void (*make)(const std::string& root, const std::string& state);
  void (*use)(void* stored, const std::string& state);
};

template <class C>
C* Make() {
  C* const made = the_morsel->make<C>();
  Expect(made != nullptr, "there is no room");
  return made;
}

template <class C, C* make() = &Make<C>>
Container Of(const char* name) {
  return {
      name,
      [](const std::string& root, const std::string& state) {
        C* const made = make();
        if (state != "never filled") Fill(*made, 0, kFew);
        if (state == "cleared") made->clear();
        Expect(the_morsel->set_root(root.c_str(), made).ok(), morsel::last_error());
      },
      [](void* stored, const std::string& state) {
        C* const container = static_cast<C*>(stored);
        Use(*container, state == "filled" ? kFew : 0);
        the_morsel->destroy(container);
      },
  };
}

inline void PrintPlace(const char* what) {
  std::printf("%s, main is at %p\n", what, reinterpret_cast<void*>(&PrintPlace));
  std::fflush(stdout);
}

/// A table of pointers has to be told of: its elements are where their old addresses led.
inline void MoveAll(morsel::Pool& pool) {
  morsel_rebase_options options{};
  options.doubtful = [](const morsel_doubt* doubt, void*) { std::puts(doubt->message); };
  const auto moved = morsel::rebase(pool, "containers", options);
  Expect(static_cast<bool>(moved), morsel::last_error());
  Expect(moved->base != moved->base_before, "it was not moved");
  PrintPlace("moved");
}

inline int Run(int argc, char** argv, const std::vector<Container>& all) {
  const std::vector<std::string> states = {"filled", "never filled", "cleared"};
  if (argc == 2 && std::strcmp(argv[1], "list") == 0) {
    for (const Container& container : all) std::puts(container.name.c_str());
    return 0;
  }
  Expect(argc >= 3, "usage: FAMILY POOL make | move | use CONTAINER STATE... or FAMILY list");
  auto pool = morsel::Pool::open(argv[1], {.flags = MORSEL_CREATE});
  Expect(static_cast<bool>(pool), morsel::last_error());
  if (std::strcmp(argv[2], "move") == 0) {
    MoveAll(*pool);
    return 0;
  }
  auto m = morsel::Morsel::open(*pool, "containers", {.flags = MORSEL_CREATE});
  Expect(static_cast<bool>(m), morsel::last_error());
  the_morsel = &*m;
  if (std::strcmp(argv[2], "make") == 0) {
    for (const Container& container : all) {
      for (const std::string& state : states) container.make(container.name + ' ' + state, state);
    }
    Expect(m->checkpoint().ok(), morsel::last_error());
    const auto unreached = m->find_unreached([](const morsel_unreached&) {});
    Expect(unreached && unreached->blocks == 0, "what a root leads to is told as unreached");
    PrintPlace("ready");
    for (;;) pause();
  }
  Expect(argc >= 5, "use needs a container and its states");
  for (const Container& container : all) {
    if (container.name != argv[3]) continue;
    for (int i = 4; i < argc; ++i) {
      void* const stored = m->root((container.name + ' ' + argv[i]).c_str());
      Expect(stored != nullptr, "the root is not there");
      container.use(stored, argv[i]);
    }
    PrintPlace("used");
    // What was found is for the next one, too.
    std::_Exit(0);
  }
  Fail("there is no such container");
}

}  // namespace containers
