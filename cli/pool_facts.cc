#include "cli/pool_facts.h"

#include <cstdlib>

#include "cli/failure.h"
#include "cli/pool.h"

namespace morsel::cli {
namespace {

constexpr char kForce[] = "PMEM2_FORCE_GRANULARITY";
constexpr uint32_t kPageBytes = 4096;
constexpr uint32_t kLineBytes = 64;

}  // namespace

const char* KindName(const morsel_pool_info& info) {
  return IsCarved(info) ? "carved" : "directory";
}

std::string GranularityInWords(uint32_t granularity_bytes) {
  switch (granularity_bytes) {
    case 1:
      return "byte (stores are durable once ordered)";
    case kLineBytes:
      return "cache line (64 bytes)";
    case kPageBytes:
      return "page (4096 bytes, by checkpoints only)";
    default:
      return std::to_string(granularity_bytes) + " bytes";
  }
}

std::string GranularityInWords(const morsel_pool_info& info) {
  std::string words;
  if (info.fine_granularity == 0) {
    words = GranularityInWords(info.snapshot_granularity);
  } else if (info.snapshot_granularity == 0) {
    words = GranularityInWords(info.fine_granularity);
  } else {
    words = GranularityInWords(info.fine_granularity) + " in fine morsels, " +
            GranularityInWords(info.snapshot_granularity) + " in snapshot morsels";
  }
  const char* const forced = std::getenv(kForce);
  if (forced != nullptr && *forced != '\0') words += std::string(", forced by ") + kForce;
  return words;
}

void WarnOfPowerOff(const std::string& path, const Printer& printer) {
  morsel_pool_options options{};
  options.struct_size = sizeof options;
  options.flags = MORSEL_READ_ONLY;
  morsel_pool_t* opened = nullptr;
  if (morsel_pool_open(path.c_str(), &options, &opened) != MORSEL_OK) return;
  const PoolHandle pool(opened);
  const morsel_pool_info info = PoolInfo(pool.get());
  if (info.survives_power_off == 0) {
    printer.PrintNote(std::string("note: ") + info.survival + "\n");
  }
}

}  // namespace morsel::cli
