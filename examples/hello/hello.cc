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

static int Fail() { return std::fprintf(stderr, "hello: %s\n", morsel::last_error()), 1; }

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: hello DIR\n"), 2;
  auto pool = morsel::Pool::open(argv[1], {.flags = MORSEL_CREATE});
  if (!pool) return Fail();
  auto morsel = morsel::Morsel::open(*pool, "greetings", {.flags = MORSEL_CREATE});
  if (!morsel) return Fail();

  auto* greetings = morsel->root<Greetings>("greetings");
  if (greetings == nullptr) {
    greetings = morsel->make<Greetings>(*morsel);
    if (greetings == nullptr || !morsel->set_root("greetings", greetings).ok()) return Fail();
  }
  const std::string text = "hello, run " + std::to_string(++greetings->runs);
  greetings->texts.emplace_back(text, greetings->texts.get_allocator());
  for (const String& each : greetings->texts) std::printf("%p  %s\n", &each, each.c_str());
  return morsel->close().ok() ? 0 : Fail();
}
