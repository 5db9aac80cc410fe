// A user's program that promises a number before it has persisted it. The simulator reports where
// the number was stored.
#include <cstdint>
#include <cstdio>
#include <morsel/sim.hpp>
#include <string>

namespace {

uint64_t* Number(morsel::Morsel& morsel) {
  if (auto* const number = morsel.root<uint64_t>("number"); number != nullptr) return number;
  auto* const number = morsel.make<uint64_t>(0);
  (void)morsel.persist(number, sizeof *number);
  (void)morsel.set_root("number", number);
  return number;
}

std::string Check(morsel::Morsel& morsel, morsel::sim::Log& log) {
  uint64_t due = 0;
  for (const morsel::sim::LogEntry& entry : log.entries()) {
    if (entry.kind == morsel::sim::LogEntry::Kind::kNoted) due = entry.words[0];
  }
  return *Number(morsel) < due ? "the number is lost" : "";
}

}  // namespace

int main() {
  const morsel::sim::ExploreReport report = morsel::sim::explore(
      [](morsel::Morsel& morsel, morsel::sim::Log& log) {
        uint64_t* const number = Number(morsel);
        ++*number;
        log.Note(0, *number);
      },
      Check);
  std::printf("%s\n", report.text.c_str());
  return report.ok ? 1 : 0;
}
