// morselctl roots: lists the roots of a morsel.
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/progress_bar.h"
#include "cli/units.h"
#include "morsel/morsel.h"

namespace morsel::cli {
namespace {

struct Root {
  std::string name;
  const void* object;  ///< nullptr: it leads outside of the morsel
  bool is_typed;
  uint64_t size;
  uint32_t alignment;
  uint32_t layout;
  std::string type;
};

int AddRoot(const morsel_root_info* root, void* roots) {
  static_cast<std::vector<Root>*>(roots)->push_back({root->name, root->object,
                                                     (root->flags & MORSEL_TYPED) != 0, root->size,
                                                     root->alignment, root->layout, root->type});
  return 0;
}

std::vector<Root> RootsOf(const RootsOptions& options) {
  const PoolHandle pool = OpenPoolAt(options.pool, Access::kRead);
  const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
  morsel_options how{};
  how.struct_size = sizeof how;
  how.flags = MORSEL_READ_ONLY;
  how = WithProgress(how, bar.get());
  morsel_t* morsel = nullptr;
  Must(morsel_open(pool.get(), NameMeant(pool.get(), options.name).c_str(), &how, &morsel));
  std::vector<Root> roots;
  const morsel_code code = morsel_for_each_root(morsel, AddRoot, &roots);
  Must(morsel_close(morsel));
  Must(code);
  return roots;
}

}  // namespace

int Roots(const RootsOptions& options, const Printer& printer) {
  const std::vector<Root> roots = RootsOf(options);
  Value list = Value::List();
  Table table({{"NAME"}, {"ADDRESS"}, {"SIZE"}, {"LAYOUT"}, {"TYPE"}});
  bool is_damaged = false;
  for (const Root& root : roots) {
    const std::string address =
        root.object == nullptr ? "" : FormatAddress(reinterpret_cast<uint64_t>(root.object));
    Value value = Value().Set("name", SpellingOf(root.name)).Set("address", address);
    if (root.is_typed) {
      value.Set("type", root.type).Set("size", root.size).Set("alignment", root.alignment);
      value.Set("layout", root.layout);
    }
    list.Add(value);
    table.Add({SpellingOf(root.name), address.empty() ? "outside of the morsel" : address,
               root.is_typed ? std::to_string(root.size) : "",
               root.is_typed ? std::to_string(root.layout) : "", Printable(root.type)});
    is_damaged = is_damaged || root.object == nullptr;
  }
  printer.Print(Value().Set("pool", options.pool).Set("name", options.name).Set("roots", list),
                roots.empty() ? "" : table.Text());
  if (roots.empty()) printer.PrintWarning("morsel '" + options.name + "' has no roots");
  return is_damaged ? kExitDamage : kExitDone;
}

}  // namespace morsel::cli
