// Compresses leaves and decompresses them, by LZ4 and zstd.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "image/format/layout.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace morsel::pmem::image {

/// "none", "lz4" or "zstd".
const char* CodecName(Codec codec);

/// Memory  what compressing takes beyond the bytes: at most kCoderBytesMax.
/// Threads one.
inline constexpr uint64_t kCoderBytesMax = 640 * kKiB;

class Encoder {
 public:
  /// Errors  kNoMemory.
  static Result<Encoder> Make(Codec codec);

  /// Stores a leaf's 2 MiB in kEncodedBytesMax bytes at `to`, and answers how many it takes.
  /// 0: it does not fit, see [IMG-9], or there is no memory to compress it with.
  uint32_t Encode(const char* leaf, char* to);

 private:
  struct Free {
    void operator()(char* state) const;
    void operator()(ZSTD_CCtx_s* context) const;
  };
  explicit Encoder(Codec codec) : codec_(codec) {}

  Codec codec_;
  std::unique_ptr<char, Free> lz4_;
  std::unique_ptr<ZSTD_CCtx_s, Free> zstd_;
};

class Decoder {
 public:
  /// Errors  kNoMemory.
  static Result<Decoder> Make();

  /// Fills a leaf's 2 MiB from what Encode() answered. False where that is not what it is; then,
  /// too, nothing is written or read beyond the two.
  bool Decode(Codec codec, const char* stored, uint64_t stored_bytes, char* leaf);

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  Decoder() = default;

  std::unique_ptr<ZSTD_DCtx_s, Free> zstd_;
};

}  // namespace morsel::pmem::image
