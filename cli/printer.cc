#include "cli/printer.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "cli/failure.h"
#include "cli/output.h"

namespace morsel::cli {
namespace {

nlohmann::ordered_json JsonOf(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kTruth:
      return value.truth();
    case Value::Kind::kNumber:
      return value.number();
    case Value::Kind::kText:
      return InUtf8(value.text());
    case Value::Kind::kList: {
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const Value& one : value.values()) list.push_back(JsonOf(one));
      return list;
    }
    case Value::Kind::kNamed:
      break;
  }
  nlohmann::ordered_json named = nlohmann::ordered_json::object();
  for (size_t i = 0; i < value.values().size(); ++i) {
    named[value.names()[i]] = JsonOf(value.values()[i]);
  }
  return named;
}

std::string Dumped(const Value& value) {
  return JsonOf(value).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

[[noreturn]] void ThrowThatOutputFailed(int error, bool is_done) {
  const bool is_full = error == ENOSPC || error == EDQUOT;
  const bool is_too_large = error == EFBIG;
  std::string message = std::string("standard output cannot be written: ") + std::strerror(error);
  if (is_done) {
    message = "it is done, and need not be tried again, but " + message;
  } else if (is_full) {
    message += "; make room there, and try again";
  }
  if (is_too_large && !is_done) message += "; raise the file size limit (ulimit -f)";
  throw Failure{is_full || is_too_large ? MORSEL_NO_SPACE : MORSEL_IO, message, is_done};
}

void Write(const std::string& text, bool is_done) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) ThrowThatOutputFailed(errno, is_done);
}

void Warn(const std::string& message) {
  std::fprintf(stderr, "morselctl: %s\n", Printable(message).c_str());
}

}  // namespace

void Printer::Print(const Value& value, const std::string& text) const {
  Write(json_ ? Dumped(value) : text, /*is_done=*/false);
}

void Printer::PrintDone(const Value& value, const std::string& text) const {
  Write(json_ ? Dumped(value) : text, /*is_done=*/true);
}

void Printer::PrintNote(const std::string& text) const {
  if (!json_) Write(text, /*is_done=*/true);
}

void Printer::PrintWarning(const std::string& message) const {
  if (!json_) Warn(message);
}

void Printer::PrintFailure(const Failure& failure) const {
  if (!json_) return Warn(failure.message);
  Value error;
  error.Set("code", morsel_code_name(failure.code)).Set("message", failure.message);
  if (failure.is_done) error.Set("done", true);
  std::fputs(Dumped(Value().Set("error", error)).c_str(), stderr);
}

}  // namespace morsel::cli
