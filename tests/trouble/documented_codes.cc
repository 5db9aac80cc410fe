#include "tests/trouble/documented_codes.h"

#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <vector>

namespace morsel::trouble {
namespace {

struct Errors {
  std::set<morsel_code> codes;
  std::vector<std::string> as;  ///< other calls
};

// The words of a text: letters, digits and underscores.
std::vector<std::string> WordsOf(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  return words;
}

Errors ErrorsIn(const std::string& comment) {
  Errors errors;
  const size_t begin = comment.find("* Errors ");
  if (begin == std::string::npos) return errors;
  for (const std::string& word : WordsOf(comment.substr(begin, comment.find("* Cost", begin)))) {
    if (word.starts_with("morsel_")) errors.as.push_back(word);
    for (int code = MORSEL_NO_SPACE; code <= MORSEL_ADDRESS_EXHAUSTED; ++code) {
      const auto of = static_cast<morsel_code>(code);
      if ("MORSEL_" + word == morsel_code_name(of)) errors.codes.insert(of);
    }
  }
  return errors;
}

// The comment that a function stands under is the last one before it.
void AddErrorsOf(const char* header, std::map<std::string, Errors>& all) {
  std::ifstream file(header);
  ASSERT_TRUE(file) << header;
  constexpr char kBefore[] = "morsel_code morsel_";
  std::string comment;
  bool is_in_comment = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("/*")) {
      comment.clear();
      is_in_comment = true;
    }
    if (is_in_comment) comment += line + "\n";
    if (line.find("*/") != std::string::npos) is_in_comment = false;
    if (line.starts_with(kBefore)) all[WordsOf(line)[1]] = ErrorsIn(comment);
  }
}

}  // namespace

std::map<std::string, std::set<morsel_code>> DocumentedCodes() {
  std::map<std::string, Errors> all;
  for (const char* const header : {"morsel/images.h", "morsel/morsel.h", "morsel/rebase.h",
                                   "morsel/roots.h", "morsel/tools.h"}) {
    AddErrorsOf(header, all);
  }
  // A call is as another one that is as a third one.
  for (size_t i = 0; i < 3; ++i) {
    for (auto& [name, errors] : all) {
      for (const std::string& other : errors.as) {
        if (all.contains(other))
          errors.codes.insert(all[other].codes.begin(), all[other].codes.end());
      }
    }
  }
  std::map<std::string, std::set<morsel_code>> documented;
  for (const auto& [name, errors] : all) documented[name] = errors.codes;
  return documented;
}

}  // namespace morsel::trouble
