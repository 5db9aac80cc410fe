// The outer form of a package index: stanzas of "Field: value" lines, with blank
// lines between them, as Debian's policy describes control files.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace pkggraph {

struct Field {
  std::string_view name;
  std::string_view value;  ///< Trimmed; the line breaks of a folded value are still in it.
  size_t line;             ///< Where the field begins, counted from 1.
};

/// Reads a text stanza by stanza. Nothing is copied: fields are views of the text.
class StanzaReader {
 public:
  explicit StanzaReader(std::string_view text) : text_(text) {}

  /// The fields of the next stanza, valid until the next call; empty at the end of the text.
  ///
  /// Errors  throws ParseError: a line that is no field, a continuation of nothing, a field that
  ///         occurs twice, bytes that are no text.
  const std::vector<Field>& Next();

  /// How many bytes of the text have been read.
  size_t offset() const { return offset_; }

 private:
  std::string_view TakeLine();
  void BeginField(std::string_view line);
  void ContinueField(std::string_view line);

  std::string_view text_;
  size_t offset_ = 0;
  size_t line_ = 0;  // of the line that was taken last
  std::vector<Field> fields_;
};

/// The field of that name, in whatever letter case, or nullptr.
const Field* FindField(const std::vector<Field>& fields, std::string_view name);

/// Without the blanks and line breaks at both ends.
std::string_view Trimmed(std::string_view text);

}  // namespace pkggraph
