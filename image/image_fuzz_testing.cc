#include "image/image_fuzz_testing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/bits.h"
#include "base/check.h"
#include "image/image_file.h"
#include "image/log/log_reader.h"
#include "image/log/record_layout.h"
#include "image/pipeline/coder.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {
namespace {

/// A larger image is not loaded: it may say that it has 128 TiB.
constexpr uint64_t kLoadedBytesMax = 16 * kSubtreeBytes;

/// An image of an input has at most so many blocks.
constexpr uint64_t kInputBlocksMax = 2048;

/// Memory that can be zeroed again and again.
class Memory {
 public:
  Memory() {
    void* const bytes = mmap(nullptr, kLoadedBytesMax, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MORSEL_CHECK(bytes != MAP_FAILED);
    bytes_ = static_cast<char*>(bytes);
  }
  char* Zeroed() {
    MORSEL_CHECK(madvise(bytes_, kLoadedBytesMax, MADV_DONTNEED) == 0);
    return bytes_;
  }

 private:
  char* bytes_;
};

/// Walks down from the superblocks, and makes sums right on the way back.
class Sealing {
 public:
  explicit Sealing(std::string& bytes) : bytes_(bytes) {}

  void Run() {
    for (const uint64_t offset : kSlotOffsets) {
      ImageSuperblock superblock;
      if (!Get(superblock, offset) || IsOfVersion4(superblock)) continue;
      SealTable(superblock.root, 0);
      for (PatchList& list : superblock.lists) SealList(list);
      if (HasLog(superblock)) SealLog(superblock);
      superblock.checksum = 0;
      superblock.checksum = Checksum64(&superblock, sizeof superblock);
      Put(superblock, offset);
    }
  }

 private:
  template <class T>
  bool Get(T& to, uint64_t offset) const {
    if (!Within(offset, sizeof to, bytes_.size())) return false;
    std::memcpy(&to, bytes_.data() + offset, sizeof to);
    return true;
  }
  template <class T>
  void Put(const T& from, uint64_t offset) {
    std::memcpy(bytes_.data() + offset, &from, sizeof from);
  }
  // Bounds the walk: the image may lead to the same part again and again.
  bool MayGoOn() { return steps_-- > 0; }

  void SealTable(Entry& table, int depth) {
    const uint64_t count = table.stored_bytes / sizeof(Entry);
    if (!Within(table.offset, table.stored_bytes, bytes_.size())) return;
    if (!Within(table.second, table.stored_bytes, bytes_.size())) return;
    for (uint64_t i = 0; i < count && MayGoOn(); ++i) {
      const uint64_t offset = table.offset + i * sizeof(Entry);
      Entry entry;
      if (!Get(entry, offset) || !IsPresent(entry)) continue;
      depth == 0 ? SealTable(entry, 1) : SealLeaf(entry);
      Put(entry, offset);
    }
    std::memmove(bytes_.data() + table.second, bytes_.data() + table.offset, table.stored_bytes);
    const Sum128 sum = Checksum128(bytes_.data() + table.offset, table.stored_bytes);
    table.sum_low = sum.low;
    table.sum_high = sum.high;
  }

  void SealLeaf(Entry& leaf) {
    if (leaves_ == 0 || !Within(leaf.offset, leaf.stored_bytes, bytes_.size())) return;
    --leaves_;
    const char* memory = bytes_.data() + leaf.offset;
    if (leaf.codec != Codec::kNone) {
      if (decoded_ == nullptr) decoded_ = std::make_unique<char[]>(kSubtreeBytes);
      Result<Decoder> decoder = Decoder::Make();
      if (!decoder->Decode(leaf.codec, memory, leaf.stored_bytes, decoded_.get())) return;
      memory = decoded_.get();
    } else if (leaf.stored_bytes < kSubtreeBytes) {
      return;
    }
    PageSums sums;
    const Sum128 sum = SumPages(memory, sums);
    leaf.sum_low = sum.low;
    leaf.sum_high = sum.high;
    if (Within(leaf.second, sizeof sums, bytes_.size())) Put(sums, leaf.second);
  }

  void SealList(PatchList& list) {
    const uint64_t count = std::min(list.count, kPatchesMax);
    if (count == 0 || !Within(list.offset, count * sizeof(Patch), bytes_.size())) return;
    for (uint64_t i = 0; i < count && MayGoOn(); ++i) {
      const uint64_t offset = list.offset + i * sizeof(Patch);
      Patch patch;
      if (!Get(patch, offset) || !Within(patch.offset, kPageBytes, bytes_.size())) continue;
      const Sum128 sum = Checksum128(bytes_.data() + patch.offset, kPageBytes);
      patch.sum_low = sum.low;
      patch.sum_high = sum.high;
      Put(patch, offset);
    }
    const Sum128 sum = Checksum128(bytes_.data() + list.offset, count * sizeof(Patch));
    list.sum_low = sum.low;
    list.sum_high = sum.high;
  }

  // Makes records of what has their magic, one behind the other.
  void SealLog(const ImageSuperblock& superblock) {
    uint64_t previous = SumOfStart(superblock);
    uint64_t position = superblock.log_position;
    for (uint64_t at = superblock.log_offset; MayGoOn();) {
      RecordHead head;
      if (!Get(head, at) || head.magic != kRecordMagic) return;
      head.page_count %= kRecordPagesMax + 1;
      const uint64_t head_bytes = HeadBlocks(head.page_count) * kBlockBytes;
      const uint64_t record_bytes = head_bytes + head.page_count * kPageBytes;
      if (!Within(at, record_bytes, bytes_.size())) return;
      for (uint64_t i = 0; i < head.page_count; ++i) {
        const uint64_t entry = at + sizeof head + i * sizeof(RecordPage);
        RecordPage page;
        (void)Get(page, entry);
        const Sum128 sum =
            Checksum128(bytes_.data() + at + head_bytes + i * kPageBytes, kPageBytes);
        page.sum_low = sum.low;
        page.sum_high = sum.high;
        Put(page, entry);
      }
      head.id = superblock.id;
      head.position = position;
      head.block_count = static_cast<uint32_t>(record_bytes / kBlockBytes);
      head.previous = previous;
      head.checksum = 0;
      Put(head, at);
      head.checksum = Checksum64(bytes_.data() + at, head_bytes);
      Put(head, at);
      previous = head.checksum;
      position += head.block_count;
      at += record_bytes;
    }
  }

  std::string& bytes_;
  int steps_ = 20'000;
  int leaves_ = 4;
  std::unique_ptr<char[]> decoded_;
};

/// A file with an image, and all that is tried with it.
class Trial {
 public:
  explicit Trial(const std::string& bytes) {
    descriptor_ = memfd_create("image", MFD_CLOEXEC);
    MORSEL_CHECK(descriptor_ >= 0);
    MORSEL_CHECK(FileOf().WriteAll(bytes.data(), bytes.size(), 0).ok());
  }
  ~Trial() { close(descriptor_); }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  void Run() {
    static Memory memory;
    bool is_whole = false;
    if (const Result<ImageFile> image = ImageFile::Open(FileOf(), true)) {
      uint64_t damaged = 0;
      MORSEL_CHECK(image->Verify([&](const char*) { ++damaged; }).ok());
      is_whole = damaged == 0;
      MORSEL_CHECK(!image->FindDoubts().empty() || !image->info().may_be_older);
      if (image->info().size_bytes <= kLoadedBytesMax) {
        const bool loads = image->Load(memory.Zeroed()).ok();
        // The reverse need not hold: loading does not read the sums of leaves.
        MORSEL_CHECK(loads || !is_whole);
      }
    }
    Salvage(memory, is_whole);
    Write(memory, is_whole);
  }

 private:
  os::File FileOf() const {
    static os::ScriptedCalls calls;
    return os::File(calls, fcntl(descriptor_, F_DUPFD_CLOEXEC, 0), "image");
  }

  void Salvage(Memory& memory, bool is_whole) const {
    bool told = false;
    const Damaged damaged = [&](Status) {
      told = true;
      return Status();
    };
    const Result<ImageFile> image = ImageFile::OpenIntact(FileOf(), damaged);
    MORSEL_CHECK(image.has_value() || !is_whole);
    if (!image || image->info().size_bytes > kLoadedBytesMax) return;
    MORSEL_CHECK(image->LoadIntact(memory.Zeroed(), damaged).ok());
    MORSEL_CHECK(!told || !is_whole || !image->FindDoubts().empty());
  }

  // What is written to the image is there afterwards, whatever was there before. If a leaf may be
  // damaged, so many of its pages change that it is written whole and nobody reads the old one.
  void Write(Memory& memory, bool is_whole) const {
    Result<ImageFile> image = ImageFile::Open(FileOf(), false);
    if (!image || image->info().generation + 1 == 0) return;
    const uint64_t size_bytes = std::min(image->info().capacity_bytes, 2 * kSubtreeBytes);
    char* const bytes = memory.Zeroed();
    const uint64_t filled_bytes = is_whole ? kSubtreeBytes / 2 : kSubtreeBytes / 4 * 3;
    std::memset(bytes, 'x', filled_bytes);
    MORSEL_CHECK(image->Store(bytes, size_bytes, 0).ok());
    const Result<ImageFile> again = ImageFile::Open(FileOf(), true);
    MORSEL_CHECK(again.has_value());
    MORSEL_CHECK(again->info().size_bytes == size_bytes);
    char* const found = memory.Zeroed();
    MORSEL_CHECK(again->Load(found).ok());
    MORSEL_CHECK(found[0] == 'x' && found[filled_bytes - 1] == 'x' && found[filled_bytes] == 0);
  }

  int descriptor_;
};

}  // namespace

void SealImage(std::string& bytes) { Sealing(bytes).Run(); }

std::string InputOf(const std::string& image, char first) {
  std::string input(1, first);
  const std::string zeros(kBlockBytes, '\0');
  const uint64_t count = DivideUp(image.size(), kBlockBytes);
  for (uint64_t block = 0; block < count; ++block) {
    const std::string bytes = image.substr(block * kBlockBytes, kBlockBytes);
    if (zeros.starts_with(bytes) && block + 1 < count) continue;
    input.append(reinterpret_cast<const char*>(&block), sizeof block);
    input += bytes;
  }
  return input;
}

std::string ImageIn(const std::string& input) {
  std::string image;
  for (uint64_t at = 1; at + sizeof(uint64_t) < input.size();
       at += sizeof(uint64_t) + kBlockBytes) {
    uint64_t block;
    std::memcpy(&block, &input[at], sizeof block);
    block %= kInputBlocksMax;
    const std::string bytes = input.substr(at + sizeof block, kBlockBytes);
    const uint64_t offset = block * kBlockBytes;
    if (image.size() < offset + bytes.size()) image.resize(offset + bytes.size());
    image.replace(offset, bytes.size(), bytes);
  }
  return image;
}

void TryImage(const std::string& input) {
  if (input.empty()) return;
  std::string bytes = ImageIn(input);
  if ((input[0] & 1) != 0) SealImage(bytes);
  Trial(bytes).Run();
}

}  // namespace morsel::image

// The function that libFuzzer calls.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes) {
  // Making an io_uring takes longer than reading one of these files.
  static const bool plain = setenv("MORSEL_IO", "plain", 1) == 0;
  (void)plain;
  morsel::image::TryImage(std::string(reinterpret_cast<const char*>(bytes), size_bytes));
  return 0;
}
