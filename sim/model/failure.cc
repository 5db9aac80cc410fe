#include "sim/model/failure.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "sim/model/source_lines.h"

namespace morsel::sim {
namespace {

constexpr size_t kLostTold = 20;
constexpr size_t kLinesTold = 4;

/// All source lines of a failure, asked for at once.
class Callers {
 public:
  explicit Callers(const Failure& failure) {
    for (const Crash& crash : failure.crashes) {
      Add(crash.newest);
      for (const Deed& lost : crash.lost) Add(lost);
    }
    std::vector<const void*> addresses;
    for (const auto& [address, line] : lines_) addresses.push_back(address);
    const std::vector<std::string> found = SourceLines(addresses);
    for (size_t i = 0; i < addresses.size(); ++i) lines_[addresses[i]] = found[i];
  }

  /// "writing 4096 bytes at 0 of 'a', os/file/file.cc:64 < image/format/superblock.cc:158 < ..."
  std::string Of(const Deed& deed) const {
    std::string text = deed.words;
    const char* before = ", ";
    size_t told = 0;
    for (const void* const address : deed.callers) {
      if (address == nullptr || told == kLinesTold) break;
      const std::string& line = lines_.at(address);
      // What cannot be found, and the seam itself, say nothing.
      if (line.find(':') == std::string::npos) continue;
      if (line.find("simulated_files.cc") != std::string::npos) continue;
      if (line.find("scripted_calls_testing.cc") != std::string::npos) continue;
      text += before + line;
      before = " < ";
      ++told;
    }
    return text;
  }

 private:
  void Add(const Deed& deed) {
    for (const void* const address : deed.callers) {
      if (address != nullptr) lines_[address];
    }
  }

  std::map<const void*, std::string> lines_;
};

void DescribeCrash(const Crash& crash, size_t number, const Callers& callers, std::string& text) {
  text += "  crash " + std::to_string(number) + "  " + (crash.kill ? "a kill" : "a power cut") +
          " after " + crash.after;
  if (!crash.newest.words.empty()) text += ", the last of them " + callers.Of(crash.newest);
  text += "\n";
  if (crash.kill) return;
  if (crash.lost.empty()) text += "    lost   nothing\n";
  for (size_t i = 0; i < std::min(crash.lost.size(), kLostTold); ++i) {
    text += "    lost   " + callers.Of(crash.lost[i]) + "\n";
  }
  if (crash.lost.size() > kLostTold) {
    text += "    ... and " + std::to_string(crash.lost.size() - kLostTold) + " more\n";
  }
}

}  // namespace

std::string Describe(const Failure& failure, const std::function<std::string(uint32_t)>& name_of) {
  const Callers callers(failure);
  std::string text = failure.target + ": " + failure.message + "\n";
  text += "  seed     MORSEL_SEED=" + std::to_string(failure.seed);
  text +=
      failure.script.size() > 1 ? ", schedule " + std::to_string(failure.schedule) + "\n" : "\n";
  const auto add_script = [&](const char* label, const Script& script) {
    for (size_t thread = 0; thread < script.size(); ++thread) {
      if (script[thread].empty()) continue;
      text += label;
      if (script.size() > 1) text += " thread " + std::to_string(thread) + ":";
      for (const uint32_t operation : script[thread]) text += " " + name_of(operation) + ";";
      text += "\n";
    }
  };
  add_script("  does    ", failure.script);
  if (!failure.fault.empty()) text += "  fault    " + failure.fault + "\n";
  for (size_t i = 0; i < failure.crashes.size(); ++i) {
    DescribeCrash(failure.crashes[i], i + 1, callers, text);
    add_script("  goes on ", failure.crashes[i].goes_on);
  }
  if (!failure.promised.empty()) text += "  allowed  " + failure.promised + "\n";
  if (!failure.kept.empty()) text += "  kept     " + failure.kept + "\n";
  return text;
}

std::string PathToKeep(const std::string& target) {
  std::string folder = "/tmp";
  for (const char* const name : {"TMPDIR", "TEST_UNDECLARED_OUTPUTS_DIR", "MORSEL_SIM_KEEP"}) {
    if (const char* const given = std::getenv(name); given != nullptr) folder = given;
  }
  std::string name = target;
  std::replace(name.begin(), name.end(), ' ', '-');
  return folder + "/morsel-sim-" + name + "-" + std::to_string(getpid());
}

}  // namespace morsel::sim
