#include "examples/pkggraph/stanza.h"

#include <algorithm>

#include "examples/pkggraph/parse_error.h"

namespace pkggraph {
namespace {

// Not those of <cctype>, which ask the locale.
constexpr std::string_view kBlanks = " \t\r\n";

char Lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return Lower(x) == Lower(y); });
}

bool IsFieldName(std::string_view name) {
  return !name.empty() && name[0] != '-' && name[0] != '#' &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return text.substr(0, 0);
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

const Field* FindField(const std::vector<Field>& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (SameName(field.name, name)) return &field;
  }
  return nullptr;
}

const std::vector<Field>& StanzaReader::Next() {
  fields_.clear();
  while (offset_ < text_.size()) {
    const std::string_view line = TakeLine();
    if (Trimmed(line).empty()) {
      if (!fields_.empty()) break;
    } else if (line[0] == ' ' || line[0] == '\t') {
      ContinueField(line);
    } else {
      BeginField(line);
    }
  }
  return fields_;
}

std::string_view StanzaReader::TakeLine() {
  const size_t end = std::min(text_.find('\n', offset_), text_.size());
  const std::string_view line = text_.substr(offset_, end - offset_);
  offset_ = std::min(end + 1, text_.size());
  ++line_;
  if (line.find('\0') != line.npos) {
    throw ParseError(line_,
                     "a zero byte, so this is no text; a compressed index must be unpacked first");
  }
  return line;
}

void StanzaReader::BeginField(std::string_view line) {
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, std::min(colon, line.size()));
  if (colon == line.npos || !IsFieldName(name)) {
    throw ParseError(line_, "expected \"Field: value\", found " + Quoted(Trimmed(line)));
  }
  if (const Field* first = FindField(fields_, name)) {
    throw ParseError(line_, "the field " + Quoted(name) + " stands in line " +
                                std::to_string(first->line) + " of this stanza already");
  }
  fields_.push_back({name, Trimmed(line.substr(colon + 1)), line_});
}

void StanzaReader::ContinueField(std::string_view line) {
  if (fields_.empty()) {
    throw ParseError(line_,
                     "a line that begins with a blank continues a field, but this one "
                     "begins a stanza: " +
                         Quoted(Trimmed(line)));
  }
  // An empty value is a view of the text too, so the folded value begins where it does.
  std::string_view& value = fields_.back().value;
  value = {value.data(), static_cast<size_t>(line.data() + line.size() - value.data())};
  value = value.substr(0, value.find_last_not_of(kBlanks) + 1);
}

}  // namespace pkggraph
