#include "cli/record.h"

#include <grp.h>
#include <pwd.h>

#include <cstdio>

#include "cli/output.h"
#include "cli/units.h"
#include "morsel/tools.h"

namespace morsel::cli {

const char* ContractName(const morsel_info& info) { return IsFine(info) ? "fine" : "snapshot"; }

const char* CodecName(const morsel_info& info) {
  const char* const name = morsel_codec_name(info.codec);
  return name != nullptr ? name : "unknown";
}

namespace {

std::string GroupName(uint32_t number) {
  const group* const group = getgrgid(number);
  return group != nullptr ? group->gr_name : std::to_string(number);
}

}  // namespace

std::string OwnerOf(const morsel_info& info) {
  const passwd* const user = getpwuid(info.user);
  return (user != nullptr ? user->pw_name : std::to_string(info.user)) + ":" +
         GroupName(info.group);
}

void WarnOfGroup(const std::string& what, uint32_t before, uint32_t now, const Printer& printer) {
  if (before == now) return;
  printer.PrintWarning(what + " has the group " + GroupName(now) +
                       ", since you may not give it the group " + GroupName(before) +
                       ": what only that group and an access control list gave is taken away");
}

std::string FormatId(const unsigned char (&id)[16]) {
  std::string text;
  for (size_t i = 0; i < sizeof id; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", id[i]);
    text += digits;
  }
  return text;
}

uint64_t BaseOf(const morsel_info& info) { return reinterpret_cast<uint64_t>(info.base); }

namespace {

Value ValueOf(const std::string& name, const morsel_info& info, bool is_in_pool) {
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", info.mode & 07777);
  Value value;
  value.Set("name", name)
      .Set("id", FormatId(info.id))
      .Set("contract", ContractName(info))
      .Set("giant", IsGiant(info))
      .Set("grows", Grows(info))
      .Set("size_bytes", info.size_bytes)
      .Set("capacity_bytes", info.capacity_bytes)
      .Set("live_bytes", info.live_bytes)
      .Set("base", FormatAddress(BaseOf(info)))
      .Set("generation", info.generation)
      .Set("codec", CodecName(info));
  if (MayBeOlder(info)) value.Set("may_be_older", true);
  if (is_in_pool) value.Set("granularity_bytes", info.granularity);
  return value.Set("mode", mode).Set("user", info.user).Set("group", info.group);
}

}  // namespace

Value ValueOf(const morsel_info& info) {
  return ValueOf(SpellingOf(info.name), info, /*is_in_pool=*/true);
}

Value ValueOfImage(const std::string& path, const morsel_info& info) {
  return ValueOf(path, info, /*is_in_pool=*/false);
}

namespace {

constexpr size_t kDoubtsShown = 20;

std::string Counted(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

void AddDoubt(const morsel_doubt* doubt, void* moving) {
  static_cast<Moving*>(moving)->doubts.emplace_back(doubt->message);
}

morsel_rebase_options Moving::Options(uint64_t base, uint64_t capacity_bytes) {
  morsel_rebase_options options{};
  options.struct_size = sizeof options;
  options.base = reinterpret_cast<void*>(base);
  options.capacity_bytes = capacity_bytes;
  options.doubtful = AddDoubt;
  options.doubtful_context = this;
  return options;
}

void Moving::AddTo(Value& report) const {
  report.Set("blocks", info.blocks).Set("words", info.words).Set("doubtful", doubts);
}

std::string Moving::Lines() const {
  std::string text;
  for (size_t i = 0; i < doubts.size() && i < kDoubtsShown; ++i) {
    text += Printable(doubts[i]) + "\n";
  }
  if (doubts.size() > kDoubtsShown) {
    text += "and " + std::to_string(doubts.size() - kDoubtsShown) + " more (--json has all)\n";
  }
  return text + Counted(info.words, "word") + " of " + Counted(info.blocks, "block") +
         " changed, " + Counted(doubts.size(), "doubt") + "\n";
}

}  // namespace morsel::cli
