#include "alloc/heap/guard/guard.h"

#include <algorithm>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "alloc/heap/guard/memory_marks.h"
#include "alloc/heap/threads/thread_heap.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

constexpr unsigned char kRedZone = 0xfb;
constexpr unsigned char kPoison = 0xfd;

// The offset of the first byte that is not `value`, or size_bytes if there is none.
uint64_t FirstOther(const char* begin, uint64_t size_bytes, unsigned char value) {
  const char* const end = begin + size_bytes;
  return static_cast<uint64_t>(
      std::find_if(begin, end, [&](char c) { return static_cast<unsigned char>(c) != value; }) -
      begin);
}

}  // namespace

Result<bool> Guard::IsWanted() {
  const char* const given = std::getenv("MORSEL_GUARD");
  if (given == nullptr || *given == '\0') return MarksAreSeen();
  const std::string_view value = given;
  if (value == "1" || value == "0") return value == "1";
  return Fail(Code::kInvalidArgument,
              "MORSEL_GUARD is '%s': set it to 1 to guard all blocks, to 0 to guard none", given);
}

Guard::~Guard() {
  for (auto& [block, is] : blocks_) {
    if (is.freed || !is.given) {
      MarkOpen(block, is.usable_bytes);
    } else {
      MarkForgotten(block, is.usable_bytes);
    }
  }
}

void Guard::Given(void* block, uint64_t size_bytes, uint64_t usable_bytes) {
  char* const begin = static_cast<char*>(block);
  const std::lock_guard lock(mutex_);
  std::memset(begin + size_bytes, kRedZone, std::min(usable_bytes - size_bytes, kRedZoneBytesSeen));
  MarkGiven(begin, size_bytes, usable_bytes);
  blocks_[begin] = {size_bytes, usable_bytes, /*given=*/true, /*freed=*/false};
}

// The entry of the block, or end() if it is unknown. Ends the process if `block` is not its start,
// or if it was freed.
Guard::Blocks::iterator Guard::Find(const void* block, const char* call) {
  char* const begin = static_cast<char*>(const_cast<void*>(block));
  const auto after = blocks_.upper_bound(begin);
  if (after == blocks_.begin()) return blocks_.end();
  const auto found = std::prev(after);
  const auto& [start, is] = *found;
  if (begin >= start + is.usable_bytes) return blocks_.end();
  if (begin != start) {
    Die("%s of %p, which is no block's start: it lies %td bytes into a block of %" PRIu64
        " bytes at %p (size class %" PRIu64 ")",
        call, block, begin - start, is.size_bytes, static_cast<void*>(start), is.usable_bytes);
  }
  if (is.freed) {
    Die("%s of %p, a block of %" PRIu64 " bytes (size class %" PRIu64
        ") that is not allocated: it was freed before",
        call, block, is.size_bytes, is.usable_bytes);
  }
  return found;
}

void Guard::CheckRedZone(const Blocks::value_type& entry, const char* when) {
  const auto& [block, is] = entry;
  const uint64_t seen = std::min(is.usable_bytes - is.size_bytes, kRedZoneBytesSeen);
  char* const zone = block + is.size_bytes;
  MarkOpen(zone, seen);
  const uint64_t at = FirstOther(zone, seen, kRedZone);
  if (at != seen) {
    Die("%s of %p, a block of %" PRIu64 " bytes (size class %" PRIu64
        "): something wrote behind its end, 0x%02x at offset %" PRIu64,
        when, static_cast<void*>(block), is.size_bytes, is.usable_bytes,
        static_cast<unsigned char>(zone[at]), is.size_bytes + at);
  }
  MarkClosed(zone, seen);
}

void Guard::CheckPoison(const Blocks::value_type& entry) {
  const auto& [block, is] = entry;
  MarkOpen(block, is.usable_bytes);
  const uint64_t seen = std::min(is.usable_bytes, kPoisonBytesMax);
  const uint64_t at = FirstOther(block, seen, kPoison);
  if (at == seen) return;
  Die("a block of %" PRIu64 " bytes at %p (size class %" PRIu64
      ") was written after it was freed: 0x%02x at offset %" PRIu64,
      is.size_bytes, static_cast<void*>(block), is.usable_bytes,
      static_cast<unsigned char>(block[at]), at);
}

std::optional<uint64_t> Guard::SizeOf(const void* block, const char* call) {
  const std::lock_guard lock(mutex_);
  const auto found = Find(block, call);
  if (found == blocks_.end()) return std::nullopt;
  return found->second.size_bytes;
}

bool Guard::HasLive(const char* block, uint64_t& size_bytes) {
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(const_cast<char*>(block));
  if (found == blocks_.end()) return true;
  size_bytes = found->second.size_bytes;
  return !found->second.freed;
}

std::vector<void*> Guard::Freed(void* block, uint64_t usable_bytes, uint64_t kept_bytes_max) {
  // The blocks that are kept are still allocated on the medium. They take the place that blocks in
  // magazines have in the bound of a heap without a guard.
  static_assert(kKeptCountMax <= kFreesUnflushedMax - kFreesBeforeFlush);
  const std::lock_guard lock(mutex_);
  auto found = Find(block, "free");
  if (found == blocks_.end()) {
    const Block older = {usable_bytes, usable_bytes, /*given=*/false, /*freed=*/false};
    found = blocks_.emplace(static_cast<char*>(block), older).first;
  }
  CheckRedZone(*found, "free");
  auto& [begin, is] = *found;
  MarkOpen(begin, is.usable_bytes);
  std::memset(begin, kPoison, std::min(is.usable_bytes, kPoisonBytesMax));
  MarkFreed(begin, is.usable_bytes, is.given);
  is.freed = true;
  kept_.push_back(begin);
  kept_bytes_ += is.usable_bytes;
  std::vector<void*> taken;
  kept_bytes_max = std::min(kept_bytes_max, kKeptBytesMax);
  while (kept_.size() > kKeptCountMax || kept_bytes_ > kept_bytes_max)
    taken.push_back(TakeOldest());
  return taken;
}

void* Guard::TakeOldest() {
  const auto found = blocks_.find(kept_.front());
  kept_.pop_front();
  CheckPoison(*found);
  char* const block = found->first;
  kept_bytes_ -= found->second.usable_bytes;
  blocks_.erase(found);
  return block;
}

std::vector<void*> Guard::TakeAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& entry : blocks_) {
    if (!entry.second.freed) CheckRedZone(entry, "a look");
  }
  std::vector<void*> taken;
  while (!kept_.empty()) taken.push_back(TakeOldest());
  return taken;
}

const Guard::Block* Guard::BlockAt(const void* address) const {
  char* const at = static_cast<char*>(const_cast<void*>(address));
  const auto after = blocks_.upper_bound(at);
  if (after == blocks_.begin()) return nullptr;
  const auto& [begin, is] = *std::prev(after);
  return at < begin + is.usable_bytes ? &is : nullptr;
}

bool Guard::HasFreed(const void* address) {
  const std::lock_guard lock(mutex_);
  const Block* const block = BlockAt(address);
  return block != nullptr && block->freed;
}

uint64_t Guard::HiddenBytesFrom(const void* address) {
  const std::lock_guard lock(mutex_);
  const Block* const block = BlockAt(address);
  if (block == nullptr) return 0;
  return block->freed ? block->usable_bytes : block->usable_bytes - block->size_bytes;
}

Guard::Opening::Opening(Guard* guard) : guard_(guard) {
  if (guard_ == nullptr) return;
  guard_->mutex_.lock();
  for (const auto& [block, is] : guard_->blocks_) {
    const uint64_t hidden = is.freed ? 0 : is.size_bytes;
    MarkOpen(block + hidden, is.usable_bytes - hidden);
  }
}

Guard::Opening::~Opening() {
  if (guard_ == nullptr) return;
  for (const auto& [block, is] : guard_->blocks_) {
    const uint64_t hidden = is.freed ? 0 : is.size_bytes;
    MarkClosed(block + hidden, is.usable_bytes - hidden);
  }
  guard_->mutex_.unlock();
}

}  // namespace morsel::alloc
