// How commands print: tables and facts for people, one JSON value for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace morsel::cli {

/// Returns `text` with control characters, which could move a terminal's cursor, written as \xNN.
std::string Printable(const std::string& text);

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

/// Prints to standard output.
/// Throws  Failure: standard output cannot be written, e.g. on a full disk. (A closed pipe ends the
///         process by SIGPIPE.)
void Print(const std::string& text);
/// Prints the value, indented, and a newline. Bytes that are not UTF-8 are replaced.
void Print(const nlohmann::ordered_json& json);

/// Prints "morselctl: <message>" to standard error.
void PrintError(const std::string& message);
/// Prints {"error": {"code": ..., "message": ...}} to standard error.
void PrintErrorJson(const char* code, const std::string& message);

}  // namespace morsel::cli
