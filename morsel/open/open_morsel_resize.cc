// An open morsel grows and shrinks.
#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "base/bits.h"
#include "base/error.h"
#include "base/size_words.h"
#include "base/units.h"
#include "morsel/open/open_morsel.h"

namespace morsel {
namespace {

struct InTheWay {
  uint64_t blocks = 0;
  uint64_t last_begin = 0;  ///< of the last one, from the heap's begin
  uint64_t last_bytes = 0;
};

Result<InTheWay> FindInTheWay(const alloc::StoppedWorld& stopped, uint64_t base,
                              uint64_t size_bytes) {
  InTheWay found;
  MORSEL_TRY(stopped.ForEachBlockBehind(size_bytes, [&](char* block, uint64_t bytes) {
    found = {found.blocks + 1, reinterpret_cast<uint64_t>(block) - base, bytes};
    return true;
  }));
  return found;
}

std::string Address(uint64_t address) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%" PRIx64, address);
  return text;
}

uint64_t StepBytes(const CatalogRecord& record) {
  return record.giant ? kGiantBytes : kSubtreeBytes;
}

}  // namespace

Status OpenMorsel::Resize(uint64_t size_bytes) {
  MORSEL_TRY(MayWrite("resize"));
  if (size_bytes > record().capacity_bytes) {
    return Fail(Code::kAddressExhausted,
                "%s cannot have %s: its address range ends after %s; create one with a larger "
                "capacity",
                label_.c_str(), FormatSizeExactly(size_bytes).c_str(),
                FormatSizeExactly(record().capacity_bytes).c_str());
  }
  if (size_bytes == 0) {
    return Fail(Code::kInvalidArgument, "%s cannot have no bytes; morsel_remove removes it",
                label_.c_str());
  }
  size_bytes = AlignUp(size_bytes, StepBytes(record()));
  if (size_bytes < heap_->range().size_bytes()) {
    MORSEL_TRY(NotInSection("resize"));
    const std::lock_guard storing(storing_mutex_);
    const Result<Sections::Closed> no_sections = sections_.Close(label_);
    return no_sections ? ResizeTo(size_bytes) : no_sections.status();
  }
  return ResizeTo(size_bytes);
}

Status OpenMorsel::ResizeTo(uint64_t size_bytes) {
  const std::lock_guard lock(roots_mutex_);
  // What the guard keeps of freed blocks is in nobody's way.
  const auto stopped =
      size_bytes < heap_->range().size_bytes() ? heap_->StopAndRelease() : heap_->StopTheWorld();
  const uint64_t before = record().size_bytes;
  if (size_bytes < before) return Shrink(stopped, size_bytes);
  MORSEL_TRY(backing_->Resize(size_bytes));
  heap_->range().Grow(size_bytes);
  return Code::kOk;
}

Status OpenMorsel::Shrink(const alloc::StoppedWorld& stopped, uint64_t size_bytes) {
  const uint64_t before = record().size_bytes;
  const Status shrunk = stopped.Shrink(size_bytes);
  if (!shrunk.ok()) {
    return shrunk.code() == Code::kBusy ? FailInTheWay(stopped, size_bytes) : shrunk;
  }
  if (const Status status = backing_->Resize(size_bytes); !status.ok()) {
    heap_->range().Grow(before);
    return status;
  }
  return Code::kOk;
}

// The last block is named: as long as it is there, the end stays where it is.
Status OpenMorsel::FailInTheWay(const alloc::StoppedWorld& stopped, uint64_t size_bytes) {
  const Result<InTheWay> found = FindInTheWay(stopped, record().base, size_bytes);
  if (!found) return found.status();
  const std::string cannot = label_ + " cannot shrink from " +
                             FormatSizeExactly(record().size_bytes) + " to " +
                             FormatSizeExactly(size_bytes);
  if (found->blocks == 0) {
    return Fail(Code::kBusy, "%s: tables of the heap itself lie behind that; ask for more",
                cannot.c_str());
  }
  const Result<bool> is_of_roots = IsOfRoots(record().base + found->last_begin);
  if (!is_of_roots) return is_of_roots.status();
  const uint64_t possible = AlignUp(found->last_begin + found->last_bytes, StepBytes(record()));
  std::string message = cannot + ": a block of " + std::to_string(found->last_bytes) +
                        " bytes at " + Address(record().base + found->last_begin);
  if (found->blocks > 1) message += ", the last of " + std::to_string(found->blocks) + " there,";
  message += *is_of_roots ? " keeps a root; forget roots that are not needed"
                          : " is in use behind that; free it first";
  if (possible < record().size_bytes) {
    message += ", or ask for " + FormatSizeExactly(possible) + ", which is possible now";
  }
  return Fail(Code::kBusy, "%s", message.c_str());
}

Result<bool> OpenMorsel::IsOfRoots(uint64_t address) {
  const Result<std::vector<const void*>> blocks = Roots(*heap_).Blocks();
  if (!blocks) return blocks.status();
  return std::binary_search(blocks->begin(), blocks->end(), reinterpret_cast<const void*>(address));
}

}  // namespace morsel
