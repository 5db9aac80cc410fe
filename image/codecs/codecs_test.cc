#include "image/codecs/codecs.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/units.h"

namespace morsel::image {
namespace {

TEST(Codecs, AreFoundByTheirNumbersAndNames) {
  std::set<std::string> names;
  for (const CodecRow& row : AllCodecs()) {
    EXPECT_EQ(FindCodec(row.id), &row);
    EXPECT_EQ(FindCodec(row.name), &row);
    EXPECT_STREQ(CodecName(row.id), row.name);
    EXPECT_TRUE(IsKnown(row.id));
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
  }
  EXPECT_EQ(names.size(), kCodecCount);
}

TEST(Codecs, OthersAreUnknown) {
  for (const size_t id : {kCodecCount, size_t{0xffff}}) {
    EXPECT_FALSE(IsKnown(static_cast<Codec>(id)));
    EXPECT_STREQ(CodecName(static_cast<Codec>(id)), "unknown");
  }
  for (const char* const name : {"", "LZ4", "lz", "gzip", "unknown"}) {
    EXPECT_EQ(FindCodec(name), nullptr) << name;
  }
}

// Images hold the numbers, and scripts the names.
TEST(Codecs, KeepTheirNumbersAndNames) {
  EXPECT_STREQ(CodecName(Codec{0}), "none");
  EXPECT_STREQ(CodecName(Codec{1}), "lz4");
  EXPECT_STREQ(CodecName(Codec{2}), "zstd");
}

TEST(Codecs, DecodeWhatTheyEncode) {
  std::string whole(2 * kMiB, 'a');
  for (size_t i = 0; i < whole.size(); i += 100) whole[i] = static_cast<char>(i / 100);
  for (const CodecRow& row : AllCodecs()) {
    if (row.encode == nullptr) continue;
    SCOPED_TRACE(row.name);
    const CodecState encoder = row.make_encoder();
    ASSERT_NE(encoder, nullptr);
    std::string encoded(whole.size(), '\0');
    const uint64_t encoded_bytes = row.encode(encoder.get(), whole, encoded);
    ASSERT_GT(encoded_bytes, 0u);
    ASSERT_LT(encoded_bytes, whole.size() / 2);
    const std::span<char> too_few(encoded.data() + encoded_bytes, encoded_bytes / 2);
    EXPECT_EQ(row.encode(encoder.get(), whole, too_few), 0u);
    encoded.resize(encoded_bytes);
    const CodecState decoder = row.make_decoder != nullptr ? row.make_decoder() : CodecState();
    std::string decoded(whole.size(), '\0');
    EXPECT_TRUE(row.decode(decoder.get(), encoded, decoded));
    EXPECT_TRUE(decoded == whole);
    std::string longer(whole.size() + 1, '\0');
    EXPECT_FALSE(row.decode(decoder.get(), encoded, longer)) << "it does not fill all of it";
    std::string shorter(whole.size() - 1, '\0');
    EXPECT_FALSE(row.decode(decoder.get(), encoded, shorter));
  }
}

}  // namespace
}  // namespace morsel::image
