// The one place where results and errors leave the tool.
#pragma once

#include <string>

#include "cli/value.h"
#include "morsel/morsel.h"

namespace morsel::cli {

/// Prints for people, or JSON for programs. Names and messages from a medium must go through
/// Printable() before they are part of a text; in values and errors they may be any bytes.
class Printer {
 public:
  explicit Printer(bool json) : json_(json) {}
  /// Whether a program reads what is printed, so that nobody can be asked.
  bool json() const { return json_; }

  /// Prints the result to standard output: to programs `value`, indented, in which bytes that are
  /// not UTF-8 are replaced; to people `text`.
  /// Throws  Failure: standard output cannot be written, e.g. on a full disk. (A closed pipe ends
  ///         the process by SIGPIPE.)
  void Print(const Value& value, const std::string& text) const;
  /// Prints to people only, to standard output.
  /// Throws  as Print().
  void PrintNote(const std::string& text) const;
  /// Prints "morselctl: <message>" to people only, to standard error.
  void PrintWarning(const std::string& message) const;
  /// Prints why a command failed to standard error: "morselctl: <message>" to people, and
  /// {"error": {"code": ..., "message": ...}} to programs.
  void PrintFailure(morsel_code code, const std::string& message) const;

 private:
  bool json_;
};

}  // namespace morsel::cli
