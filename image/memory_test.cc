// How much memory beyond the frames storing, loading, verifying and recoding an image takes.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>

#include "image/image_copy.h"
#include "image/image_testing.h"
#include "image/pipeline/buffer.h"
#include "os/testing/allocations_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {
namespace {

constexpr uint64_t kBytesMax = 64 * kMiB;
constexpr uint64_t kSubtrees = 24;

uint64_t AllocatedBytes() {
  const struct mallinfo2 now = mallinfo2();
  return now.uordblks + now.hblkhd + buffer_bytes;
}

uint64_t EncoderBytesMax() {
  return std::ranges::max(AllCodecs(), {}, &CodecRow::encoder_bytes_max).encoder_bytes_max;
}

class MemoryTest : public ImageTest, public testing::WithParamInterface<Codec> {};
using SparseMemoryTest = ImageTest;

// `others` is what would be added if there were as many threads as slots.
TEST_P(MemoryTest, MemoryStaysBelowItsBound) {
  const uint64_t others = 12 * (EncoderBytesMax() + 64 * kKiB);
  Memory memory = MemoryOf(kSubtrees);
  for (uint64_t i = 0; i < kSubtrees; ++i) FillHalf(memory, i, i);
  uint64_t most = 0;
  // When something is read or written, all buffers are in use.
  os::ScriptedCalls calls([&most](const os::Call& call) {
    if (call.size_bytes > 0) most = std::max(most, AllocatedBytes());
    return 0;
  });
  const uint64_t before = AllocatedBytes();
  Result<ImageFile> image = Create("a", memory, calls, GetParam());
  ASSERT_TRUE(image.has_value()) << LastError();
  const uint64_t storing = most - before;
  EXPECT_GT(storing, 8 * kSubtreeBytes) << "the test does not see the buffers";
  EXPECT_LT(storing + others, kBytesMax);
  Memory loaded = MemoryOf(kSubtrees);
  most = 0;
  const uint64_t before_load = AllocatedBytes();
  ASSERT_TRUE(image->Load(loaded.data()).ok()) << LastError();
  EXPECT_TRUE(loaded == memory);
  EXPECT_LT(most - before_load + others, kBytesMax);
  most = 0;
  const uint64_t before_verify = AllocatedBytes();
  ASSERT_TRUE(image->Verify([](const char* words) { ADD_FAILURE() << words; }).ok());
  const uint64_t verifying = most - before_verify;
  EXPECT_LT(verifying + others + 12 * kSubtreeBytes - kSubtreeBytes, kBytesMax);
  for (const Codec codec : EveryCodec()) {
    const Result<os::Directory> directory = os::Directory::Open(calls, path_);
    ASSERT_TRUE(directory.has_value()) << LastError();
    most = 0;
    const uint64_t before_recode = AllocatedBytes();
    const std::string name = CodecName(codec);
    ASSERT_TRUE(RecodeInto(*image, codec, *directory, name, {}).ok()) << LastError();
    const uint64_t recoding = most - before_recode;
    EXPECT_GT(recoding, 8 * kSubtreeBytes) << "the test does not see the buffers";
    EXPECT_LT(recoding + others, kBytesMax);
    std::printf("%s to %s: %.1f MiB\n", CodecName(GetParam()), name.c_str(),
                static_cast<double>(recoding) / kMiB);
  }
  std::printf("%s: storing %.1f, verifying %.1f MiB\n", CodecName(GetParam()),
              static_cast<double>(storing) / kMiB, static_cast<double>(verifying) / kMiB);
}

// Where it is short, nobody could be told: an exception in a thread of the library ends the
// process.
TEST_P(MemoryTest, OnlyTheCallersThreadTakesMemory) {
  Memory memory = MemoryOf(kSubtrees);
  for (uint64_t i = 0; i < kSubtrees; ++i) FillHalf(memory, i, i);
  os::allocations_elsewhere = 0;
  Result<ImageFile> image = Create("a", memory, TestCalls(), GetParam());
  ASSERT_TRUE(image.has_value()) << LastError();
  EXPECT_EQ(os::allocations_elsewhere, 0) << "creating";
  for (uint64_t i = 0; i < kSubtrees; ++i) memory[i * kSubtreeBytes] = static_cast<char>(i + 1);
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, nullptr).ok()) << LastError();
  EXPECT_EQ(os::allocations_elsewhere, 0) << "storing";
  Memory loaded = MemoryOf(kSubtrees);
  ASSERT_TRUE(image->Load(loaded.data()).ok()) << LastError();
  EXPECT_TRUE(loaded == memory);
  EXPECT_EQ(os::allocations_elsewhere, 0) << "loading";
  ASSERT_TRUE(image->Verify([](const char* words) { ADD_FAILURE() << words; }).ok());
  EXPECT_EQ(os::allocations_elsewhere, 0) << "verifying";
  const Result<os::Directory> directory = os::Directory::Open(TestCalls(), path_);
  ASSERT_TRUE(directory.has_value()) << LastError();
  for (const Codec codec : EveryCodec()) {
    ASSERT_TRUE(RecodeInto(*image, codec, *directory, CodecName(codec), {}).ok());
    EXPECT_EQ(os::allocations_elsewhere, 0) << "recoding to " << CodecName(codec);
  }
}

TEST(Encoders, TakeNoMoreMemoryThanTheirRowsSay) {
  Memory memory = MemoryOf(2);
  FillHalf(memory, 0, 1);
  for (const CodecRow& row : AllCodecs()) {
    if (row.encode == nullptr) continue;
    const uint64_t before = AllocatedBytes();
    const CodecState encoder = row.make_encoder();
    ASSERT_NE(encoder, nullptr);
    const std::span<char> to(&memory[kSubtreeBytes], kEncodedBytesMax);
    ASSERT_GT(row.encode(encoder.get(), {memory.data(), kSubtreeBytes}, to), 0u);
    const uint64_t taken = AllocatedBytes() - before;
    EXPECT_GT(taken, row.encoder_bytes_max / 2) << row.name;
    EXPECT_LE(taken, row.encoder_bytes_max) << row.name;
  }
}

// One page of every 4 GiB is touched.
class SparseTouched final : public os::PageFilter {
 public:
  static constexpr uint64_t kStep = 4 * kGiantBytes / kSubtreeBytes;
  os::PageSet::Pages Of(SubtreePosition position) const override {
    return position.value() % kStep == 0 ? os::PageSet::Pages(1) : os::PageSet::Pages();
  }
};

// The memory that an image takes is in proportion to what the morsel holds, not to its size.
TEST_F(SparseMemoryTest, LargeMorselThatHoldsLittleTakesLittleMemory) {
  constexpr uint64_t kBytes = 64 * kGiantBytes;
  void* const frames = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(frames, MAP_FAILED);
  char* const bytes = static_cast<char*>(frames);
  const SparseTouched touched;
  for (uint64_t at = 0; at < kBytes; at += SparseTouched::kStep * kSubtreeBytes) bytes[at] = 1;
  const Result<os::Directory> directory = os::Directory::Open(TestCalls(), path_);
  ImageInfo info = InfoFor(MemoryOf(0));
  info.size_bytes = info.capacity_bytes = kBytes;
  const uint64_t before = AllocatedBytes();
  Result<ImageFile> image = ImageFile::Create(*directory, "a", 0600, info, bytes, &touched);
  ASSERT_TRUE(image.has_value()) << LastError();
  EXPECT_LT(AllocatedBytes() - before, 64 * kKiB);
  bytes[0] = 2;
  ASSERT_TRUE(image->Store(bytes, kBytes, 0, nullptr, &touched).ok()) << LastError();
  EXPECT_LT(AllocatedBytes() - before, 64 * kKiB);
  munmap(frames, kBytes);
}

// The next buffer would not find such a gap whole again.
TEST(Buffers, LeaveNoGapsInTheHeap) {
  const auto in_heap = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
  const uint64_t before = in_heap();
  const Buffer buffer = MakeBuffer(kMiB);
  ASSERT_NE(buffer, nullptr);
  EXPECT_LT(in_heap() - before, kBlockBytes);
}

INSTANTIATE_TEST_SUITE_P(Codecs, MemoryTest, testing::ValuesIn(EveryCodec()),
                         [](const auto& info) { return CodecName(info.param); });

}  // namespace
}  // namespace morsel::image
