// The codecs: each is one row of one table.
//
// [CODEC-1] Row i of the table is codec i. A row never goes away, since images name it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace morsel::image {

/// How a leaf's 2 MiB are stored. The numbers are part of the format of images, and those of
/// MORSEL_CODEC_*.
enum class Codec : uint16_t {
  kNone = 0,  ///< as they are
  kLz4 = 1,   ///< one LZ4 block
  kZstd = 2,  ///< one zstd frame
};
/// How many codecs there are. It is also the lowest number that is no codec.
inline constexpr size_t kCodecCount = 3;

struct FreeCodecState {
  void (*free)(void* state) = nullptr;
  void operator()(void* state) const { free(state); }
};
/// Memory that a codec works in. One thread at a time may use it.
using CodecState = std::unique_ptr<void, FreeCodecState>;

/// What there is to know of a codec. kNone has no functions, because nobody calls them for it.
struct CodecRow {
  Codec id;
  const char* name;  ///< on the command line, and in what it prints
  /// The most memory that what make_encoder() returns takes.
  uint64_t encoder_bytes_max;

  /// Makes what encode() works in. Returns nullptr if there is no memory.
  CodecState (*make_encoder)();
  /// Compresses `from` into `to`. Returns how many bytes of `to` it used, or 0 if they are too few.
  uint64_t (*encode)(void* encoder, std::span<const char> from, std::span<char> to);

  /// Makes what decode() works in. Returns nullptr if there is no memory. There is no such function
  /// where decode() needs nothing.
  CodecState (*make_decoder)();
  /// Decompresses `from` into `to`. Returns whether that filled `to` to the last byte. Never reads
  /// or writes beyond the two, whatever the bytes are.
  bool (*decode)(void* decoder, std::span<const char> from, std::span<char> to);
};

/// Returns all codecs, by their numbers. [CODEC-1]
std::span<const CodecRow> AllCodecs();

/// Return the codec of this number or name; nullptr if there is none.
const CodecRow* FindCodec(Codec id);
const CodecRow* FindCodec(std::string_view name);

/// Whether this library can read leaves of `codec`.
inline bool IsKnown(Codec codec) { return FindCodec(codec) != nullptr; }

/// Returns the codec's name; "unknown" for a codec that this library does not know.
const char* CodecName(Codec codec);

}  // namespace morsel::image
