#include "image/log/log_reader.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "image/format/version_4.h"
#include "image/log/record_layout.h"
#include "image/pipeline/buffer.h"

namespace morsel::image {
namespace {

/// So much is read at once.
constexpr uint64_t kChunkBlocks = 256;

// Reads past the page cache: a read through it that races a direct write leaves a stale page there.
// Where the file cannot be opened once more, it is read as it is.
class DirectFile {
 public:
  explicit DirectFile(const os::File& file, bool writes = false) : file_(file) {
    const KeepLastError keep;
    Result<os::File> direct = file.OpenDirect(writes);
    if (direct) direct_ = std::move(*direct);
  }
  const os::File& file() const { return direct_ ? *direct_ : file_; }

 private:
  const os::File& file_;
  std::optional<os::File> direct_;
};

// The blocks of a log, read from the first one on as they are needed.
class LogBlocks {
 public:
  LogBlocks(const os::File& file, FileExtent log)
      : direct_(file), log_(log), memory_(MakeBuffer(log.size_bytes)) {}

  bool has_memory() const { return memory_ != nullptr; }
  uint64_t count() const { return log_.size_bytes / kBlockBytes; }
  const char* at(uint64_t block) const { return memory_.get() + block * kBlockBytes; }
  uint64_t OffsetOf(uint64_t block) const { return log_.offset + block * kBlockBytes; }

  /// Makes sure that the blocks before `end` were read. If more cannot be read at once, only these
  /// are: a bad block is an error where it is needed.
  Status Need(uint64_t end) {
    if (end <= read_) return Code::kOk;
    const uint64_t ahead = std::min(count(), std::max(end, read_ + kChunkBlocks));
    {
      const KeepLastError keep;
      if (Read(ahead).ok()) return Code::kOk;
    }
    return Read(end);
  }
  /// The blocks from `block` on are read once more when they are needed.
  void Forget(uint64_t block) { read_ = std::min(read_, block); }

 private:
  Status Read(uint64_t end) {
    MORSEL_TRY(direct_.file().ReadExactly(memory_.get() + read_ * kBlockBytes,
                                          (end - read_) * kBlockBytes, OffsetOf(read_)));
    read_ = end;
    return Code::kOk;
  }

  DirectFile direct_;
  FileExtent log_;
  Buffer memory_;
  uint64_t read_ = 0;
};

// kHead: head and table are whole, and a page is not.
enum class Found { kNothing, kImpossible, kHead, kWhole };

class LogReader {
 public:
  LogReader(const os::File& file, const ImageSuperblock& superblock, const Tree& tree,
            const Damaged& damaged, FileExtent log)
      : file_(file),
        superblock_(superblock),
        tree_(tree),
        damaged_(damaged),
        blocks_(file, log),
        summed_(MakeBuffer(kHeadBlocksMax * kBlockBytes)) {
    contents_.end = superblock.log_position;
    contents_.previous = SumOfStart(superblock);
    contents_.generation = superblock.generation;
    contents_.live_bytes = superblock.live_bytes;
  }

  Result<LogContents> Run() {
    if (!blocks_.has_memory() || summed_ == nullptr) {
      return Fail(Code::kNoMemory, "no memory to read an image's log with");
    }
    Status scanned = CheckNotLater();
    if (scanned.ok()) scanned = Scan();
    if (!scanned.ok()) {
      contents_.is_cut = true;
      MORSEL_TRY(damaged_(scanned));
      MORSEL_TRY(damaged_(NameState(scanned)));
      MORSEL_TRY(NameLater());
    }
    return std::move(contents_);
  }

 private:
  uint64_t BlockOf(uint64_t position) const { return position - superblock_.log_position; }

  // A log begins with the records of its last round, which are written only when both superblocks
  // lead to where that begins. So a later round is behind a superblock that came back, as a disk
  // does that loses writes which it said it had.                                          [REC-2]
  Status CheckNotLater() {
    const Result<bool> is_later = HasHeadIn(0, superblock_.log_position + 1, kLogPositionsEnd);
    if (!is_later) return is_later.status();
    if (!*is_later) return Code::kOk;
    return Fail(Code::kCorrupt,
                "image '%s': the log at offset %" PRIu64
                " has later records than the superblocks know, which are of an older state: what "
                "was checkpointed since cannot be believed; restore it from a copy",
                file_.path().c_str(), blocks_.OffsetOf(0));
  }

  // Takes record after record, up to the log's end.
  Status Scan() {
    for (bool again = false; BlockOf(contents_.end) < blocks_.count();) {
      const Result<Found> found = Look(contents_.end);
      if (!found) return found.status();
      if (*found != Found::kWhole) {
        const Result<bool> is_damage = IsDamage(*found);
        if (!is_damage) return is_damage.status();
        if (!*is_damage) break;
        if (!again) {
          // Another process may have written this record after it was read, and the next one, too.
          again = true;
          blocks_.Forget(BlockOf(contents_.end));
          continue;
        }
        // Pages that do not fit are found when they are wanted.
        if (*found != Found::kHead) return FailRecord();
      }
      Take();
      again = false;
    }
    return Code::kOk;
  }

  Status FailRecord() const {
    return Fail(Code::kCorrupt,
                "image '%s': the log's record at offset %" PRIu64
                " is damaged, and what was checkpointed since cannot be believed; restore it from "
                "a copy",
                file_.path().c_str(), blocks_.OffsetOf(BlockOf(contents_.end)));
  }

  // Whether a head with its table stands at `position`; sets head_ and table_ to them. Of what
  // comes before and after it says nothing.
  Result<bool> HasHead(uint64_t position) {
    return HasHeadIn(BlockOf(position), position, position);
  }

  // The same of a block, for positions from `first` to `last`.
  Result<bool> HasHeadIn(uint64_t block, uint64_t first, uint64_t last) {
    MORSEL_TRY(blocks_.Need(block + 1));
    std::memcpy(&head_, blocks_.at(block), sizeof head_);
    if (head_.magic != kRecordMagic || head_.id != superblock_.id || head_.position < first ||
        head_.position > last || head_.page_count > kRecordPagesMax) {
      return false;
    }
    const uint64_t head_blocks = HeadBlocks(head_.page_count);
    if (head_.block_count != head_blocks + head_.page_count ||
        !Within(block, head_.block_count, blocks_.count())) {
      return false;
    }
    MORSEL_TRY(blocks_.Need(block + head_blocks));
    std::memcpy(summed_.get(), blocks_.at(block), head_blocks * kBlockBytes);
    std::memset(summed_.get() + offsetof(RecordHead, checksum), 0, sizeof head_.checksum);
    if (Checksum64(summed_.get(), head_blocks * kBlockBytes) != head_.checksum) return false;
    table_ = {reinterpret_cast<const RecordPage*>(summed_.get() + sizeof head_), head_.page_count};
    return true;
  }

  // A right sum does not make the fields right.                                           [REC-4]
  bool IsPossible() const {
    if (head_.generation <= last_generation_ || head_.generation >= kGenerationsEnd ||
        head_.live_bytes > superblock_.size_bytes) {
      return false;
    }
    for (size_t i = 0; i < table_.size(); ++i) {
      const uint64_t page = table_[i].page;
      if (page >= superblock_.size_bytes / kPageBytes) return false;
      if (i > 0 && page <= table_[i - 1].page) return false;
      if (!IsPresent(tree_.leaf(SubtreePosition(page / kPagesPerLeaf)))) return false;
    }
    return true;
  }

  Result<Found> Look(uint64_t position) {
    const Result<bool> has_head = HasHead(position);
    if (!has_head) return has_head.status();
    if (!*has_head || head_.previous != contents_.previous) return Found::kNothing;
    if (!IsPossible()) return Found::kImpossible;
    const uint64_t pages_begin = BlockOf(position) + head_.block_count - head_.page_count;
    MORSEL_TRY(blocks_.Need(pages_begin + head_.page_count));
    for (size_t i = 0; i < table_.size(); ++i) {
      const Sum128 sum = {table_[i].sum_low, table_[i].sum_high};
      if (Checksum128(blocks_.at(pages_begin + i), kPageBytes) != sum) return Found::kHead;
    }
    return Found::kWhole;
  }

  // Adds the record that was looked at last.
  void Take() {
    const uint64_t block = BlockOf(contents_.end);
    const uint64_t pages_begin = block + head_.block_count - head_.page_count;
    for (size_t i = 0; i < table_.size(); ++i) {
      contents_.pages[table_[i].page] = {blocks_.OffsetOf(pages_begin + i),
                                         {table_[i].sum_low, table_[i].sum_high}};
    }
    contents_.last = {blocks_.OffsetOf(block), head_.block_count * kBlockBytes};
    contents_.end += head_.block_count;
    contents_.previous = head_.checksum;
    last_generation_ = head_.generation;
    contents_.generation = std::max(contents_.generation, last_generation_);
    contents_.live_bytes = head_.live_bytes;
  }

  // Whether what stands at the end, which is no whole record, is damage.                  [REC-2]
  Result<bool> IsDamage(Found found) {
    if (found == Found::kImpossible || contents_.end < superblock_.log_whole) return true;
    const RecordHead head = head_;
    const bool has_head = found == Found::kHead;
    const uint64_t first = BlockOf(contents_.end) + (has_head ? head.block_count : 1);
    const Result<uint64_t> later = LaterHead(first);
    if (!later) return later.status();
    // Look() has the record at the end again, whose pages may be taken.
    if (has_head) MORSEL_TRY(HasHead(contents_.end).status());
    return *later < blocks_.count();
  }

  // The first block from `block` on at which a head stands in its place; count() if there is none.
  Result<uint64_t> LaterHead(uint64_t block) {
    for (; block < blocks_.count(); ++block) {
      const Result<bool> has_head = HasHead(superblock_.log_position + block);
      if (!has_head) return has_head.status();
      if (*has_head) break;
    }
    return block;
  }

  // Says of what checkpoint all is that is found: what a damaged record has changed is not known.
  Status NameState(Status scanned) const {
    return Fail(scanned.code(),
                "image '%s': all of its memory is as the checkpoint of generation %" PRIu64
                " left it, the last one before the log's record at offset %" PRIu64
                ", and may have changed since: that record does not say any more where",
                file_.path().c_str(), contents_.generation,
                blocks_.OffsetOf(BlockOf(contents_.end)));
  }

  // Names the subtrees that records behind the damaged one have pages of.
  Status NameLater() {
    std::set<uint64_t> subtrees;
    for (uint64_t block = BlockOf(contents_.end) + 1; block < blocks_.count();) {
      const Result<uint64_t> later = LaterHead(block);
      if (!later || *later == blocks_.count()) break;
      for (const RecordPage& page : table_) subtrees.insert(page.page / kPagesPerLeaf);
      block = *later + head_.block_count;
    }
    for (const uint64_t subtree : subtrees) {
      MORSEL_TRY(damaged_(Fail(
          Code::kCorrupt,
          "image '%s': %s is as it was before the log's record at offset %" PRIu64
          ", which is damaged; later ones have newer pages of it",
          file_.path().c_str(), SubtreeName(superblock_.base, SubtreePosition(subtree)).c_str(),
          blocks_.OffsetOf(BlockOf(contents_.end)))));
    }
    return Code::kOk;
  }

  const os::File& file_;
  const ImageSuperblock& superblock_;
  const Tree& tree_;
  const Damaged& damaged_;
  LogBlocks blocks_;
  Buffer summed_;  // head and table of the record that was looked at last
  RecordHead head_{};
  std::span<const RecordPage> table_;
  uint64_t last_generation_ = 0;  // of the last record
  LogContents contents_;
};

}  // namespace

uint64_t SumOfStart(const ImageSuperblock& superblock) {
  const Entry4 of_version_4 = ToVersion4(superblock.root);
  const void* const root =
      IsOfVersion4(superblock) ? static_cast<const void*>(&of_version_4) : &superblock.root;
  struct {
    Id id;
    uint64_t words[5];
  } const start = {superblock.id,
                   {superblock.log_position, superblock.log_offset, superblock.size_bytes,
                    Checksum64(root, sizeof superblock.root),
                    Checksum64(superblock.lists, sizeof superblock.lists)}};
  return Checksum64(&start, sizeof start);
}

Result<LogContents> ReadLog(const os::File& file, const ImageSuperblock& superblock,
                            const Tree& tree, const Damaged& damaged) {
  const std::optional<FileExtent> log = LogExtentOf(superblock);
  if (log) return LogReader(file, superblock, tree, damaged, *log).Run();
  LogContents contents;
  contents.end = superblock.log_position;
  contents.generation = superblock.generation;
  contents.live_bytes = superblock.live_bytes;
  return contents;
}

Result<bool> HasRecordAt(const os::File& file, const ImageSuperblock& superblock,
                         uint64_t position) {
  const std::optional<FileExtent> log = LogExtentOf(superblock);
  if (!log || position - superblock.log_position >= log->size_bytes / kBlockBytes) return false;
  const Buffer block = MakeBuffer(kBlockBytes);
  if (block == nullptr) return Fail(Code::kNoMemory, "no memory to read an image's log with");
  const uint64_t offset = log->offset + (position - superblock.log_position) * kBlockBytes;
  MORSEL_TRY(DirectFile(file).file().ReadExactly(block.get(), kBlockBytes, offset));
  RecordHead head;
  std::memcpy(&head, block.get(), sizeof head);
  return head.magic == kRecordMagic && head.id == superblock.id && head.position == position;
}

Status RewriteLast(const os::File& file, const LogContents& contents) {
  const FileExtent& last = contents.last;
  if (last.size_bytes == 0) return Code::kOk;
  const DirectFile direct(file, true);
  const Buffer memory = MakeBuffer(last.size_bytes);
  if (memory == nullptr) return Fail(Code::kNoMemory, "no memory to read an image's log with");
  MORSEL_TRY(direct.file().ReadExactly(memory.get(), last.size_bytes, last.offset));
  return direct.file().WriteAll(memory.get(), last.size_bytes, last.offset);
}

namespace {

// A page and where it lies.
using Wanted = std::pair<uint64_t, const UnsettledPage*>;

// Reads pages that lie near to each other at once or, if that fails, one by one.
class PageRuns {
 public:
  PageRuns(const os::File& file, uint64_t base, const UnsettledPageVisit& visit)
      : file_(file), direct_(file), base_(base), visit_(visit), memory_(MakeBuffer(kRunBytes)) {}

  bool has_memory() const { return memory_ != nullptr; }

  Status Read(std::span<const Wanted> wanted) {
    while (!wanted.empty()) {
      const uint64_t begin = wanted.front().second->offset;
      size_t count = 1;
      const auto end_of = [&](size_t i) { return wanted[i].second->offset + kPageBytes; };
      while (count < wanted.size() && end_of(count) <= begin + kRunBytes &&
             wanted[count].second->offset <= end_of(count - 1) + kGapMax) {
        ++count;
      }
      MORSEL_TRY(ReadRun(wanted.first(count), end_of(count - 1) - begin));
      wanted = wanted.subspan(count);
    }
    return Code::kOk;
  }

 private:
  static constexpr uint64_t kRunBytes = kMiB;
  /// The head between two short records is read with them.
  static constexpr uint64_t kGapMax = kBlockBytes;

  Status ReadRun(std::span<const Wanted> run, uint64_t size_bytes) {
    const uint64_t begin = run.front().second->offset;
    bool is_read;
    {
      const KeepLastError keep;
      is_read = direct_.file().ReadExactly(memory_.get(), size_bytes, begin).ok();
    }
    for (const auto& [page, logged] : run) {
      char* const bytes = memory_.get() + (logged->offset - begin);
      Status status;
      if (!is_read) status = direct_.file().ReadExactly(bytes, kPageBytes, logged->offset);
      const SubtreePosition position(page / kPagesPerLeaf);
      if (!status.ok()) {
        status = FailRead(base_, position, status);
      } else if (Checksum128(bytes, kPageBytes) != logged->sum) {
        status = FailSum(file_, base_, position, {logged->offset, kPageBytes});
      }
      MORSEL_TRY(visit_(page, bytes, status));
    }
    return Code::kOk;
  }

  const os::File& file_;
  DirectFile direct_;
  uint64_t base_;
  const UnsettledPageVisit& visit_;
  Buffer memory_;
};

}  // namespace

Status ReadUnsettledPages(const os::File& file, uint64_t base, const UnsettledPages& pages,
                          const UnsettledPageVisit& visit) {
  if (pages.empty()) return Code::kOk;
  std::vector<Wanted> wanted;
  for (const auto& [page, logged] : pages) wanted.emplace_back(page, &logged);
  std::sort(wanted.begin(), wanted.end(),
            [](const Wanted& a, const Wanted& b) { return a.second->offset < b.second->offset; });
  PageRuns runs(file, base, visit);
  if (!runs.has_memory()) return Fail(Code::kNoMemory, "no memory to read an image's log with");
  return runs.Read(wanted);
}

}  // namespace morsel::image
