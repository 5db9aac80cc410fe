// Compresses and decompresses leaves, with LZ4 and zstd.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "image/format/layout.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace morsel::image {

/// Returns "none", "lz4" or "zstd"; "unknown" for a codec that this library does not know.
const char* CodecName(Codec codec);

/// The most memory that compressing takes beyond the leaf and the room for what it becomes.
inline constexpr uint64_t kCoderBytesMax = 640 * kKiB;

/// Compresses leaves with one codec.
/// Threads  one.
class Encoder {
 public:
  /// Errors  kNoMemory.
  static Result<Encoder> Make(Codec codec);

  /// Compresses the 2 MiB at `leaf` to the kEncodedBytesMax bytes at `to`. Returns how many of them
  /// it used. Returns 0 if the leaf is to be stored as it is: it does not fit [IMG-9], the codec is
  /// kNone, or there is no memory to compress it with.
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

/// Decompresses leaves of any codec.
/// Threads  one.
class Decoder {
 public:
  /// Errors  kNoMemory.
  static Result<Decoder> Make();

  /// Fills the 2 MiB at `leaf` from the stored_bytes that Encode() made with `codec`. Returns false
  /// if they do not decompress to a whole leaf, or if `codec` is kNone. Never reads beyond `stored`
  /// or writes beyond `leaf`, whatever the bytes are.
  bool Decode(Codec codec, const char* stored, uint64_t stored_bytes, char* leaf);

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  Decoder() = default;

  std::unique_ptr<ZSTD_DCtx_s, Free> zstd_;
};

}  // namespace morsel::image
