#include "alloc/heap/stopped_world.h"

#include <algorithm>

#include "base/error.h"

namespace morsel::alloc {

StoppedWorld::StoppedWorld(const StoppedParts& parts, Guard* guard)
    : parts_(parts), guard_(guard), lock_(parts.lock), gate_(parts.threads) {}

Status StoppedWorld::ForEachBlockBehind(uint64_t offset, const VisitBlock& visit) const {
  return parts_.walk.ForEachBlockBehind(offset, [&](char* block, uint64_t usable_bytes) {
    // The guard keeps blocks that were freed, also while the world is stopped.
    if (guard_ != nullptr && !guard_->HasLive(block, usable_bytes)) return true;
    return visit(block, usable_bytes);
  });
}

Result<uint64_t> StoppedWorld::BytesFrom(const void* address) const {
  const Result<uint64_t> bytes = parts_.walk.BytesFrom(address);
  if (!bytes || guard_ == nullptr) return bytes;
  return *bytes - std::min(*bytes, guard_->HiddenBytesFrom(address));
}

Status StoppedWorld::Shrink(uint64_t size_bytes) const {
  const HeapFacts& facts = parts_.facts;
  if (size_bytes < facts.header->first_unit * kUnitBytes) return Code::kBusy;
  MORSEL_TRY(parts_.recall.ReleaseEmpty(KnownSegments::kAllHeads));
  if (facts.fine) parts_.threads.LendAnew(nullptr, size_bytes);  // a smaller heap has less to lend
  MORSEL_TRY(parts_.units.Shrink(size_bytes));
  parts_.known.Shrunk();
  return Code::kOk;
}

}  // namespace morsel::alloc
