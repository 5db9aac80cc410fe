#include "tests/crash/failure.h"

#include <unistd.h>

#include <cstring>

namespace morsel::crash {

void Fail(Failure& failure, const std::string& message) {
  std::strncpy(failure.text, message.c_str(), sizeof failure.text - 1);
  _exit(2);
}

void Must(Failure& failure, const char* call, morsel_code code) {
  if (code != MORSEL_OK) Fail(failure, Message(call, code));
}

std::string Message(const char* call, morsel_code code) {
  return std::string(call) + ": " + morsel_code_name(code) + ": " + morsel_last_error();
}

}  // namespace morsel::crash
