// morselctl check: looks for damage in a pool and its morsels.
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/units.h"
#include "morsel/morsel.h"

namespace morsel::cli {
namespace {

struct Finding {
  std::string subject;
  std::string message;
};

void AddFinding(const morsel_finding* finding, void* findings) {
  static_cast<std::vector<Finding>*>(findings)->push_back({finding->subject, finding->message});
}

std::string Counted(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

/// What is asked for beside damage, of all morsels that were looked at.
struct Asked {
  uint64_t leading_out = 0;  ///< words that may be no pointers any more
  morsel_unreached_info unreached{};

  bool is_clean() const { return leading_out == 0 && unreached.blocks == 0; }
};

// listed  the findings of damage, and of what may not be looked at.
std::string Sum(const morsel_check_info& info, uint64_t listed, const Asked& asked) {
  const std::string looked_at = Counted(info.morsels, "morsel") + ", " +
                                Counted(info.roots, "root") + ", " + FormatSize(info.live_bytes) +
                                " of live blocks";
  if (info.damages > 0) {
    return Counted(listed, "finding") + "; whole enough to be checked: " + looked_at;
  }
  if (info.obstacle != MORSEL_OK) return "not all could be checked; clean: " + looked_at;
  if (asked.is_clean()) return "clean: " + looked_at;
  std::string sum;
  if (asked.leading_out > 0) {
    sum += Counted(asked.leading_out, "word") + " may lead out of a morsel, ";
  }
  if (asked.unreached.blocks > 0) {
    sum += "no root leads to " + Counted(asked.unreached.blocks, "block") + ", " +
           FormatSize(asked.unreached.bytes) + ", ";
  }
  return sum + "and nothing is damaged: " + looked_at;
}

int AddName(const morsel_info* info, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(info->name);
  return 0;
}

/// The findings about one morsel.
struct Found {
  std::string subject;
  std::vector<Finding>* findings;
  Asked* asked;
  uint64_t groups = 0;
};

int AddPointer(const morsel_pointer* pointer, void* context) {
  auto& found = *static_cast<Found*>(context);
  found.findings->push_back({found.subject, pointer->message});
  if (pointer->to != MORSEL_TO_FREED) ++found.asked->leading_out;
  return 0;
}

/// So many of a morsel's are told one by one: a program that forgets may forget a million.
constexpr uint64_t kGroupsToldMax = 20;

int AddUnreached(const morsel_unreached* one, void* context) {
  auto& found = *static_cast<Found*>(context);
  if (one->is_first == 0 || ++found.groups > kGroupsToldMax) return 0;
  std::string message = "no root leads to the block of " + std::to_string(one->block_bytes) +
                        " bytes at " + FormatAddress(reinterpret_cast<uint64_t>(one->block));
  if (one->group_blocks > 1) {
    message += ", which leads to " + Counted(one->group_blocks - 1, "other") + ", " +
               FormatSize(one->group_bytes) + " in all";
  }
  found.findings->push_back({found.subject, message});
  return 0;
}

void FindUnreached(morsel_t* morsel, Found& found) {
  morsel_unreached_info info{};
  info.struct_size = sizeof info;
  Must(morsel_find_unreached(morsel, AddUnreached, &found, &info));
  found.asked->unreached.blocks += info.blocks;
  found.asked->unreached.bytes += info.bytes;
  if (found.groups <= kGroupsToldMax) return;
  found.findings->push_back({found.subject, "of " + std::to_string(found.groups) +
                                                " such blocks, which lead to others "
                                                "or to none, the first " +
                                                std::to_string(kGroupsToldMax) + " are told"});
}

// Looks into one morsel, or into all.
Asked LookInside(morsel_pool_t* pool, const std::string& name, const CheckOptions& options,
                 std::vector<Finding>& findings) {
  std::vector<std::string> names;
  if (name.empty()) {
    Must(morsel_list(pool, AddName, &names));
  } else {
    names.push_back(name);
  }
  Asked asked;
  for (const std::string& one : names) {
    morsel_options how{};
    how.struct_size = sizeof how;
    how.flags = MORSEL_READ_ONLY;
    morsel_t* opened = nullptr;
    Must(morsel_open(pool, one.c_str(), &how, &opened));
    const std::unique_ptr<morsel_t, morsel_code (*)(morsel_t*)> morsel(opened, morsel_close);
    Found found{"morsel '" + one + "'", &findings, &asked};
    if (options.pointers) Must(morsel_check_pointers(morsel.get(), AddPointer, &found));
    if (options.leaks) FindUnreached(morsel.get(), found);
  }
  return asked;
}

}  // namespace

int Check(const CheckOptions& options, const Printer& printer) {
  if (options.name && options.name->empty()) {
    throw Failure{MORSEL_INVALID_ARGUMENT, "'' cannot name a morsel: it is empty"};
  }
  const PoolHandle pool = OpenPoolAt(options.pool, Access::kRead);
  std::vector<Finding> findings;
  morsel_check_info info{};
  info.struct_size = sizeof info;
  const std::string name = options.name ? NameMeant(pool.get(), *options.name) : "";
  Must(morsel_check(pool.get(), options.name ? name.c_str() : nullptr, AddFinding, &findings,
                    &info));
  Asked asked;
  const bool is_whole = info.damages == 0 && info.obstacle == MORSEL_OK;
  const bool looks_inside = options.pointers || options.leaks;
  if (looks_inside && is_whole) asked = LookInside(pool.get(), name, options, findings);
  Value list = Value::List();
  std::string text;
  for (const Finding& finding : findings) {
    list.Add(Value().Set("subject", finding.subject).Set("sentence", finding.message));
    text += Printable(finding.subject) + ": " + Printable(finding.message) + "\n";
  }
  Value value = Value()
                    .Set("pool", options.pool)
                    .Set("clean", is_whole && asked.is_clean())
                    .Set("checked", Value()
                                        .Set("morsels", info.morsels)
                                        .Set("roots", info.roots)
                                        .Set("live_bytes", info.live_bytes))
                    .Set("findings", list);
  if (options.pointers && is_whole) value.Set("pointers_out", asked.leading_out);
  if (options.leaks && is_whole) {
    value.Set("unreached",
              Value().Set("blocks", asked.unreached.blocks).Set("bytes", asked.unreached.bytes));
  }
  if (looks_inside) value.Set("looked_into_blocks", is_whole);
  if (looks_inside && !is_whole) text += "the blocks were not looked at\n";
  printer.Print(value, text + Sum(info, findings.size(), asked) + "\n");
  return info.damages > 0 || !asked.is_clean()
             ? kExitDamage
             : ExitCodeOf(static_cast<morsel_code>(info.obstacle));
}

}  // namespace morsel::cli
