#include "image/store/patch_writer.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"
#include "image/store/touched_copy.h"

namespace morsel::image {
namespace {

/// Fragments may take this part of the file before they are used, but no more than kFragmentsMax
/// bytes, as each of them takes memory.
constexpr uint64_t kFragmentsPart = 16;
constexpr uint64_t kFragmentsMax = 256 * kMiB;

}  // namespace

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
                                  const SubtreeMemory& subtree, const Tree& tree) {
  const uint64_t count = pages.count();
  if (tree.listed.size() + fresh_count_ + count > kListedMax) return false;
  fresh_count_ += count;
  for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
    if (pages.test(page)) MORSEL_TRY(Add(position, page, subtree));
  }
  return true;
}

// ORDER  copy  <  checksum  <  write
// WHY    the checksum must be of the bytes that are written, whatever is stored meanwhile. [IMG-6]
// CRASH  makes no difference. A page that is stored to while it is written would load as kCorrupt.
// TEST   image/lists_test: AStoreDuringTheCheckpointDamagesNoListedPage
Status PatchWriter::Add(SubtreePosition position, uint32_t page, const SubtreeMemory& subtree) {
  MORSEL_TRY(BeginBatch());
  Batch& batch = batches_[filling_];
  char* const copy = batch.memory.get() + batch.places.size() * kPageBytes;
  CopyPage(copy, subtree.bytes, page, subtree.touched);
  batch.places.push_back({position.value() * kPagesPerLeaf + page, Checksum128(copy, kPageBytes)});
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
      const Place& place = batch.places[done];
      fresh_[place.page] = {offset, place.sum};
    }
    while (io_->in_flight() == io_->depth()) MORSEL_TRY(Reap());
    MORSEL_TRY(io_->StartWrite(bytes, run.size_bytes, run.offset, -1, filling_));
    ++batch.in_flight;
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
  for (const auto& [page, place] : fresh_) tree.listed[page] = place;
  if (tree.listed.empty()) tree.lists.clear();
  if (!fresh_.empty()) MORSEL_TRY(WriteList(tree));
  while (io_ != nullptr && io_->in_flight() > 0) MORSEL_TRY(Reap());
  return Code::kOk;
}

// Writes one list of all pages, twice. It takes the place of those before.
Status PatchWriter::WriteList(Tree& tree) {
  PatchList list{};
  list.count = tree.listed.size();
  list.generation = generation_;
  const uint64_t size_bytes = ListExtentOf(list).size_bytes;
  list_ = MakeBuffer(size_bytes);
  if (list_ == nullptr) return Fail(Code::kNoMemory, "no memory for a checkpoint's list of pages");
  uint64_t at = 0;
  for (const auto& [page, place] : tree.listed) {
    const Patch listed = {place.offset, page, place.sum.low, place.sum.high};
    std::memcpy(list_.get() + at, &listed, sizeof listed);
    at += sizeof listed;
  }
  std::memset(list_.get() + at, 0, size_bytes - at);
  const Sum128 sum = Checksum128(list_.get(), at);
  list.sum_low = sum.low;
  list.sum_high = sum.high;
  const uint64_t first = space_.Take(size_bytes);
  tree.lists.clear();
  for (const uint64_t offset : {first, space_.TakeApart(size_bytes, first)}) {
    list.offset = offset;
    written_.push_back({offset, size_bytes});
    tree.lists.push_back(list);
    while (io_->in_flight() == io_->depth()) MORSEL_TRY(Reap());
    MORSEL_TRY(io_->StartWrite(list_.get(), size_bytes, offset, -1, batches_.size()));
  }
  return Code::kOk;
}

}  // namespace morsel::image
