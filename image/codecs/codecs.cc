#include "image/codecs/codecs.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/units.h"

namespace morsel::image {
namespace {

/// Where pieces that repeat lie between others that do not, 2 is half as fast again as 1, and the
/// result is hardly one percent longer. Higher values gain little speed and compress much less.
constexpr int kLz4Acceleration = 2;

CodecState MakeLz4Encoder() {
  return {std::malloc(static_cast<size_t>(LZ4_sizeofState())), {std::free}};
}

uint64_t EncodeLz4(void* encoder, std::span<const char> from, std::span<char> to) {
  return static_cast<uint64_t>(
      LZ4_compress_fast_extState(encoder, from.data(), to.data(), static_cast<int>(from.size()),
                                 static_cast<int>(to.size()), kLz4Acceleration));
}

bool DecodeLz4(void*, std::span<const char> from, std::span<char> to) {
  const int whole = static_cast<int>(to.size());
  return LZ4_decompress_safe(from.data(), to.data(), static_cast<int>(from.size()), whole) == whole;
}

/// The level that keeps up with a disk best, and takes the least memory.
constexpr int kZstdLevel = 1;

CodecState MakeZstdEncoder() {
  return {ZSTD_createCCtx(), {[](void* state) { ZSTD_freeCCtx(static_cast<ZSTD_CCtx*>(state)); }}};
}

uint64_t EncodeZstd(void* encoder, std::span<const char> from, std::span<char> to) {
  const size_t size_bytes = ZSTD_compressCCtx(static_cast<ZSTD_CCtx*>(encoder), to.data(),
                                              to.size(), from.data(), from.size(), kZstdLevel);
  return ZSTD_isError(size_bytes) ? 0 : size_bytes;
}

CodecState MakeZstdDecoder() {
  return {ZSTD_createDCtx(), {[](void* state) { ZSTD_freeDCtx(static_cast<ZSTD_DCtx*>(state)); }}};
}

bool DecodeZstd(void* decoder, std::span<const char> from, std::span<char> to) {
  return ZSTD_decompressDCtx(static_cast<ZSTD_DCtx*>(decoder), to.data(), to.size(), from.data(),
                             from.size()) == to.size();
}

constexpr std::array<CodecRow, kCodecCount> kCodecs = {{
    {Codec::kNone, "none", 0, nullptr, nullptr, nullptr, nullptr},
    {Codec::kLz4, "lz4", 32 * kKiB, MakeLz4Encoder, EncodeLz4, nullptr, DecodeLz4},
    {Codec::kZstd, "zstd", 640 * kKiB, MakeZstdEncoder, EncodeZstd, MakeZstdDecoder, DecodeZstd},
}};

static_assert(std::ranges::all_of(kCodecs, [](const CodecRow& row) {
  return static_cast<size_t>(row.id) == static_cast<size_t>(&row - kCodecs.data());
}));  // [CODEC-1]

}  // namespace

std::span<const CodecRow> AllCodecs() { return kCodecs; }

const CodecRow* FindCodec(Codec id) {
  const auto row = static_cast<size_t>(id);
  return row < kCodecs.size() ? &kCodecs[row] : nullptr;
}

const CodecRow* FindCodec(std::string_view name) {
  const auto* const row = std::ranges::find(kCodecs, name, &CodecRow::name);
  return row != kCodecs.end() ? row : nullptr;
}

const char* CodecName(Codec codec) {
  const CodecRow* const row = FindCodec(codec);
  return row != nullptr ? row->name : "unknown";
}

}  // namespace morsel::image
