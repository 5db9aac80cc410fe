#include "sim/disk/file_failure.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "sim/model/source_lines.h"

namespace morsel::sim {
namespace {

constexpr size_t kLostTold = 20;
constexpr size_t kLinesTold = 4;

/// All source lines of a failure, asked for at once.
class Callers {
 public:
  explicit Callers(const FileFailure& failure) {
    for (const DiskCrash& crash : failure.crashes) {
      Add(crash.newest.get());
      for (const LostCall& lost : crash.lost) Add(lost.site.get());
    }
    std::vector<const void*> addresses;
    for (const auto& [address, line] : lines_) addresses.push_back(address);
    const std::vector<std::string> found = SourceLines(addresses);
    for (size_t i = 0; i < addresses.size(); ++i) lines_[addresses[i]] = found[i];
  }

  /// "writing 4096 bytes at 0 of 'a', os/file/file.cc:64 < image/format/superblock.cc:158 < ..."
  std::string Of(const CallSite& site) const {
    std::string text = site.words;
    const char* before = ", ";
    size_t told = 0;
    for (const void* const address : site.callers) {
      if (address == nullptr || told == kLinesTold) break;
      const std::string& line = lines_.at(address);
      // What cannot be found, and the seam itself, say nothing.
      if (line.find(':') == std::string::npos) continue;
      if (line.find("simulated_files.cc") != std::string::npos) continue;
      text += before + line;
      before = " < ";
      ++told;
    }
    return text;
  }

 private:
  void Add(const CallSite* site) {
    if (site == nullptr) return;
    for (const void* const address : site->callers) {
      if (address != nullptr) lines_[address];
    }
  }

  std::map<const void*, std::string> lines_;
};

std::string FolderToKeepIn() {
  for (const char* const name : {"MORSEL_SIM_KEEP", "TEST_UNDECLARED_OUTPUTS_DIR", "TMPDIR"}) {
    if (const char* const folder = std::getenv(name); folder != nullptr) return folder;
  }
  return "/tmp";
}

void DescribeCrash(const DiskCrash& crash, size_t number, const Callers& callers,
                   std::string& text) {
  text += "  crash " + std::to_string(number) + "  " + (crash.kill ? "a kill" : "a power cut") +
          " after " + std::to_string(crash.calls) + " calls";
  if (crash.newest != nullptr) text += ", the last " + callers.Of(*crash.newest);
  text += "\n";
  if (crash.kill) return;
  if (crash.lost.empty()) text += "    lost   nothing\n";
  for (size_t i = 0; i < crash.lost.size(); ++i) {
    if (i == kLostTold) {
      text += "    ... and " + std::to_string(crash.lost.size() - i) + " more\n";
      break;
    }
    const LostCall& lost = crash.lost[i];
    text += lost.is_torn ? "    torn   " : "    lost   ";
    text +=
        (lost.site != nullptr ? callers.Of(*lost.site) : "a call of an earlier incarnation") + "\n";
  }
}

}  // namespace

std::string InWords(const Fault& fault) {
  if (fault.call == Fault::kNever) return {};
  std::string what = std::string("fails: ") + std::strerror(fault.error);
  if (fault.error == Fault::kShort) what = "does half of what it should";
  if (fault.error == Fault::kPartial) what = "does half of what it should, and fails";
  return "call " + std::to_string(fault.call) + (fault.lasts ? " and each after it " : " ") + what;
}

std::string Describe(const FileFailure& failure, const FileTarget& target) {
  const Callers callers(failure);
  std::string text = failure.target + ": " + failure.message + "\n";
  text += "  seed     MORSEL_SEED=" + std::to_string(failure.seed) + "\n  script  ";
  for (const uint32_t operation : failure.script) text += " " + target.NameOf(operation) + ";";
  text += "\n";
  if (const std::string fault = InWords(failure.fault); !fault.empty()) {
    text += "  fault    " + fault + "\n";
  }
  for (size_t i = 0; i < failure.crashes.size(); ++i) {
    DescribeCrash(failure.crashes[i], i + 1, callers, text);
  }
  text += "  allowed  " + failure.promises.InWords() + "\n";
  return text;
}

std::string Keep(const FileFailure& failure, Sandbox& sandbox) {
  std::string name = failure.target;
  for (char& letter : name) letter = letter == ' ' ? '-' : letter;
  std::string path = FolderToKeepIn() + "/morsel-disk-" + name + "-" + std::to_string(getpid());
  sandbox.Show(failure.disk);
  return sandbox.CopyTo(path) ? path : std::string();
}

}  // namespace morsel::sim
