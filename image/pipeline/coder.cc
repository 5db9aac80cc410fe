#include "image/pipeline/coder.h"

#include <lz4.h>
#include <zstd.h>

#include <cstdlib>

#include "base/error.h"

namespace morsel::image {
namespace {

/// The level that keeps up with a disk best, and takes the least memory.
constexpr int kZstdLevel = 1;

/// Where pieces that repeat lie between others that do not, 2 is half as fast again as 1, and the
/// result is hardly one percent longer. Higher values gain little speed and compress much less.
constexpr int kLz4Acceleration = 2;

constexpr int kLeafLength = static_cast<int>(kSubtreeBytes);
constexpr int kEncodedLengthMax = static_cast<int>(kEncodedBytesMax);

Status NoMemory() { return Fail(Code::kNoMemory, "no memory to compress an image with"); }

}  // namespace

const char* CodecName(Codec codec) {
  switch (codec) {
    case Codec::kNone:
      return "none";
    case Codec::kLz4:
      return "lz4";
    case Codec::kZstd:
      return "zstd";
  }
  return "unknown";
}

void Encoder::Free::operator()(char* state) const { std::free(state); }
void Encoder::Free::operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
void Decoder::Free::operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }

Result<Encoder> Encoder::Make(Codec codec) {
  Encoder encoder(codec);
  if (codec == Codec::kLz4) {
    encoder.lz4_.reset(static_cast<char*>(std::malloc(static_cast<size_t>(LZ4_sizeofState()))));
    if (encoder.lz4_ == nullptr) return NoMemory();
  }
  if (codec == Codec::kZstd) {
    encoder.zstd_.reset(ZSTD_createCCtx());
    if (encoder.zstd_ == nullptr) return NoMemory();
  }
  return encoder;
}

uint32_t Encoder::Encode(const char* leaf, char* to) {
  if (codec_ == Codec::kLz4) {
    return static_cast<uint32_t>(LZ4_compress_fast_extState(lz4_.get(), leaf, to, kLeafLength,
                                                            kEncodedLengthMax, kLz4Acceleration));
  }
  if (codec_ == Codec::kZstd) {
    const size_t size_bytes =
        ZSTD_compressCCtx(zstd_.get(), to, kEncodedBytesMax, leaf, kSubtreeBytes, kZstdLevel);
    return ZSTD_isError(size_bytes) ? 0 : static_cast<uint32_t>(size_bytes);
  }
  return 0;
}

Result<Decoder> Decoder::Make() {
  Decoder decoder;
  decoder.zstd_.reset(ZSTD_createDCtx());
  if (decoder.zstd_ == nullptr) return NoMemory();
  return decoder;
}

bool Decoder::Decode(Codec codec, const char* stored, uint64_t stored_bytes, char* leaf) {
  if (stored_bytes > kEncodedBytesMax) return false;
  if (codec == Codec::kLz4) {
    return LZ4_decompress_safe(stored, leaf, static_cast<int>(stored_bytes), kLeafLength) ==
           kLeafLength;
  }
  return codec == Codec::kZstd && ZSTD_decompressDCtx(zstd_.get(), leaf, kSubtreeBytes, stored,
                                                      stored_bytes) == kSubtreeBytes;
}

}  // namespace morsel::image
