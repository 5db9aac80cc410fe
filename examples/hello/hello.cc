// hello DIR: a counter and a list that are there again in the next run.
#include <cstdio>
#include <list>
#include <morsel/morsel.hpp>
#include <string>

using String = std::basic_string<char, std::char_traits<char>, morsel::Allocator<char>>;

struct Greetings {
  explicit Greetings(const morsel::Morsel& morsel) : texts(morsel::Allocator<String>(morsel)) {}
  int runs = 0;
  std::list<String, morsel::Allocator<String>> texts;
};

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: hello DIR\n"), 2;
  auto pool = morsel::Pool::open(argv[1], {.flags = MORSEL_CREATE});
  if (!pool) return std::fprintf(stderr, "hello: %s\n", morsel::last_error()), 1;
  auto morsel = morsel::Morsel::open(*pool, "greetings", {.flags = MORSEL_CREATE});
  if (!morsel) return std::fprintf(stderr, "hello: %s\n", morsel::last_error()), 1;

  auto* greetings = morsel->root<Greetings>("greetings");
  if (greetings == nullptr) {
    greetings = morsel->make<Greetings>(*morsel);
    if (!morsel->set_root("greetings", greetings).ok()) return std::puts(morsel::last_error()), 1;
  }
  const std::string text = "hello, run " + std::to_string(++greetings->runs);
  greetings->texts.emplace_back(text, greetings->texts.get_allocator());
  for (const String& each : greetings->texts) std::printf("%p  %s\n", &each, each.c_str());

  if (!morsel->close().ok()) return std::fprintf(stderr, "hello: %s\n", morsel::last_error()), 1;
}
