// Compresses and decompresses leaves by the table of codecs.
#pragma once

#include <array>
#include <cstdint>

#include "base/result.h"
#include "image/codecs/codecs.h"

namespace morsel::image {

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
  explicit Encoder(const CodecRow* codec) : codec_(codec) {}

  const CodecRow* codec_;  // nullptr if it is unknown
  CodecState state_;
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
  Decoder() = default;

  std::array<CodecState, kCodecCount> states_;  // by codec; nullptr where a codec needs none
};

}  // namespace morsel::image
