// Tries the fuzzer's inputs again, and new ones for some seconds. ./dev fuzz tries more of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "image/image_fuzz_testing.h"
#include "image/image_testing.h"
#include "image/log/record_layout.h"
#include "os/testing/seed_testing.h"

namespace morsel::image {
namespace {

namespace fs = std::filesystem;
using Random = std::mt19937_64;

constexpr char kCorpus[] = "image/fuzz_corpus";
constexpr std::chrono::seconds kMutating(3);
constexpr size_t kInputBytesMax = 160 * kKiB;

// For a count, an offset, a length, a generation: at the edges of what a reader bounds, and beyond.
constexpr uint64_t kHostile[] = {0,
                                 1,
                                 21,
                                 257,
                                 0xffffffff,
                                 0x100000000,
                                 2 * kPagesPerLeaf,
                                 kPatchesMax + 1,
                                 kGenerationsEnd - 1,
                                 kGenerationsEnd,
                                 ~uint64_t{0} / kPageBytes,
                                 ~uint64_t{0}};

bool IsZeroWord(const char* word) {
  return std::all_of(word, word + sizeof(uint64_t), [](char byte) { return byte == 0; });
}

// Makes the sum right that `bytes` have at `checksum`.
void Seal(char* bytes, uint64_t size_bytes, uint64_t checksum) {
  std::memset(bytes + checksum, 0, sizeof(uint64_t));
  const uint64_t sum = Checksum64(bytes, size_bytes);
  std::memcpy(bytes + checksum, &sum, sizeof sum);
}

// Makes small images: their leaves compress well, or there are none.
class ImageFuzzTest : public ImageTest {
 protected:
  void SetUp() override {
    ImageTest::SetUp();
    setenv("MORSEL_IO", "plain", 1);
  }
  void Try(const std::string& input) {
    TryImage(input);
    ++tried_;
  }
  void ExpectTried(uint64_t at_least) const {
    std::printf("%llu inputs\n", static_cast<unsigned long long>(tried_));
    EXPECT_GT(tried_, at_least);
  }

  // Makes an input from an image of a few generations, with replaced pages.
  std::string Seed(Codec codec, uint64_t generations) {
    Memory memory = MemoryOf(4);
    std::memset(memory.data(), 'a', kSubtreeBytes / 2);
    std::memset(memory.data() + 2 * kSubtreeBytes, 'b', 3 * kPageBytes);
    const std::string name = "seed" + std::to_string(seeds_++);
    Result<ImageFile> image = Create(name, memory, TestCalls(), codec);
    EXPECT_TRUE(image) << LastError();
    for (uint64_t i = 0; i < generations; ++i) {
      memory[i * kPageBytes] ^= 1;
      memory[3 * kSubtreeBytes] = static_cast<char>(i);
      EXPECT_TRUE(image->Store(memory.data(), memory.size(), 3).ok()) << LastError();
    }
    const std::string input = InputOf(Bytes(name), 1);
    EXPECT_LT(input.size(), kInputBytesMax);
    return input;
  }
  // Makes an input with a log of some records. The log is cut behind them: inputs are short.
  std::string SeedOfLog() {
    setenv("MORSEL_LOG", "always", 1);
    Memory memory = MemoryOf(2);
    std::memset(memory.data(), 'a', kSubtreeBytes / 2);
    Result<ImageFile> image = Create("log", memory, TestCalls(), Codec::kLz4);
    EXPECT_TRUE(image) << LastError();
    for (uint64_t i = 0; i < 4; ++i) {
      os::PageSet dirty;
      for (uint64_t page = i; page < 2 * i + 1; ++page) {
        memory[page * kPageBytes] ^= 1;
        dirty.Add(page * kPageBytes, kPageBytes);
      }
      EXPECT_TRUE(image->Store(memory.data(), memory.size(), i, &dirty).ok()) << LastError();
    }
    unsetenv("MORSEL_LOG");
    std::string bytes = Bytes("log");
    const uint64_t log_bytes = 20 * kBlockBytes;
    for (const uint64_t slot : kSlotOffsets) {
      ImageSuperblock superblock;
      std::memcpy(&superblock, &bytes[slot], sizeof superblock);
      EXPECT_LE(superblock.log_offset + superblock.log_bytes, bytes.size());
      superblock.log_bytes = log_bytes;
      std::memcpy(&bytes[slot], &superblock, sizeof superblock);
      if (slot != 0) bytes.resize(superblock.log_offset + log_bytes);
    }
    SealImage(bytes);
    const std::string input = InputOf(bytes, 1);
    EXPECT_LT(input.size(), kInputBytesMax);
    return input;
  }
  std::vector<std::string> Seeds() {
    std::vector<std::string> seeds = {SeedOfLog()};
    for (const Codec codec : EveryCompressingCodec()) {
      for (const uint64_t generations : {0, 1, 3}) seeds.push_back(Seed(codec, generations));
    }
    Result<ImageFile> image = Create("empty", MemoryOf(1));
    EXPECT_TRUE(image) << LastError();
    seeds.push_back(InputOf(Bytes("empty"), 1));
    return seeds;
  }
  static std::vector<std::string> Corpus() {
    std::vector<std::string> inputs;
    for (const auto& entry : fs::directory_iterator(kCorpus)) {
      std::ifstream file(entry.path(), std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return inputs;
  }

  // Changes mostly tables: words of eight bytes, and the beginnings of blocks.
  static void Mutate(std::string& input, Random& random) {
    static constexpr uint64_t kWords[] = {0,    1,    2,     3,          64,
                                          4096, 8192, 12288, 0xffffffff, ~uint64_t{0}};
    for (uint64_t changes = random() % 4 + 1; changes > 0 && input.size() > 16; --changes) {
      const uint64_t at = 1 + (random() % (input.size() - 9) & ~uint64_t{7});
      switch (random() % 5) {
        case 0:
          input[at] = static_cast<char>(input[at] ^ 1 << random() % 8);
          break;
        case 1:
          std::memcpy(&input[at], &kWords[random() % std::size(kWords)], 8);
          break;
        case 2:
          std::memcpy(&input[at], &input[1 + (random() % (input.size() - 9) & ~uint64_t{7})], 8);
          break;
        case 3:
          if (random() % 8 == 0) input.resize(at);
          break;
        default: {
          const uint64_t block = random() % (input.size() / kBlockBytes + 1);
          const uint64_t word = block * kBlockBytes + random() % 32 * 8 + 1;
          const uint64_t value = random() % 40 * kBlockBytes;
          if (word + 8 <= input.size()) std::memcpy(&input[word], &value, 8);
        }
      }
    }
  }

  int seeds_ = 0;
  uint64_t tried_ = 0;
};

TEST_F(ImageFuzzTest, InputsFoundBeforeAreHarmless) {
  const std::vector<std::string> inputs = Corpus();
  EXPECT_FALSE(inputs.empty());
  for (const std::string& input : inputs) Try(input);
  // If a folder is named, the fuzzer's first inputs are made there.
  const char* const folder = std::getenv("MORSEL_FUZZ_SEEDS");
  int number = 0;
  for (const std::string& seed : Seeds()) {
    Try(seed);
    if (folder == nullptr) continue;
    const std::string path = std::string(folder) + "/seed" + std::to_string(number++);
    std::ofstream(path, std::ios::binary) << seed;
  }
}

TEST_F(ImageFuzzTest, ChangedImagesAreRefusedOrWhole) {
  Random random(FreshSeed());
  std::vector<std::string> seeds = Seeds();
  for (std::string& input : Corpus()) seeds.push_back(std::move(input));
  const auto end = std::chrono::steady_clock::now() + kMutating;
  while (std::chrono::steady_clock::now() < end) {
    std::string input = seeds[random() % seeds.size()];
    Mutate(input, random);
    Try(input);
  }
  ExpectTried(10);
}

// Otherwise the fuzzer would test the checksums and nothing behind them.
TEST_F(ImageFuzzTest, SealedImagesAreBelieved) {
  const std::string seed = Seed(Codec::kLz4, 3);
  std::string bytes = ImageIn(seed);
  ImageSuperblock superblock;
  const uint64_t slot = SlotOffset(8);
  std::memcpy(&superblock, &bytes[slot], sizeof superblock);
  superblock.live_bytes = 77;
  std::memcpy(&bytes[slot], &superblock, sizeof superblock);
  ASSERT_NE(superblock.lists[0].count, 0u);
  Patch patch;
  std::memcpy(&patch, &bytes[superblock.lists[0].offset], sizeof patch);
  bytes[patch.offset + 5] ^= 1;
  SealImage(bytes);
  SetBytes("sealed", bytes);
  const Result<ImageFile> image = Open("sealed", true);
  ASSERT_TRUE(image) << LastError();
  EXPECT_EQ(image->info().live_bytes, 77u);
  EXPECT_TRUE(Read("sealed")) << LastError();
}

TEST_F(ImageFuzzTest, SealedLogsAreBelieved) {
  std::string bytes = ImageIn(SeedOfLog());
  ImageSuperblock superblock;
  std::memcpy(&superblock, bytes.data(), sizeof superblock);
  bytes[superblock.log_offset + kBlockBytes + 5] ^= 1;
  bytes[superblock.log_offset + offsetof(RecordHead, live_bytes)] ^= 64;
  SealImage(bytes);
  SetBytes("sealed", bytes);
  const Result<ImageFile> image = Open("sealed", true);
  ASSERT_TRUE(image) << LastError();
  EXPECT_FALSE(image->unsettled().empty());
  EXPECT_TRUE(Read("sealed")) << LastError();
}

// Each number of both superblocks is each hostile one, below a right sum.
TEST_F(ImageFuzzTest, HostileNumbersInSuperblocksAreHarmless) {
  for (const std::string& seed : {ImageIn(Seed(Codec::kLz4, 3)), ImageIn(SeedOfLog())}) {
    for (uint64_t word = offsetof(ImageSuperblock, flags) + 4; word < kSuperblockBytes; word += 8) {
      if (IsZeroWord(&seed[kSlotOffsets[0] + word])) continue;
      for (const uint64_t hostile : kHostile) {
        std::string input = seed;
        for (const uint64_t slot : kSlotOffsets) {
          std::memcpy(&input[slot + word], &hostile, sizeof hostile);
          Seal(&input[slot], kSuperblockBytes, offsetof(ImageSuperblock, checksum));
        }
        Try(InputOf(input, 0));
      }
    }
  }
  ExpectTried(200);
}

// Each number of each table and list is each hostile one, and all sums are right.
TEST_F(ImageFuzzTest, HostileNumbersInTablesAndListsAreHarmless) {
  const std::string seed = ImageIn(Seed(Codec::kLz4, 3));
  ImageSuperblock superblock;
  std::memcpy(&superblock, &seed[kSlotOffsets[1]], sizeof superblock);
  Entry table;
  std::memcpy(&table, &seed[superblock.root.offset], sizeof table);
  const PatchList& list = superblock.lists[0];
  const FileExtent extents[] = {{superblock.root.offset, superblock.root.stored_bytes},
                                {table.offset, table.stored_bytes},
                                {list.offset, list.count * sizeof(Patch)}};
  for (const FileExtent& extent : extents) {
    ASSERT_NE(extent.size_bytes, 0u);
    for (uint64_t at = extent.offset; at < extent.end(); at += 8) {
      if (IsZeroWord(&seed[at])) continue;
      for (const uint64_t hostile : kHostile) {
        std::string input = seed;
        std::memcpy(&input[at], &hostile, sizeof hostile);
        Try(InputOf(input, 1));
      }
    }
  }
  ExpectTried(200);
}

// Each number of each record is each hostile one, below a right sum: the others stay, so that
// whoever reads it comes that far.
TEST_F(ImageFuzzTest, HostileNumbersInRecordsAreHarmless) {
  const std::string seed = ImageIn(SeedOfLog());
  ImageSuperblock superblock;
  std::memcpy(&superblock, &seed[kSlotOffsets[1]], sizeof superblock);
  static constexpr uint64_t kWords[] = {
      offsetof(RecordHead, position),   offsetof(RecordHead, block_count),
      offsetof(RecordHead, generation), offsetof(RecordHead, live_bytes),
      offsetof(RecordHead, previous),   sizeof(RecordHead) + offsetof(RecordPage, page)};
  for (uint64_t at = superblock.log_offset; at + sizeof(RecordHead) < seed.size();) {
    RecordHead head;
    std::memcpy(&head, &seed[at], sizeof head);
    if (head.magic != kRecordMagic) break;
    const uint64_t head_bytes = HeadBlocks(head.page_count) * kBlockBytes;
    for (const uint64_t word : kWords) {
      for (const uint64_t hostile : kHostile) {
        std::string input = seed;
        std::memcpy(&input[at + word], &hostile, sizeof hostile);
        Seal(&input[at], head_bytes, offsetof(RecordHead, checksum));
        Try(InputOf(input, 0));
      }
    }
    at += head.block_count * kBlockBytes;
  }
  ExpectTried(100);
}

}  // namespace
}  // namespace morsel::image
