#include "tests/trouble/documented_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
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

// The text without what stands in parentheses. Those of a function's name are part of it.
std::string Outside(std::string text) {
  for (size_t at; (at = text.find("()")) != std::string::npos;) text.erase(at, 2);
  std::string outside;
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : 0;
    if (depth == 0) outside += c;
    depth -= c == ')' ? 1 : 0;
  }
  return outside;
}

Errors ErrorsIn(const std::string& comment) {
  Errors errors;
  const size_t begin = comment.find("* Errors ");
  if (begin == std::string::npos) return errors;
  const size_t end = comment.find("* Cost", begin);
  for (const std::string& word : WordsOf(Outside(comment.substr(begin, end - begin)))) {
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

std::map<std::string, std::set<morsel_code>> reached;

// What it would take more for than a process in a sandbox has, and what is held against it instead.
struct Elsewhere {
  const char* call;
  morsel_code code;
  const char* where;
};
constexpr char kADevice[] = "needs a device-dax device: tests/vm";
constexpr char kTheHost[] = "changes /var/lib of the host: morsel/registry has the parts";
constexpr Elsewhere kElsewhere[] = {
    {"morsel_addresses", MORSEL_VERSION, "morsel/registry/address_registry_test"},
    {"morsel_begin", MORSEL_NO_MEMORY, "tests/trouble/memory_test"},
    {"morsel_count_huge", MORSEL_PERMISSION, "morsel/carved/carved_pool_permission_test"},
    {"morsel_count_huge", MORSEL_IO, "needs a medium that fails: tests/vm"},
    {"morsel_for_each_block", MORSEL_NO_MEMORY, "tests/trouble/memory_test"},
    {"morsel_find_unreached", MORSEL_NO_MEMORY, "tests/trouble/memory_test"},
    {"morsel_format", MORSEL_EXISTS, kADevice},
    {"morsel_format", MORSEL_BUSY, kADevice},
    {"morsel_format", MORSEL_PERMISSION, kADevice},
    {"morsel_format", MORSEL_IO, kADevice},
    {"morsel_format", MORSEL_UNSUPPORTED, kADevice},
    {"morsel_format", MORSEL_NO_MEMORY, kADevice},
    {"morsel_share_addresses", MORSEL_NO_SPACE, kTheHost},
    {"morsel_share_addresses", MORSEL_CORRUPT, kTheHost},
    {"morsel_share_addresses", MORSEL_IO, kTheHost},
    {"morsel_share_addresses", MORSEL_ADDRESS_EXHAUSTED, kTheHost},
    {"morsel_stat", MORSEL_NO_MEMORY, "tests/trouble/memory_test"},
};

bool IsElsewhere(const std::string& call, morsel_code code) {
  return std::any_of(std::begin(kElsewhere), std::end(kElsewhere),
                     [&](const Elsewhere& one) { return one.call == call && one.code == code; });
}

// Of a run of all tests.
class EachPairIsReached : public testing::Environment {
 public:
  void TearDown() override {
    if (testing::FLAGS_gtest_filter != "*") return;
    for (const auto& [call, codes] : DocumentedCodes()) {
      for (const morsel_code code : codes) {
        EXPECT_NE(reached[call].contains(code), IsElsewhere(call, code))
            << call << " is documented to answer " << morsel_code_name(code)
            << ", and no test has it do so, or it does not belong into the table any more";
      }
    }
  }
};
testing::Environment* const each_pair_is_reached =
    testing::AddGlobalTestEnvironment(new EachPairIsReached);

}  // namespace

void NoteReached(const std::string& call, morsel_code code) { reached[call].insert(code); }

std::map<std::string, std::set<morsel_code>> DocumentedCodes() {
  std::map<std::string, Errors> all;
  for (const char* const header : {"morsel/images.h", "morsel/morsel.h", "morsel/rebase.h",
                                   "morsel/roots.h", "morsel/tools.h", "morsel/updates.h"}) {
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
