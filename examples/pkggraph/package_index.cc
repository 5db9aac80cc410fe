#include "examples/pkggraph/package_index.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "examples/pkggraph/failure.h"
#include "examples/pkggraph/parse_error.h"
#include "examples/pkggraph/progress.h"
#include "examples/pkggraph/stanza.h"

namespace pkggraph {
namespace {

constexpr const char* kAptCommand = "apt-cache dumpavail";
constexpr const char* kDpkgStatus = "/var/lib/dpkg/status";

[[noreturn]] void CannotRead(const std::string& path, int error) {
  throw Failure(ExitCode::kBadIndex, "cannot read the package index " + path + ": " +
                                         std::strerror(error) + "; --index FILE names another one");
}

// Until the end, or an error that ferror() tells.
std::string ReadStream(std::FILE* stream, uint64_t size_bytes) {
  constexpr size_t kStep = size_t{1} << 20;
  Progress progress(size_bytes == 0 ? "reading the package index, bytes"
                                    : "reading the package index");
  std::string text;
  for (size_t length = 0;;) {
    text.resize(length + kStep);
    const size_t count = std::fread(text.data() + length, 1, kStep, stream);
    length += count;
    text.resize(length);
    progress.Update(length, size_bytes);
    if (count < kStep) return text;
  }
}

std::string ReadFile(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "r");
  if (file == nullptr) CannotRead(path, errno);
  struct stat status = {};
  const bool is_sized = fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode);
  std::string text = ReadStream(file, is_sized ? static_cast<uint64_t>(status.st_size) : 0);
  const int error = std::ferror(file) ? errno : 0;
  std::fclose(file);
  if (error != 0) CannotRead(path, error);
  return text;
}

// Nothing where there is no apt, where it fails and where it has no lists.
std::optional<std::string> ReadFromApt() {
  // A copy of this program's unwritten output must not be in the child's hands.
  std::fflush(nullptr);
  std::FILE* const pipe = popen((std::string(kAptCommand) + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string text = ReadStream(pipe, 0);
  const bool is_whole = !std::ferror(pipe);
  if (pclose(pipe) != 0 || !is_whole || Trimmed(text).empty()) return std::nullopt;
  return text;
}

}  // namespace

IndexText ReadIndexText(const std::string& path) {
  if (!path.empty()) return {path, ReadFile(path)};
  if (std::optional<std::string> text = ReadFromApt()) return {kAptCommand, *std::move(text)};
  return {kDpkgStatus, ReadFile(kDpkgStatus)};
}

std::vector<PackageRecord> ParseIndex(const IndexText& index) {
  Progress progress("parsing the package index");
  std::vector<PackageRecord> records;
  try {
    StanzaReader reader(index.text);
    for (const auto* stanza = &reader.Next(); !stanza->empty(); stanza = &reader.Next()) {
      if (std::optional<PackageRecord> record = MakeRecord(*stanza)) {
        records.push_back(*std::move(record));
      }
      progress.Update(reader.offset(), index.text.size());
    }
  } catch (const ParseError& error) {
    throw Failure(ExitCode::kBadIndex,
                  "the package index " + index.source + " is malformed, " + error.what());
  }
  if (records.empty()) {
    throw Failure(ExitCode::kBadIndex, "the package index " + index.source +
                                           " has no package in it; --index FILE names another one");
  }
  return records;
}

}  // namespace pkggraph
