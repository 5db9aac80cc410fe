// What is wrong with a package index, and in which line.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace pkggraph {

class ParseError : public std::runtime_error {
 public:
  /// Lines are counted from 1.
  ParseError(size_t line, const std::string& sentence)
      : std::runtime_error("line " + std::to_string(line) + ": " + sentence), line_(line) {}
  size_t line() const { return line_; }

 private:
  size_t line_;
};

/// `text` as it may stand in a sentence: quoted, printable, and not longer than a line.
std::string Quoted(std::string_view text);

}  // namespace pkggraph
