// A target of the simulator beside HeapTarget: extents that cross from one region into the next,
// and others that are aligned to 1 GiB, for which a search begins behind the first region.
#pragma once

#include <string>
#include <vector>

#include "alloc/heap/heap_sim_testing.h"

namespace morsel::alloc {

/// A heap of 2 GiB, of which a block takes up most of the first. Only the beginning of the heap and
/// the places where its large blocks begin are watched.
class HeapGiantTarget : public HeapTarget {
 public:
  enum OwnOperation : uint32_t {
    kLinkAcross = kOwnOperations,  ///< 100 MiB, of which most lies behind the first GiB
    kLinkAligned,                  ///< 128 MiB, aligned to 1 GiB
    kShorten,                      ///< unlinks the newest, reallocates it to 40,000 bytes in place
  };

  HeapGiantTarget() : HeapTarget(Room::kTight, 2 * kGiB) {}

  std::string Name() const override { return "heap of 2 GiB"; }
  std::string NameOf(uint32_t operation) const override;
  std::vector<sim::Span> Memory() override;
  void Prepare() override;
  void Perform(uint32_t operation, sim::Log& log) override;
  sim::Script GoOn(uint64_t pick) override;

 private:
  void LinkGiant(uint64_t size_bytes, uint64_t alignment, sim::Log& log);
  void LinkSmallObjectIn(char* block, uint64_t serial, sim::Log& log);
  void Shorten(sim::Log& log);
};

}  // namespace morsel::alloc
