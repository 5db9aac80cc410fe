// What a command prints: tables for people, one JSON value for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace morsel::cli {

/// `text` with what would move a terminal's cursor as \xNN.
std::string Printable(const std::string& text);

/// Rows of equal length, the first of them the header.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as there are columns.
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// Two spaces between columns, none at a line's end.
  std::string Text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// "name:  value" lines, the values below each other.
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

/// To standard output. Throws  Failure, where it cannot be written (a full disk, not a closed
/// pipe).
void Print(const std::string& text);
/// Indented, and a newline. What is not UTF-8 is replaced.
void Print(const nlohmann::ordered_json& json);

/// "morselctl: <sentence>" to standard error.
void PrintError(const std::string& message);
/// {"error": {"code": ..., "message": ...}} to standard error.
void PrintErrorJson(const char* code, const std::string& message);

}  // namespace morsel::cli
