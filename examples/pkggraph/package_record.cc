#include "examples/pkggraph/package_record.h"

#include <charconv>
#include <string>

#include "examples/pkggraph/parse_error.h"

namespace pkggraph {
namespace {

const Field& Required(const std::vector<Field>& stanza, std::string_view name) {
  const Field* const field = FindField(stanza, name);
  if (field != nullptr && !field->value.empty()) return *field;
  const Field* const package = FindField(stanza, "Package");
  const std::string of = package == nullptr ? "" : " of package " + Quoted(package->value);
  throw ParseError(stanza.front().line,
                   "the stanza" + of + " that begins here has no " + std::string(name));
}

std::string_view Optional(const std::vector<Field>& stanza, std::string_view name) {
  const Field* const field = FindField(stanza, name);
  return field == nullptr ? std::string_view() : field->value;
}

// "want flag state": what apt prints has no status, all of it can be had.
bool IsInstalledOrAvailable(std::string_view status) {
  const std::string_view state = status.substr(status.find_last_of(' ') + 1);
  return state != "not-installed" && state != "config-files";
}

std::string_view FirstLine(std::string_view value) {
  return Trimmed(value.substr(0, value.find('\n')));
}

uint64_t ParseInstalledSize(const Field& field) {
  uint64_t size_kib = 0;
  const char* const end = field.value.data() + field.value.size();
  const auto [stop, error] = std::from_chars(field.value.data(), end, size_kib);
  if (error != std::errc() || stop != end) {
    throw ParseError(field.line,
                     "Installed-Size must be a number of KiB, not " + Quoted(field.value));
  }
  return size_kib;
}

void AppendRelations(EdgeKind kind, const std::vector<Field>& stanza,
                     std::vector<Relation>& relations) {
  const Field* const field = FindField(stanza, EdgeKindName(kind));
  if (field == nullptr) return;
  const uint32_t clause = relations.empty() ? 0 : relations.back().clause + 1;
  // The value may begin below its name.
  ParseRelations(kind, field->value, field->line, clause, relations);
}

}  // namespace

std::optional<PackageRecord> MakeRecord(const std::vector<Field>& stanza) {
  const Field& name = Required(stanza, "Package");
  if (!IsPackageName(name.value)) {
    throw ParseError(name.line, Quoted(name.value) + " cannot be a package's name");
  }
  if (!IsInstalledOrAvailable(Optional(stanza, "Status"))) return std::nullopt;

  PackageRecord record;
  record.name = name.value;
  const Field& version = Required(stanza, "Version");
  if (!IsVersion(version.value)) {
    throw ParseError(version.line, Quoted(version.value) + " cannot be a version");
  }
  record.version = version.value;
  const Field& architecture = Required(stanza, "Architecture");
  if (!IsPackageName(architecture.value)) {
    throw ParseError(architecture.line,
                     Quoted(architecture.value) + " cannot be an architecture's name");
  }
  record.architecture = architecture.value;
  record.section = FirstLine(Optional(stanza, "Section"));
  record.summary = FirstLine(Optional(stanza, "Description"));
  if (const Field* const size = FindField(stanza, "Installed-Size")) {
    record.installed_size_kib = ParseInstalledSize(*size);
  }
  AppendRelations(EdgeKind::kProvides, stanza, record.relations);
  AppendRelations(EdgeKind::kPreDepends, stanza, record.relations);
  AppendRelations(EdgeKind::kDepends, stanza, record.relations);
  return record;
}

}  // namespace pkggraph
