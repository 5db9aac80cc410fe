// Two threads push; after every crash all that was pushed is there, and whole.
#include "list.h"

#include <cstdio>
#include <morsel/sim.hpp>
#include <set>
#include <string>

namespace {

enum Note : uint32_t { kPushing, kPushed };

std::string Check(morsel::Morsel& morsel, morsel::sim::Log& log) {
  example::List* const list = example::OpenList(morsel);
  // What a kill left visible need not be durable.
  (void)morsel.persist(list, sizeof *list);
  std::set<uint64_t> found;
  for (const example::Node* node = list->head; node != nullptr; node = node->next) {
    if (!found.insert(node->value).second) return "a value is there twice";
    if (found.size() > 100) return "the list has no end";
  }
  std::set<uint64_t> pushing;
  for (const morsel::sim::LogEntry& entry : log.entries()) {
    if (entry.kind != morsel::sim::LogEntry::Kind::kNoted) continue;
    pushing.insert(entry.words[0]);
    if (entry.what == kPushed && !found.contains(entry.words[0])) {
      return std::to_string(entry.words[0]) + " was pushed and is lost";
    }
  }
  for (const uint64_t value : found) {
    if (!pushing.contains(value)) return "a node holds " + std::to_string(value) + ", never pushed";
  }
  for (const uint64_t value : found) log.Note(kPushed, value);
  return {};
}

morsel::sim::Workload Pusher(uint64_t first, example::ListBug bug) {
  return [=](morsel::Morsel& morsel, morsel::sim::Log& log) {
    example::List* const list = example::OpenList(morsel);
    // Another value each time that it goes on.
    const uint64_t value = first + log.entries().size();
    log.Note(kPushing, value);
    example::Push(morsel, list, value, bug);
    log.Note(kPushed, value);
  };
}

bool Holds(example::ListBug bug) {
  const morsel::sim::ExploreReport report = morsel::sim::explore(
      {Pusher(1000, bug), Pusher(2000, bug)}, Check, {.schedules = 4, .seconds = 8});
  std::printf("%s\n", report.text.c_str());
  return report.ok;
}

}  // namespace

int main() {
  if (Holds(example::ListBug::kMissingPersist)) {
    std::printf("the missing persist was not found\n");
    return 1;
  }
  return Holds(example::ListBug::kNone) ? 0 : 1;
}
