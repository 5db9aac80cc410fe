#include "morsel/open/open_options.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/error.h"
#include "image/codecs/codecs.h"

namespace morsel {
namespace {

// What morsel.h calls the codecs. One that is missing there is missing here, too.
constexpr std::pair<const char*, uint32_t> kPublicCodecs[] = {
    {"none", MORSEL_CODEC_NONE},
    {"lz4", MORSEL_CODEC_LZ4},
    {"zstd", MORSEL_CODEC_ZSTD},
};
static_assert(std::size(kPublicCodecs) == image::kCodecCount,
              "each codec has its MORSEL_CODEC_* in morsel.h, and its line here");
static_assert(static_cast<int>(image::Codec::kNone) == MORSEL_CODEC_NONE);
static_assert(static_cast<int>(image::Codec::kLz4) == MORSEL_CODEC_LZ4);
static_assert(static_cast<int>(image::Codec::kZstd) == MORSEL_CODEC_ZSTD);

TEST(OpenOptions, EachCodecOfTheHeaderIsThatOfTheTable) {
  for (const auto& [name, number] : kPublicCodecs) {
    const Result<image::Codec> codec = CheckedCodec(number);
    ASSERT_TRUE(codec) << LastError();
    EXPECT_STREQ(image::CodecName(*codec), name);
  }
}

// The last one would be zstd if its upper bits were lost.
TEST(OpenOptions, OtherCodecsAreRefused) {
  for (const uint32_t number : {static_cast<uint32_t>(image::kCodecCount), 0xffffu, 0x10002u}) {
    EXPECT_EQ(CheckedCodec(number).error(), Code::kInvalidArgument);
    EXPECT_NE(std::string(LastError()).find("codec " + std::to_string(number)), std::string::npos);
  }
}

}  // namespace
}  // namespace morsel
