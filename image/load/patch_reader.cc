#include "image/load/patch_reader.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace morsel::image {
namespace {

// Enough for all reads in flight, and for some runs that are being verified.
constexpr size_t kRuns = os::kIoDepth + 4;
/// Reading this much that nobody wants costs less than another read.
constexpr uint64_t kGapMax = 32 * kKiB;

}  // namespace

PatchReader::~PatchReader() {
  workers_.reset();
  if (io_ != nullptr) io_->Drain();
}

void PatchReader::Collect(const Tree& tree) {
  pages_.reserve(tree.patch_count);
  for (const auto& [position, patches] : tree.patches) {
    for (const LivePatch& patch : *patches) pages_.push_back({patch.offset, position, &patch});
  }
  std::sort(pages_.begin(), pages_.end(),
            [](const Page& a, const Page& b) { return a.offset < b.offset; });
}

Status PatchReader::Begin() {
  memory_ = MakeBuffer(kRuns * kRunBytes);
  if (memory_ == nullptr) return Fail(Code::kNoMemory, "no memory to read replaced pages with");
  runs_.resize(kRuns);
  std::vector<os::IoBuffer> buffers;
  for (size_t i = 0; i < kRuns; ++i) {
    runs_[i].memory = memory_.get() + i * kRunBytes;
    buffers.push_back({runs_[i].memory, kRunBytes});
    free_.push_back(i);
  }
  Result<std::unique_ptr<os::BlockIo>> io = os::BlockIo::Open(file_, false, buffers);
  if (!io) return io.status();
  io_ = std::move(*io);
  workers_ = std::make_unique<Workers>(
      kRuns, [this](size_t run, unsigned) { Verify(runs_[run]); },
      std::min<unsigned>(ProcessorCount(), kRuns));
  return Code::kOk;
}

Status PatchReader::Read(const Tree& tree, char* frames, const Ended& ended) {
  frames_ = frames;
  Collect(tree);
  if (pages_.empty()) return Code::kOk;
  MORSEL_TRY(Begin());
  for (size_t first = 0; first < pages_.size();) {
    const size_t past = EndOfRun(first);
    while (free_.empty() || io_->in_flight() == os::kIoDepth) MORSEL_TRY(Advance(ended));
    const Status begun = Start(first, past);
    if (!begun.ok()) MORSEL_TRY(ReadSingly(runs_[free_.back()], ended));
    first = past;
  }
  while (io_->in_flight() > 0 || !verifying_.empty()) MORSEL_TRY(Advance(ended));
  return Code::kOk;
}

size_t PatchReader::EndOfRun(size_t first) const {
  const uint64_t end_max = pages_[first].offset + kRunBytes;
  size_t past = first + 1;
  // In a damaged image several pages may claim one place, so their number is bounded, too.
  while (past < pages_.size() && past - first < kPagesPerRun &&
         pages_[past].offset + kPageBytes <= end_max &&
         pages_[past].offset <= pages_[past - 1].offset + kPageBytes + kGapMax) {
    ++past;
  }
  return past;
}

Status PatchReader::Start(size_t first, size_t past) {
  const size_t index = free_.back();
  Run& run = runs_[index];
  run.first = first;
  run.past = past;
  const uint64_t offset = pages_[first].offset;
  const uint64_t size_bytes = pages_[past - 1].offset + kPageBytes - offset;
  MORSEL_TRY(io_->StartRead(run.memory, size_bytes, offset, static_cast<int>(index), index));
  free_.pop_back();
  return Code::kOk;
}

// Finishes one run, or hands one that was read to the workers. They verify it while the disk goes
// on reading.
Status PatchReader::Advance(const Ended& ended) {
  if (!verifying_.empty() && io_->in_flight() < os::kIoDepth) {
    const size_t run = verifying_.front();
    verifying_.pop_front();
    workers_->Await(run);
    free_.push_back(run);
    return End(run, ended);
  }
  const os::BlockIo::Done done = io_->Wait();
  if (!done.status.ok()) {
    free_.push_back(done.tag);
    return ReadSingly(runs_[done.tag], ended);
  }
  verifying_.push_back(done.tag);
  workers_->Start(done.tag);
  return Code::kOk;
}

// Verifies the pages of a run, and copies those that are sound. Runs on any of the workers'
// threads.
void PatchReader::Verify(Run& run) const {
  const uint64_t offset = pages_[run.first].offset;
  for (size_t i = run.first; i < run.past; ++i) {
    const Page& page = pages_[i];
    const char* const bytes = run.memory + (page.offset - offset);
    const bool is_sound = Checksum128(bytes, kPageBytes) == page.patch->sum;
    run.sound.set(i - run.first, is_sound);
    if (!is_sound || frames_ == nullptr) continue;
    char* const leaf = frames_ + page.position.value() * kSubtreeBytes;
    std::memcpy(leaf + page.patch->page * kPageBytes, bytes, kPageBytes);
  }
}

Status PatchReader::End(size_t index, const Ended& ended) {
  const Run& run = runs_[index];
  for (size_t i = run.first; i < run.past; ++i) {
    MORSEL_TRY(ended(pages_[i].position, Judge(pages_[i], run.sound.test(i - run.first))));
  }
  return Code::kOk;
}

// Reads the pages of a run one by one, because the run could not be read at once. Perhaps only one
// of them, or something between them, cannot be read.
Status PatchReader::ReadSingly(Run& run, const Ended& ended) {
  const size_t past = run.past;
  for (; run.first < past; ++run.first) {
    const Page& page = pages_[run.first];
    run.past = run.first + 1;
    Status status = file_.ReadExactly(run.memory, kPageBytes, page.offset);
    if (status.ok()) {
      Verify(run);
      status = Judge(page, run.sound.test(0));
    } else {
      status = FailRead(base_, page.position, status);
    }
    MORSEL_TRY(ended(page.position, status));
  }
  return Code::kOk;
}

Status PatchReader::Judge(const Page& page, bool is_sound) const {
  return is_sound ? Status() : FailSum(file_, base_, page.position, {page.offset, kPageBytes});
}

}  // namespace morsel::image
