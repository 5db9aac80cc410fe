// morselctl addr: which pools of this host have which addresses.
#include <pwd.h>

#include <algorithm>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/record.h"
#include "cli/units.h"
#include "morsel/tools.h"

namespace morsel::cli {
namespace {

// How many places the drawing of the window has.
constexpr uint64_t kPlaces = 64;
constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

struct Span {
  uint64_t base;
  uint64_t size_bytes;
};

struct Holder {
  std::string pool;
  bool is_missing;
  std::vector<Span> spans;
  uint64_t size_bytes = 0;
};

// The letter of the pool with this number in the table; many pools share the last one.
char LetterOf(size_t number) { return number < sizeof kLetters - 1 ? kLetters[number] : '+'; }

void AddRange(const morsel_address_range* range, void* all) {
  auto& holders = *static_cast<std::vector<Holder>*>(all);
  if (holders.empty() || holders.back().pool != range->pool) {
    holders.push_back({range->pool, range->is_missing != 0, {}});
  }
  holders.back().spans.push_back({range->base, range->size_bytes});
  holders.back().size_bytes += range->size_bytes;
}

// One place stands for a part of the window: a letter for the pool that has some of it, '#' for
// several, '.' for none.
std::string Drawing(const morsel_address_info& info, const std::vector<Holder>& holders) {
  std::string places(kPlaces, '.');
  const uint64_t part = std::max<uint64_t>(1, (info.window_end - info.window_begin) / kPlaces);
  for (size_t number = 0; number < holders.size(); ++number) {
    for (const Span& span : holders[number].spans) {
      const uint64_t begin = std::max(span.base, info.window_begin);
      const uint64_t end = std::min(span.base + span.size_bytes, info.window_end);
      if (begin >= end) continue;
      const uint64_t last = std::min((end - 1 - info.window_begin) / part, kPlaces - 1);
      for (uint64_t at = (begin - info.window_begin) / part; at <= last; ++at) {
        const bool is_own = places[at] == '.' || places[at] == LetterOf(number);
        places[at] = is_own ? LetterOf(number) : '#';
      }
    }
  }
  return "|" + places + "|\n";
}

std::string TableOf(const std::vector<Holder>& holders) {
  using enum Table::Align;
  Table table({{"", kLeft}, {"ADDRESSES", kRight}, {"FROM", kLeft}, {"POOL", kLeft}});
  for (size_t number = 0; number < holders.size(); ++number) {
    const Holder& holder = holders[number];
    const std::string path = holder.pool.empty() ? "(a very long path)" : Printable(holder.pool);
    table.Add({std::string(1, LetterOf(number)), FormatSize(holder.size_bytes),
               FormatAddress(holder.spans.front().base),
               path + (holder.is_missing ? "  (not found; its disk may not be mounted)" : "")});
  }
  return holders.empty() ? "no pool has addresses\n" : table.Text();
}

uint32_t UserNamed(const std::string& name) {
  if (const passwd* const user = getpwnam(name.c_str()); user != nullptr) return user->pw_uid;
  throw Failure{MORSEL_NOT_FOUND, "there is no user '" + Printable(name) + "'"};
}

int Share(const std::string& name, const Printer& printer) {
  Must(morsel_share_addresses(UserNamed(name)));
  printer.PrintDone(Value().Set("user", name),
                    "user '" + Printable(name) + "' has addresses of their own\n");
  return kExitDone;
}

}  // namespace

int Addr(const AddrOptions& options, const Printer& printer) {
  if (options.user) return Share(*options.user, printer);
  morsel_address_info info{};
  info.struct_size = sizeof info;
  std::vector<Holder> holders;
  Must(morsel_addresses(&info, AddRange, &holders));
  Value pools = Value::List();
  for (const Holder& holder : holders) {
    Value spans = Value::List();
    for (const Span& span : holder.spans) {
      spans.Add(Value().Set("base", FormatAddress(span.base)).Set("size_bytes", span.size_bytes));
    }
    pools.Add(
        Value().Set("pool", holder.pool).Set("missing", holder.is_missing).Set("ranges", spans));
  }
  Facts facts;
  facts.Add("registry", Printable(info.registry));
  facts.Add("window", FormatAddress(info.window_begin) + "-" + FormatAddress(info.window_end));
  facts.Add("free",
            FormatSize(info.free_bytes) + " of " + FormatSize(info.window_end - info.window_begin));
  printer.Print(Value()
                    .Set("registry", info.registry)
                    .Set("window_begin", FormatAddress(info.window_begin))
                    .Set("window_end", FormatAddress(info.window_end))
                    .Set("free_bytes", info.free_bytes)
                    .Set("pools", pools),
                facts.Text() + "\n" + Drawing(info, holders) + "\n" + TableOf(holders));
  return kExitDone;
}

}  // namespace morsel::cli
