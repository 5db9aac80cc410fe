#include "sim/disk/promises.h"

#include "base/checksum.h"

namespace morsel::sim {

void Promises::Begin(const std::string& subject, const std::string& state) {
  allowed_.try_emplace(subject, std::set<std::string>{kAbsent}).first->second.insert(state);
}

void Promises::Settle(const std::string& subject, const std::string& state) {
  allowed_[subject] = {state};
}

void Promises::Exclude(const std::string& subject, const std::string& state) {
  allowed_[subject].erase(state);
}

bool Promises::Allows(const std::string& subject, const std::string& state) const {
  const auto found = allowed_.find(subject);
  if (found == allowed_.end()) return state == kAbsent;
  return found->second.count(state) != 0 || (state != kAbsent && found->second.count(kNew) != 0);
}

std::string Promises::InWords() const {
  std::string words;
  for (const auto& [subject, states] : allowed_) {
    words += "'" + subject + "'";
    const char* before = " ";
    for (const std::string& state : states) {
      words += before + state;
      before = " or ";
    }
    words += "; ";
  }
  return words;
}

uint64_t Promises::Hash() const {
  const std::string words = InWords();
  return Checksum64(words.data(), words.size());
}

}  // namespace morsel::sim
