#include "image/store/patch_writer.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"
#include "image/format/patches.h"
#include "image/store/touched_copy.h"

namespace morsel::image {
namespace {

/// Fragments may take this part of the file before they are used, but no more than kFragmentsMax
/// bytes, as each of them takes memory.
constexpr uint64_t kFragmentsPart = 16;
constexpr uint64_t kFragmentsMax = 256 * kMiB;
/// So many patches take some 8 MiB of memory, or some 40 MiB if each leaf has only one or two.
constexpr uint64_t kReplacedMax = 192 * 1024;
static_assert(kReplacedMax <= kPatchesMax);

uint64_t LeafCount(const Tree& tree) {
  uint64_t count = 0;
  for (const Table& table : tree.tables) {
    count +=
        static_cast<uint64_t>(std::count_if(table.leaves.begin(), table.leaves.end(),
                                            [](const Entry& leaf) { return IsPresent(leaf); }));
  }
  return count;
}

// Returns how many of `pages` are not in `patches`.
uint64_t CountNew(const os::PageSet::Pages& pages, const LeafPatches* patches) {
  uint64_t count = pages.count();
  if (patches == nullptr) return count;
  for (const LivePatch& patch : *patches) count -= pages.test(patch.page) ? 1 : 0;
  return count;
}

bool IsBefore(const LivePatch& a, const LivePatch& b) { return a.page < b.page; }

}  // namespace

uint64_t PatchesMax(const Tree& tree) {
  return std::min(kReplacedMax, LeafCount(tree) * kPagesPerLeaf / 8 * 5);
}

PatchWriter::~PatchWriter() { Drain(); }

void PatchWriter::Drain() {
  if (io_ != nullptr) io_->Drain();
}

Status PatchWriter::BeginBatch() {
  Batch& batch = batches_[filling_];
  if (batch.memory != nullptr) return Code::kOk;
  batch.memory = MakeBuffer(kBatchPages * kPageBytes);
  return batch.memory != nullptr ? Status()
                                 : Fail(Code::kNoMemory, "no memory for a checkpoint's pages");
}

Status PatchWriter::BeginWriting() {
  if (io_ != nullptr) return Code::kOk;
  const bool are_few = batches_[filling_].places.size() <= kFewPages;
  // The buffers are not registered, which would take longer than a few writes.
  Result<std::unique_ptr<os::BlockIo>> io =
      are_few ? os::BlockIo::OpenForFew(file_, os::kPageIoDepth)
              : os::BlockIo::Open(file_, true, {}, os::kPageIoDepth);
  if (!io) return io.status();
  io_ = std::move(*io);
  return Code::kOk;
}

Result<bool> PatchWriter::Replace(SubtreePosition position, const os::PageSet::Pages& pages,
                                  const SubtreeMemory& subtree, Tree& tree) {
  const uint64_t count = CountNew(pages, tree.PatchesOf(position));
  if (tree.patch_count + count > patches_max_) return false;
  tree.patch_count += count;
  for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
    if (pages.test(page)) MORSEL_TRY(Add(position, page, subtree));
  }
  return true;
}

// ORDER  copy  <  checksum  <  write
// WHY    the checksum must be of the bytes that are written, whatever is stored meanwhile. [IMG-6]
// CRASH  makes no difference. A page that is stored to while it is written would load as kCorrupt.
// TEST   image/patches_test: AStoreDuringTheCheckpointDamagesNoReplacedPage
Status PatchWriter::Add(SubtreePosition position, uint32_t page, const SubtreeMemory& subtree) {
  MORSEL_TRY(BeginBatch());
  Batch& batch = batches_[filling_];
  char* const copy = batch.memory.get() + batch.places.size() * kPageBytes;
  CopyPage(copy, subtree.bytes, page, subtree.touched);
  batch.places.push_back({position, {0, Checksum128(copy, kPageBytes), generation_, page}});
  return batch.places.size() == kBatchPages ? Flush() : Status();
}

// Writes the batch that is being filled to free space, and goes on with the other one.     [IMG-1]
Status PatchWriter::Flush() {
  MORSEL_TRY(BeginWriting());
  Batch& batch = batches_[filling_];
  const uint64_t fragments_max = std::min(space_.end() / kFragmentsPart, kFragmentsMax);
  for (size_t done = 0; done < batch.places.size();) {
    const FileExtent run =
        space_.TakeSome((batch.places.size() - done) * kPageBytes, fragments_max);
    written_.push_back(run);
    const char* const bytes = batch.memory.get() + done * kPageBytes;
    for (uint64_t offset = run.offset; offset < run.end(); offset += kPageBytes, ++done) {
      Place& place = batch.places[done];
      place.patch.offset = offset;
      fresh_[place.position].push_back(place.patch);
    }
    while (io_->in_flight() == io_->depth()) MORSEL_TRY(Reap());
    MORSEL_TRY(io_->StartWrite(bytes, run.size_bytes, run.offset, -1, filling_));
    ++batch.in_flight;
    page_bytes_ += run.size_bytes;
  }
  filling_ = 1 - filling_;
  while (batches_[filling_].in_flight > 0) MORSEL_TRY(Reap());
  batches_[filling_].places.clear();
  return Code::kOk;
}

Status PatchWriter::Reap() {
  const os::BlockIo::Done done = io_->Wait();
  if (done.tag < batches_.size()) --batches_[done.tag].in_flight;
  return done.status;
}

Status PatchWriter::Finish(Tree& tree) {
  if (!batches_[filling_].places.empty()) MORSEL_TRY(Flush());
  MergeInto(tree);
  MORSEL_TRY(WriteList(tree));
  while (io_ != nullptr && io_->in_flight() > 0) MORSEL_TRY(Reap());
  return Code::kOk;
}

void PatchWriter::MergeInto(Tree& tree) const {
  for (const auto& [position, fresh] : fresh_) {
    std::shared_ptr<const LeafPatches>& patches = tree.patches[position];
    if (patches == nullptr) {
      patches = std::make_shared<const LeafPatches>(fresh);
      continue;
    }
    LeafPatches merged;
    merged.reserve(patches->size() + fresh.size());
    std::set_union(fresh.begin(), fresh.end(), patches->begin(), patches->end(),
                   std::back_inserter(merged), IsBefore);
    patches = std::make_shared<const LeafPatches>(std::move(merged));
  }
}

// Writes the list of this generation. It takes the place of the last lists as far as they are
// short. Lists at the end of which nothing counts any more are dropped, also where there is no new
// list.
Status PatchWriter::WriteList(Tree& tree) {
  const std::vector<uint64_t> counts = LiveCounts(tree);
  uint64_t count = 0;
  for (const auto& [position, fresh] : fresh_) count += fresh.size();
  const bool is_new = count > 0;
  size_t kept = tree.lists.size();
  while (kept > 0 && (counts[kept - 1] < 2 * count || counts[kept - 1] == 0 ||
                      (is_new && kept == kPatchListsMax))) {
    count += counts[--kept];
  }
  tree.lists.resize(kept);
  if (!is_new) return Code::kOk;
  PatchList list{};
  list.count = count;
  list.generation = generation_;
  const uint64_t size_bytes = ListExtentOf(list).size_bytes;
  list_ = MakeBuffer(size_bytes);
  if (list_ == nullptr) return Fail(Code::kNoMemory, "no memory for a checkpoint's list of pages");
  const uint64_t generation_kept = kept > 0 ? tree.lists.back().generation : 0;
  uint64_t at = 0;
  for (const auto& [position, patches] : tree.patches) {
    for (const LivePatch& patch : *patches) {
      if (patch.generation <= generation_kept) continue;
      const Patch listed = {patch.offset, position.value() * kPagesPerLeaf + patch.page,
                            patch.sum.low, patch.sum.high};
      MORSEL_CHECK(at + sizeof listed <= size_bytes);
      std::memcpy(list_.get() + at, &listed, sizeof listed);
      at += sizeof listed;
    }
  }
  MORSEL_CHECK(at == count * sizeof(Patch));
  std::memset(list_.get() + at, 0, size_bytes - at);
  const Sum128 sum = Checksum128(list_.get(), at);
  list.sum_low = sum.low;
  list.sum_high = sum.high;
  list.offset = space_.Take(size_bytes);
  written_.push_back({list.offset, size_bytes});
  tree.lists.push_back(list);
  list_bytes_ = size_bytes;
  while (io_->in_flight() == io_->depth()) MORSEL_TRY(Reap());
  return io_->StartWrite(list_.get(), size_bytes, list.offset, -1, batches_.size());
}

}  // namespace morsel::image
