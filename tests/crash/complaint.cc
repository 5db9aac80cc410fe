#include "tests/crash/complaint.h"

#include <unistd.h>

#include <cstring>

namespace morsel::crash {

void GiveUp(Complaint& complaint, const std::string& sentence) {
  std::strncpy(complaint.text, sentence.c_str(), sizeof complaint.text - 1);
  _exit(2);
}

void Must(Complaint& complaint, const char* call, morsel_code code) {
  if (code != MORSEL_OK) GiveUp(complaint, Sentence(call, code));
}

std::string Sentence(const char* call, morsel_code code) {
  return std::string(call) + ": " + morsel_code_name(code) + ": " + morsel_last_error();
}

}  // namespace morsel::crash
