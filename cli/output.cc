#include "cli/output.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <optional>
#include <sstream>

namespace morsel::cli {
namespace {

// Returns how many columns of a terminal the text takes, if every character takes one.
size_t WidthOf(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // not a continuation byte of UTF-8
  }));
}

std::string Padded(const std::string& text, size_t width, Table::Align align) {
  const std::string spaces(width - std::min(width, WidthOf(text)), ' ');
  return align == Table::Align::kLeft ? text + spaces : spaces + text;
}

// Returns where the last column of the line begins.
size_t LastColumnOf(const std::string& line) {
  size_t begin = std::min(line.find_first_not_of(' '), line.size());
  for (size_t gap = line.find("  ", begin); gap != std::string::npos;
       gap = line.find("  ", begin)) {
    const size_t next = line.find_first_not_of(' ', gap);
    if (next == std::string::npos) break;
    begin = next;
  }
  return begin;
}

// A character at the beginning of a text.
struct Character {
  uint32_t code = 0;
  size_t bytes = 0;  ///< 0: what is there is no UTF-8
};

Character CharacterAt(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  if (byte(0) < 0x80) return {byte(0), 1};
  const size_t bytes = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : byte(0) >= 0xc2 ? 2 : 0;
  if (bytes == 0 || byte(0) > 0xf4 || text.size() - at < bytes) return {};
  uint32_t code = byte(0) & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || is_surrogate) return {};
  return {code, bytes};
}

// What a terminal does not show as itself and where it stands: control characters, those that turn
// the direction of text, those that nobody sees, and spaces that are not U+0020.
struct Range {
  uint32_t first, last;
};
constexpr Range kUnseen[] = {
    {0x00, 0x1f},     {0x7f, 0xa0},       {0xad, 0xad},       {0x34f, 0x34f},      {0x61c, 0x61c},
    {0x115f, 0x1160}, {0x1680, 0x1680},   {0x17b4, 0x17b5},   {0x180b, 0x180f},    {0x2000, 0x200f},
    {0x2028, 0x202f}, {0x205f, 0x206f},   {0x2800, 0x2800},   {0x3000, 0x3000},    {0x3164, 0x3164},
    {0xe000, 0xf8ff}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},    {0xfff0, 0xfffc},
    {0xfffe, 0xffff}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff},
};

bool IsHarmless(uint32_t code) {
  return std::none_of(std::begin(kUnseen), std::end(kUnseen), [code](const Range& range) {
    return code >= range.first && code <= range.last;
  });
}

std::string Escaped(const std::string& text, bool (*may_stay)(uint32_t code)) {
  std::string escaped;
  for (size_t at = 0; at < text.size();) {
    const Character character = CharacterAt(text, at);
    const size_t bytes = std::max(character.bytes, size_t{1});
    if (character.bytes != 0 && may_stay(character.code)) {
      escaped += text.substr(at, bytes);
    } else {
      for (size_t i = at; i < at + bytes; ++i) {
        char byte[8];
        std::snprintf(byte, sizeof byte, "\\x%02x", static_cast<unsigned char>(text[i]));
        escaped += byte;
      }
    }
    at += bytes;
  }
  return escaped;
}

// The byte that \xHH at `at` stands for; nothing: none is there.
std::optional<char> EscapedByteAt(const std::string& text, size_t at) {
  unsigned byte = 0;
  for (const size_t i : {2, 3}) {
    if (at + i >= text.size() || std::isxdigit(static_cast<unsigned char>(text[at + i])) == 0) {
      return std::nullopt;
    }
  }
  if (text[at] != '\\' || text[at + 1] != 'x') return std::nullopt;
  std::sscanf(text.c_str() + at + 2, "%2x", &byte);
  return static_cast<char>(byte);
}

}  // namespace

std::string Wrapped(const std::string& text, size_t columns) {
  std::string wrapped;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t indent = LastColumnOf(line);
    while (line.size() > columns) {
      const size_t space = line.rfind(' ', columns);
      if (space == std::string::npos || space <= indent) break;  // a word that is too long
      wrapped += line.substr(0, space) + "\n";
      line = std::string(indent, ' ') + line.substr(space + 1);
    }
    wrapped += line + "\n";
  }
  return wrapped;
}

std::string Printable(const std::string& text) { return Escaped(text, IsHarmless); }

std::string InUtf8(const std::string& text) {
  return Escaped(text, [](uint32_t) { return true; });
}

std::string SpellingOf(const std::string& name) {
  std::string escaped;
  for (size_t i = 0; i < name.size(); ++i) {
    escaped += EscapedByteAt(name, i) ? "\\x5c" : std::string(1, name[i]);
  }
  return Printable(escaped);
}

std::string NameOfSpelling(const std::string& spelling) {
  std::string name;
  for (size_t i = 0; i < spelling.size();) {
    const std::optional<char> byte = EscapedByteAt(spelling, i);
    name += byte.value_or(spelling[i]);
    i += byte ? 4 : 1;
  }
  return name;
}

std::string Table::Text() const {
  std::vector<size_t> widths;
  std::vector<std::string> headers;
  for (size_t i = 0; i < columns_.size(); ++i) {
    headers.push_back(columns_[i].header);
    widths.push_back(WidthOf(columns_[i].header));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], WidthOf(row[i]));
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      line += Padded(cells[i], widths[i], columns_[i].align) + "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add(headers);
  for (const auto& row : rows_) add(row);
  return text;
}

std::string Facts::Text() const {
  size_t width = 0;
  for (const Fact& fact : facts_) width = std::max(width, WidthOf(fact.name));
  std::string text;
  for (const Fact& fact : facts_) {
    text += Padded(fact.name + ":", width + 3, Table::Align::kLeft) + fact.value + "\n";
  }
  return text;
}

void AddMessage(const char* message, void* messages) {
  static_cast<std::vector<std::string>*>(messages)->emplace_back(message);
}

std::string LinesOf(const std::vector<std::string>& messages) {
  std::string lines;
  for (const std::string& message : messages) lines += Printable(message) + "\n";
  return lines;
}

std::string ReadLine() {
  std::string line;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) {
    line += static_cast<char>(c);
  }
  return line;
}

}  // namespace morsel::cli
