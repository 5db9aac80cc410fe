#include "image/log/log_writer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "image/log/log_reader.h"

namespace morsel::image {
namespace {

constexpr uint64_t kTableBytes = AlignUp(kRecordPagesMax * sizeof(RecordPage), kBlockBytes);

}  // namespace

Result<RecordBuilder> RecordBuilder::Make() {
  Buffer memory = MakeBuffer(kRecordBytesMax + kTableBytes);
  if (memory == nullptr) return Fail(Code::kNoMemory, "no memory for a checkpoint's record");
  return RecordBuilder(std::move(memory));
}

void RecordBuilder::Begin(uint64_t pages_max) {
  page_count_ = 0;
  pages_max_ = std::min(pages_max, kRecordPagesMax);
}

// ORDER  copy  <  checksum  <  write
// WHY    the checksum must be of the bytes that are written, whatever is stored meanwhile. [IMG-6]
// CRASH  makes no difference. A page that is stored to while it is written would load as kCorrupt.
// TEST   image/log_test: AStoreDuringTheCheckpointDamagesNoUnsettledPage
void RecordBuilder::Add(uint64_t page) {
  MORSEL_CHECK(!is_full());
  const Sum128 sum = Checksum128(next(), kPageBytes);
  table()[page_count_++] = {page, 0, sum.low, sum.high};
}

Result<LogWriter> LogWriter::Open(const os::File& file) {
  Result<os::File> direct = file.OpenDirect(true);
  if (!direct) return direct.status();
  Result<RecordBuilder> record = RecordBuilder::Make();
  if (!record) return record.status();
  return LogWriter(std::move(*direct), std::move(*record));
}

Status LogWriter::Fill(FileExtent log) {
  record_.Begin(0);
  std::memset(record_.pages(), 0, kRecordPagesMax * kPageBytes);
  for (uint64_t done = 0; done < log.size_bytes;) {
    const uint64_t part = std::min(log.size_bytes - done, kRecordPagesMax * kPageBytes);
    MORSEL_TRY(file_.WriteAll(record_.pages(), part, log.offset + done));
    done += part;
  }
  return Code::kOk;
}

void LogWriter::Start(const ImageSuperblock& superblock) {
  id_ = superblock.id;
  log_ = *LogExtentOf(superblock);
  begin_ = end_ = superblock.log_position;
  previous_ = SumOfStart(superblock);
  last_offset_ = 0;
}

Result<bool> LogWriter::HasLast() {
  if (last_offset_ == 0) return true;
  record_.Begin(0);
  RecordHead head;
  static_assert(sizeof head <= kBlockBytes);
  if (const Status read = file_.ReadExactly(record_.pages(), kBlockBytes, last_offset_);
      !read.ok()) {
    if (read.code() == Code::kCorrupt) return false;
    return read;
  }
  std::memcpy(&head, record_.pages(), sizeof head);
  return head.magic == kRecordMagic && head.checksum == previous_;
}

RecordBuilder& LogWriter::Begin() {
  const uint64_t room = std::min(blocks() / kRecordsMin, begin_ + blocks() - end_);
  uint64_t pages_max = std::min(room, kRecordPagesMax);
  while (pages_max > 0 && HeadBlocks(pages_max) + pages_max > room) --pages_max;
  record_.Begin(pages_max);
  return record_;
}

bool LogWriter::HasRoom() const {
  const uint64_t block_count = HeadBlocks(record_.page_count_) + record_.page_count_;
  return end_ + block_count <= begin_ + blocks();
}

Status LogWriter::Append(uint64_t generation, uint64_t live_bytes, UnsettledPages& logged) {
  MORSEL_CHECK(is_started() && HasRoom());
  const uint64_t head_blocks = HeadBlocks(record_.page_count_);
  const uint64_t block_count = head_blocks + record_.page_count_;
  char* const begin = record_.pages() - head_blocks * kBlockBytes;
  RecordHead head{};
  head.magic = kRecordMagic;
  head.id = *id_;
  head.position = end_;
  head.block_count = static_cast<uint32_t>(block_count);
  head.page_count = static_cast<uint32_t>(record_.page_count_);
  head.generation = generation;
  head.live_bytes = live_bytes;
  head.previous = previous_;
  std::memset(begin, 0, head_blocks * kBlockBytes);
  std::memcpy(begin, &head, sizeof head);
  std::memcpy(begin + sizeof head, record_.table(), record_.page_count_ * sizeof(RecordPage));
  head.checksum = Checksum64(begin, head_blocks * kBlockBytes);
  std::memcpy(begin, &head, sizeof head);
  const uint64_t offset = log_.offset + (end_ - begin_) * kBlockBytes;
  // ORDER  this record, durable  <  the next one
  // WHY    a whole head behind a record that is none says that the record is damaged.      [REC-2]
  // CRASH  before: the last checkpoint. After: this one.
  // TEST   tests/disk/image_test: FindsAMissingSyncOfARecord
  MORSEL_TRY(file_.WriteSynced(begin, block_count * kBlockBytes, offset));
  for (uint64_t i = 0; i < record_.page_count_; ++i) {
    const RecordPage& page = record_.table()[i];
    logged[page.page] = {offset + (head_blocks + i) * kBlockBytes, {page.sum_low, page.sum_high}};
  }
  end_ += block_count;
  previous_ = head.checksum;
  last_offset_ = offset;
  return Code::kOk;
}

}  // namespace morsel::image
