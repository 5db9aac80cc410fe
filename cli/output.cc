#include "cli/output.h"

#include <algorithm>
#include <cstdio>
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

std::string Printable(const std::string& text) {
  std::string printable;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      printable += c;
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    printable += escaped;
  }
  return printable;
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
