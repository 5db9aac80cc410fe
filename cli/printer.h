// The one place where results and errors leave the tool.
#pragma once

#include <string>

#include "cli/failure.h"
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
  /// As Print(), of a command that has changed something: the failure says that it is done.
  void PrintDone(const Value& value, const std::string& text) const;
  /// Prints to people only, to standard output, after PrintDone().
  /// Throws  as PrintDone().
  void PrintNote(const std::string& text) const;
  /// Prints "morselctl: <message>" to people only, to standard error.
  void PrintWarning(const std::string& message) const;
  /// Prints why a command failed to standard error: "morselctl: <message>" to people, and
  /// {"error": {"code": ..., "message": ...}} to programs, with "done" if it is.
  void PrintFailure(const Failure& failure) const;

 private:
  bool json_;
};

}  // namespace morsel::cli
