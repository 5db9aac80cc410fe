// Leaves that are compressed, by each codec: what they hold, how long they are, and how damage to
// them is found.
#include <gtest/gtest.h>

#include <random>

#include "image/damage_testing.h"
#include "image/format/superblock.h"
#include "image/format/tree_reader.h"
#include "image/pipeline/coder.h"

namespace morsel::image {
namespace {

class CodecTest : public DamageTest, public testing::WithParamInterface<Codec> {
 protected:
  CodecTest() : DamageTest(GetParam()) {}

  Entry LeafOf(const std::string& name, uint64_t position) {
    const Result<ImageFile> image = Open(name, true);
    const Result<ImageSuperblocks> superblocks = ReadSuperblocks(image->file());
    const Result<Tree> tree = ReadTree(image->file(), superblocks->current);
    return tree->leaf(SubtreePosition(position));
  }
};

TEST_P(CodecTest, EachLeafTakesWhatItNeeds) {
  Memory memory = MemoryOf(4);
  FillSubtree(memory, 0, 1);
  FillHalf(memory, 1, 2);
  memory[3 * kSubtreeBytes] = 1;
  ASSERT_TRUE(Create("b", memory, TestCalls(), codec_).has_value()) << LastError();
  EXPECT_TRUE(*Read("b") == memory) << LastError();
  EXPECT_EQ(Open("b", true)->info().codec, codec_);
  EXPECT_EQ(LeafOf("b", 0).codec, Codec::kNone) << "it does not shrink";
  EXPECT_EQ(LeafOf("b", 0).stored_bytes, kSubtreeBytes);
  EXPECT_EQ(LeafOf("b", 1).codec, codec_);
  EXPECT_LT(LeafOf("b", 1).stored_bytes, kSubtreeBytes * 6 / 10);
  EXPECT_EQ(LeafOf("b", 2), Entry{}) << "zeros are not stored";
  EXPECT_EQ(LeafOf("b", 3).codec, codec_);
  EXPECT_LE(LeafExtentOf(LeafOf("b", 3)).size_bytes, 4 * kBlockBytes);
}

// Changes are found by the sums, which are of the pages and not of what is stored.
TEST_P(CodecTest, CheckpointsStoreWhatChangedAndNothingElse) {
  Memory memory = MemoryOf(4);
  for (uint64_t subtree = 0; subtree < 4; ++subtree) FillHalf(memory, subtree, subtree);
  Result<ImageFile> image = Create("b", memory, TestCalls(), codec_);
  ASSERT_TRUE(image.has_value()) << LastError();
  std::mt19937_64 random(3);
  for (int checkpoint = 0; checkpoint < 8; ++checkpoint) {
    const uint64_t before = LeafOf("b", 3).offset;
    memory[random() % (3 * kSubtreeBytes)] ^= 1;
    if (checkpoint % 4 == 1) FillHalf(memory, random() % 3, random());
    if (checkpoint % 4 == 2) FillSubtree(memory, random() % 3, random());
    if (checkpoint % 5 == 4) {
      image = Open("b");
      ASSERT_TRUE(image.has_value()) << LastError();
    }
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
    EXPECT_TRUE(*Read("b") == memory) << checkpoint << ": " << LastError();
    EXPECT_EQ(LeafOf("b", 3).offset, before) << "it was written again";
  }
}

TEST_P(CodecTest, EveryByteOfACompressedLeafIsGuarded) {
  ASSERT_EQ(leaf_.codec, codec_);
  std::string bytes = bytes_;
  const Memory whole = *Read("a");
  int refused = 0;
  for (uint64_t at = 0; at < leaf_.stored_bytes; at += leaf_.stored_bytes / 24) {
    const uint64_t offset = leaf_.offset + at;
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x40);
    SetBytes("b", bytes);
    const Result<Memory> found = Read("b");
    bytes[offset] = bytes_[offset];
    if (found) {
      // Some bits of a compressed leaf mean nothing.
      EXPECT_TRUE(*found == whole) << "offset " << at << " loads as something else";
      continue;
    }
    ++refused;
    EXPECT_EQ(found.error(), Code::kCorrupt);
    EXPECT_TRUE(Says("subtree 0 (0x100100000000-0x100100200000)")) << LastError();
    EXPECT_TRUE(Says("fails its checksum")) << LastError();
  }
  EXPECT_GT(refused, 20);
}

TEST_P(CodecTest, VerifyNamesACompressedLeafThatIsDamaged) {
  const auto messages_of = [&](uint64_t flipped) {
    std::string bytes = bytes_;
    if (flipped != 0) bytes[flipped] = static_cast<char>(bytes[flipped] ^ 0x40);
    SetBytes("b", bytes);
    std::vector<std::string> messages;
    const Result<ImageFile> image = Open("b", true);
    EXPECT_TRUE(image.has_value()) << LastError();
    EXPECT_TRUE(image->Verify([&](const char* words) { messages.emplace_back(words); }).ok());
    return messages;
  };
  EXPECT_EQ(messages_of(0).size(), 0u);
  EXPECT_EQ(messages_of(leaf_.offset + leaf_.stored_bytes / 2).size(), 1u);
  EXPECT_EQ(messages_of(SumsExtentOf(leaf_).end() - 1).size(), 1u) << "its sums";
}

TEST_P(CodecTest, WrongLengthsAreRefused) {
  Entry leaf = leaf_;
  const auto with = [&](uint32_t stored_bytes) {
    leaf.stored_bytes = stored_bytes;
    return WithLeaf(leaf);
  };
  ExpectRefused(with(0), Code::kCorrupt, "impossible extent of 0 bytes");
  ExpectRefused(with(kEncodedBytesMax + 1), Code::kCorrupt, "impossible extent");
  ExpectRefused(with(kSubtreeBytes), Code::kCorrupt, "impossible extent");
  ExpectRefused(with(1), Code::kCorrupt, "subtree 0");
  ExpectRefused(with(leaf_.stored_bytes - 1), Code::kCorrupt, "subtree 0");
  ExpectRefused(with(kEncodedBytesMax), Code::kCorrupt, "");
  // The leaf claims to be of another codec, and to be stored as it is.
  for (const Codec other : EveryCompressingCodec()) {
    if (other == codec_) continue;
    leaf.codec = other;
    ExpectRefused(with(leaf_.stored_bytes), Code::kCorrupt, "subtree 0");
  }
  leaf.codec = Codec::kNone;
  ExpectRefused(with(leaf_.stored_bytes), Code::kCorrupt, "impossible extent");
}

// AddressSanitizer sees that nothing is written beyond a leaf and nothing is read beyond what is
// stored.
TEST_P(CodecTest, DecodeRefusesBytesThatAreNotALeaf) {
  Result<Encoder> encoder = Encoder::Make(codec_);
  Result<Decoder> decoder = Decoder::Make();
  ASSERT_TRUE(encoder.has_value() && decoder.has_value());
  const auto encoded = std::make_unique<char[]>(kEncodedBytesMax);
  const auto leaf = std::make_unique<char[]>(kSubtreeBytes);
  const uint32_t whole = encoder->Encode(memory_.data(), encoded.get());
  ASSERT_GT(whole, 0u);
  EXPECT_TRUE(decoder->Decode(codec_, encoded.get(), whole, leaf.get()));
  EXPECT_EQ(std::memcmp(leaf.get(), memory_.data(), kSubtreeBytes), 0);
  EXPECT_FALSE(decoder->Decode(Codec::kNone, encoded.get(), whole, leaf.get()));
  EXPECT_FALSE(decoder->Decode(codec_, encoded.get(), uint64_t{1} << 40, leaf.get()));
  std::mt19937_64 random(5);
  for (int i = 0; i < 100; ++i) {
    const uint64_t size_bytes = random() % whole;
    const auto some = std::make_unique<char[]>(size_bytes);
    std::memcpy(some.get(), encoded.get(), size_bytes);
    EXPECT_FALSE(decoder->Decode(codec_, some.get(), size_bytes, leaf.get())) << size_bytes;
    for (int flip = 0; flip < 8 && size_bytes > 0; ++flip) {
      some[random() % size_bytes] = static_cast<char>(random());
    }
    (void)decoder->Decode(codec_, some.get(), size_bytes, leaf.get());
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, CodecTest, testing::ValuesIn(EveryCompressingCodec()),
                         [](const auto& info) { return CodecName(info.param); });

}  // namespace
}  // namespace morsel::image
