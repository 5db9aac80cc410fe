#include "image/settle/settler.h"

#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"
#include "base/on_heap.h"
#include "image/format/tree_reader.h"
#include "image/log/log_reader.h"
#include "image/store/leaf_pieces.h"
#include "image/store/page_sums.h"
#include "image/store/table_writer.h"

namespace morsel::image {
namespace {

using Page = UnsettledPages::value_type;

SubtreePosition PositionOf(const Page& page) { return SubtreePosition(page.first / kPagesPerLeaf); }

// The first pages of `pages` that belong to one leaf.
std::span<const Page* const> OfOneLeaf(std::span<const Page* const> pages) {
  size_t count = 1;
  while (count < pages.size() && PositionOf(*pages[count]) == PositionOf(*pages[0])) ++count;
  return pages.first(count);
}

}  // namespace

Result<Tree> Settler::Run() {
  Tree tree = old_;
  tree.lists.clear();
  tree.listed.clear();
  Status status = pages_.empty() ? Status() : Begin();
  if (status.ok()) status = SettleAll(tree);
  if (status.ok()) status = Drain();
  if (!status.ok()) {
    if (io_ != nullptr) io_->Drain();
    reader_.Drain();
    return status;
  }
  MORSEL_TRY(sums_.Flush());
  MORSEL_TRY(TableWriter(file_, space_, written_).Write(tree, old_));
  return tree;
}

Status Settler::Begin() {
  memory_ = MakeBuffer(kBatchPages * kPageBytes);
  leaf_ = MakeBuffer(kSubtreeBytes);
  if (memory_ == nullptr || leaf_ == nullptr) {
    return Fail(Code::kNoMemory, "no memory to put pages into their places");
  }
  Result<std::unique_ptr<os::BlockIo>> io =
      pages_.size() <= 16 ? os::BlockIo::OpenForFew(file_, os::kPageIoDepth)
                          : os::BlockIo::Open(file_, true, {}, os::kPageIoDepth);
  if (!io) return io.status();
  io_ = std::move(*io);
  const Result<uint64_t> end = file_.SizeBytes();
  if (!end) return end.status();
  fresh_from_ = *end;
  return Code::kOk;
}

// Takes whole leaves together, as many as a batch holds.
Status Settler::SettleAll(Tree& tree) {
  std::vector<const Page*> all;
  for (const Page& page : pages_) {
    if (IsPresent(old_.leaf(PositionOf(page)))) all.push_back(&page);
  }
  for (std::span<const Page* const> left = all; !left.empty();) {
    size_t count = 0;
    while (count < left.size()) {
      const size_t more = OfOneLeaf(left.subspan(count)).size();
      if (count + more > kBatchPages) break;
      count += more;
    }
    MORSEL_TRY(Drain());
    MORSEL_TRY(ReadPages(left.first(count)));
    const char* bytes = memory_.get();
    for (std::span<const Page* const> rest = left.first(count); !rest.empty();) {
      const std::span<const Page* const> pages = OfOneLeaf(rest);
      MORSEL_TRY(SettleLeaf({PositionOf(*pages[0]), pages, bytes}, tree));
      bytes += pages.size() * kPageBytes;
      rest = rest.subspan(pages.size());
    }
    left = left.subspan(count);
  }
  return Code::kOk;
}

// Reads pages into memory_, one behind the other.                                         [STL-2]
Status Settler::ReadPages(std::span<const Page* const> pages) {
  UnsettledPages wanted;
  std::map<uint64_t, size_t> index;
  for (size_t i = 0; i < pages.size(); ++i) {
    wanted.insert(wanted.end(), *pages[i]);
    index.emplace_hint(index.end(), pages[i]->first, i);
  }
  return ReadUnsettledPages(
      file_, base_, wanted, [&](uint64_t page, const char* bytes, Status status) {
        if (!status.ok()) return status;
        std::memcpy(memory_.get() + index[page] * kPageBytes, bytes, kPageBytes);
        return Status();
      });
}

Status Settler::SettleLeaf(const Batch& batch, Tree& tree) {
  Entry& leaf = tree.LeafToSet(batch.position);
  if (leaf.codec != Codec::kNone || held_.Has(LeafExtentOf(leaf))) return Replace(batch, leaf);
  OnHeap<PageSums> sums;
  MORSEL_TRY(ReadSums(leaf, *sums));
  PutSums(pages_, batch.position, *sums);
  MORSEL_TRY(WriteInPlace(batch, leaf));
  const Result<uint64_t> second = sums_.Add(*sums);
  if (!second) return second.status();
  const Sum128 sum = Checksum128(&*sums, sizeof(PageSums));
  leaf.second = *second;
  leaf.sum_low = sum.low;
  leaf.sum_high = sum.high;
  return Code::kOk;
}

// Sets the sums to those that the leaf's entry names. If these are damaged, they are those of its
// bytes, as far as they can be believed; what cannot be told is lost.                      [IMG-7]
Status Settler::ReadSums(const Entry& leaf, PageSums& sums) {
  if (ReadSumsAt(file_, leaf.second, SumOf(leaf), sums)) return Code::kOk;
  KeepLastError keep;
  if (const Status drained = Drain(); !drained.ok()) {  // what is in flight may be of leaf_
    keep.LetGo();
    return drained;
  }
  const bool has_bytes = file_.ReadExactly(leaf_.get(), kSubtreeBytes, leaf.offset).ok();
  if (has_bytes && SumPages(leaf_.get(), sums) == SumOf(leaf)) return Code::kOk;
  sums = {};
  return Code::kOk;
}

// ORDER  both superblocks lead to the pages, durably  <  their places  <  sync  <  a superblock of
//        the new sums
// WHY    a page that is torn in its place is read from where it was before, which both superblocks
//        lead to until then.                                                             [STL-1]
// CRASH  before the superblock: the old state, with the pages where they were. After: the same
//        state, from the places.
// TEST   image/settle_crash_test: EveryCrashOfASettleIsTheSameState
Status Settler::WriteInPlace(const Batch& batch, const Entry& leaf) {
  for (size_t first = 0; first < batch.pages.size();) {
    size_t past = first + 1;
    while (past < batch.pages.size() &&
           batch.pages[past]->first == batch.pages[past - 1]->first + 1) {
      ++past;
    }
    const uint64_t page = batch.pages[first]->first % kPagesPerLeaf;
    MORSEL_TRY(Write(batch.bytes + first * kPageBytes, (past - first) * kPageBytes,
                     leaf.offset + page * kPageBytes, batch.position));
    first = past;
  }
  return Code::kOk;
}

// A leaf that is compressed changes, or one that a reader has mapped: it is stored raw, elsewhere,
// once.                                                                                   [HLD-1]
Status Settler::Replace(const Batch& batch, Entry& leaf) {
  if (!reads_leaves_) MORSEL_TRY(reader_.BeginSingly(old_));
  reads_leaves_ = true;
  MORSEL_TRY(Drain());  // what is in flight may be of leaf_
  MORSEL_TRY(reader_.Start(batch.position, leaf_.get()));
  MORSEL_TRY(reader_.Await(batch.position));
  for (size_t i = 0; i < batch.pages.size(); ++i) {
    const uint64_t number = batch.pages[i]->first % kPagesPerLeaf;
    std::memcpy(leaf_.get() + number * kPageBytes, batch.bytes + i * kPageBytes, kPageBytes);
  }
  OnHeap<PageSums> sums;
  const Sum128 sum = SumPages(leaf_.get(), *sums);
  const Result<uint64_t> second = sums_.Add(*sums);
  if (!second) return second.status();
  leaf.offset = space_.TakePlace();
  leaf.second = *second;
  leaf.stored_bytes = kSubtreeBytes;
  leaf.codec = Codec::kNone;
  leaf.sum_low = sum.low;
  leaf.sum_high = sum.high;
  written_.push_back(LeafExtentOf(leaf));
  const bool is_fresh = leaf.offset >= fresh_from_;
  for (const LeafPiece& piece :
       is_fresh ? PiecesOf(*sums) : std::vector<LeafPiece>{{0, kPagesPerLeaf}}) {
    MORSEL_TRY(Write(leaf_.get() + piece.offset(), piece.size_bytes(), leaf.offset + piece.offset(),
                     batch.position));
  }
  return Code::kOk;
}

Status Settler::Write(const char* bytes, uint64_t size_bytes, uint64_t offset,
                      SubtreePosition position) {
  while (io_->in_flight() == io_->depth()) MORSEL_TRY(Reap());
  const Status begun = io_->StartWrite(bytes, size_bytes, offset, -1, position.value());
  if (begun.code() == Code::kIo) failed_.insert(position);
  return begun;
}

Status Settler::Reap() {
  const os::BlockIo::Done done = io_->Wait();
  if (done.status.code() == Code::kIo) failed_.insert(SubtreePosition(done.tag));
  return done.status;
}

Status Settler::Drain() {
  while (io_ != nullptr && io_->in_flight() > 0) MORSEL_TRY(Reap());
  return Code::kOk;
}

}  // namespace morsel::image
