// Keys are inserted until a leaf splits; after every crash all of them are there,
// once.
#include "btree.h"

#include <cstdio>
#include <morsel/sim.hpp>
#include <set>
#include <string>

namespace {

enum Note : uint32_t { kInserting, kInserted };

std::string Check(morsel::Morsel& morsel, morsel::sim::Log& log, example::TreeBug bug) {
  const example::TreeOfKeys tree(morsel, bug);
  std::set<uint64_t> due;
  std::set<uint64_t> maybe;
  for (const morsel::sim::LogEntry& entry : log.entries()) {
    if (entry.kind != morsel::sim::LogEntry::Kind::kNoted) continue;
    (entry.what == kInserted ? due : maybe).insert(entry.words[0]);
  }
  uint64_t found = 0;
  for (const uint64_t key : maybe) {
    found += tree.Contains(key);
    if (due.contains(key) && !tree.Contains(key)) {
      return "key " + std::to_string(key) + " was inserted and is lost";
    }
  }
  if (found != tree.Size()) {
    return std::to_string(tree.Size()) + " keys are there, " + std::to_string(found) +
           " of them once and inserted";
  }
  return {};
}

bool Holds(example::TreeBug bug) {
  const auto insert = [=](morsel::Morsel& morsel, morsel::sim::Log& log) {
    example::TreeOfKeys tree(morsel, bug);
    for (const uint64_t key : {50, 20, 80, 30, 60}) {
      if (tree.Contains(key)) continue;
      log.Note(kInserting, key);
      tree.Insert(key);
      log.Note(kInserted, key);
    }
  };
  const auto check = [=](morsel::Morsel& morsel, morsel::sim::Log& log) {
    return Check(morsel, log, bug);
  };
  const morsel::sim::ExploreReport report = morsel::sim::explore(insert, check, {.seconds = 8});
  std::printf("%s\n", report.text.c_str());
  return report.ok;
}

}  // namespace

int main() {
  if (Holds(example::TreeBug::kWrongOrder)) {
    std::printf("the wrong order was not found\n");
    return 1;
  }
  return Holds(example::TreeBug::kNone) ? 0 : 1;
}
