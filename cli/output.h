// The texts that commands print for people: tables, facts and names.
#pragma once

#include <string>
#include <vector>

namespace morsel::cli {

/// Returns `text` with what could change a terminal or the order of its text (control characters,
/// those of C1 in UTF-8 too, marks of direction) and what is no UTF-8 written as \xHH, byte by
/// byte.
std::string Printable(const std::string& text);

/// Returns the text with what is no UTF-8 written as \xHH.
std::string InUtf8(const std::string& text);

/// How a name is written, so that each is written differently: as Printable() writes it, and a
/// backslash that would read as one of those as \x5c. NameOfSpelling() returns the name again.
std::string SpellingOf(const std::string& name);
std::string NameOfSpelling(const std::string& spelling);

/// Breaks the lines of `text` that are longer at spaces. What follows begins where the last column
/// of the line did, which two spaces separate, or where the line did.
std::string Wrapped(const std::string& text, size_t columns);

/// A table with a header line.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// Adds a row, with as many cells as there are columns.
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// Returns the lines, with two spaces between columns and none at the end of a line.
  std::string Text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Lines of the form "name:  value", with all values in one column.
class Facts {
 public:
  void Add(std::string name, std::string value) {
    facts_.push_back({std::move(name), std::move(value)});
  }
  std::string Text() const;

 private:
  struct Fact {
    std::string name;
    std::string value;
  };
  std::vector<Fact> facts_;
};

/// A callback of the library: appends the message to `messages`, a std::vector<std::string>.
void AddMessage(const char* message, void* messages);

/// Returns the messages, each a line of printable text.
std::string LinesOf(const std::vector<std::string>& messages);

/// Reads a line of standard input, without its end.
std::string ReadLine();

}  // namespace morsel::cli
