#include "morsel/roots/short_type_name.h"

#include <optional>
#include <vector>

namespace morsel {
namespace {

bool IsNameOf(std::string_view type, std::string_view of_template) {
  return type.starts_with(of_template) && type.substr(of_template.size()).starts_with('<');
}

std::string Of(std::string_view of_template, std::string_view argument) {
  return std::string(of_template) + "<" + std::string(argument) + ">";
}

// Whether a template of the standard library's has the last argument by default.
bool IsDefault(const std::vector<std::string>& arguments) {
  const std::string& last = arguments.back();
  const std::string& first = arguments.front();
  if (arguments.size() < 2) return false;
  return IsNameOf(last, "std::allocator") || last == Of("std::less", first) ||
         last == Of("std::hash", first) || last == Of("std::equal_to", first) ||
         last == Of("std::char_traits", first);
}

// Reads a name from its begin to its end.
class Reader {
 public:
  explicit Reader(std::string_view name) : rest_(name) {}

  std::optional<std::string> Name() {
    std::optional<std::string> name = UntilEndOfArgument();
    return rest_.empty() ? name : std::nullopt;
  }

 private:
  // Up to a comma or a '>' that is not within brackets of this name's own.
  std::optional<std::string> UntilEndOfArgument() {
    std::string name;
    int round = 0;
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (round == 0 && (c == ',' || c == '>')) break;
      rest_.remove_prefix(1);
      round += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (c != '<') {
        name += c;
      } else if (!ReadArguments(name)) {
        return std::nullopt;
      }
    }
    while (name.ends_with(' ')) name.pop_back();
    return name;
  }

  // Reads the arguments of the template that `name` ends with, and appends those that it needs.
  bool ReadArguments(std::string& name) {
    std::vector<std::string> arguments;
    for (char end = ','; end != '>';) {
      while (rest_.starts_with(' ')) rest_.remove_prefix(1);
      std::optional<std::string> argument = UntilEndOfArgument();
      if (!argument || rest_.empty()) return false;
      arguments.push_back(std::move(*argument));
      end = rest_.front();
      rest_.remove_prefix(1);
    }
    const size_t begin = BeginOfTemplate(name);
    const bool is_of_standard = std::string_view(name).substr(begin).starts_with("std::");
    if (is_of_standard && IsNameOf(arguments.back(), "std::pmr::polymorphic_allocator") &&
        arguments.size() > 1) {
      arguments.pop_back();
      name.insert(begin + 5, "pmr::");
    }
    while (is_of_standard && IsDefault(arguments)) arguments.pop_back();
    Append(name, begin, arguments);
    return true;
  }

  static size_t BeginOfTemplate(const std::string& name) {
    const size_t before = name.find_last_of(" (,<*&");
    return before == std::string::npos ? 0 : before + 1;
  }

  static void Append(std::string& name, size_t begin, const std::vector<std::string>& arguments) {
    for (const std::string_view place : {"std::", "std::pmr::"}) {
      const bool is_string =
          std::string_view(name).substr(begin) == std::string(place) + "basic_string";
      if (!is_string || arguments != std::vector<std::string>{"char"}) continue;
      name.replace(begin, std::string::npos, std::string(place) + "string");
      return;
    }
    for (size_t i = 0; i < arguments.size(); ++i) name += (i == 0 ? "<" : ", ") + arguments[i];
    name += '>';
  }

  std::string_view rest_;
};

}  // namespace

std::string ShortTypeName(std::string_view name) {
  // Inline namespaces of libstdc++ and libc++.
  std::string plain(name);
  for (const std::string_view hidden : {"::__cxx11", "::__1"}) {
    for (size_t at = plain.find(hidden); at != std::string::npos; at = plain.find(hidden, at)) {
      plain.erase(at, hidden.size());
    }
  }
  return Reader(plain).Name().value_or(std::string(name));
}

}  // namespace morsel
