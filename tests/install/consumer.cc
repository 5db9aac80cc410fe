// A program outside the tree. The first run leaves texts in the pool that the
// argument names, the second finds them.
#include <cstdio>
#include <memory_resource>
#include <morsel/morsel.hpp>
#include <string>
#include <vector>

using Text = std::basic_string<char, std::char_traits<char>, morsel::Allocator<char>>;
using Texts = std::vector<Text, morsel::Allocator<Text>>;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto pool = morsel::Pool::open(argv[1], {.flags = MORSEL_CREATE});
  if (!pool) return std::fprintf(stderr, "pool: %s\n", morsel::last_error()), 1;
  auto morsel = morsel::Morsel::open(*pool, "texts", {.flags = MORSEL_CREATE});
  if (!morsel) return std::fprintf(stderr, "morsel: %s\n", morsel::last_error()), 1;

  // The string goes through the library's own virtual functions, which must be exported.
  if (auto* const name = morsel->root<std::pmr::string>("name")) {
    const auto& texts = *morsel->root<Texts>("texts");
    std::printf("found %s %s\n", texts.at(1).c_str(), name->c_str());
  } else {
    auto* const made = morsel->make<std::pmr::string>("a name that is too long to be in place",
                                                      morsel->resource());
    auto* const texts = morsel->make<Texts>(morsel::Allocator<Text>(*morsel));
    for (const char* text : {"good", "morning"}) {
      texts->emplace_back(text, morsel::Allocator<char>(*morsel));
    }
    if (!morsel->set_root("name", made).ok() || !morsel->set_root("texts", texts).ok()) return 1;
    std::printf("wrote %s %s\n", texts->at(1).c_str(), made->c_str());
  }

  if (!morsel->close().ok()) return std::fprintf(stderr, "close: %s\n", morsel::last_error()), 1;
  return pool->close().ok() ? 0 : 1;
}
