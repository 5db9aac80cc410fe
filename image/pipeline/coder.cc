#include "image/pipeline/coder.h"

#include "base/error.h"
#include "image/format/layout.h"

namespace morsel::image {
namespace {

Status NoMemory() { return Fail(Code::kNoMemory, "no memory to compress an image with"); }

}  // namespace

Result<Encoder> Encoder::Make(Codec codec) {
  Encoder encoder(FindCodec(codec));
  if (encoder.codec_ != nullptr && encoder.codec_->make_encoder != nullptr) {
    encoder.state_ = encoder.codec_->make_encoder();
    if (encoder.state_ == nullptr) return NoMemory();
  }
  return encoder;
}

uint32_t Encoder::Encode(const char* leaf, char* to) {
  if (codec_ == nullptr || codec_->encode == nullptr) return 0;
  return static_cast<uint32_t>(
      codec_->encode(state_.get(), {leaf, kSubtreeBytes}, {to, kEncodedBytesMax}));
}

Result<Decoder> Decoder::Make() {
  Decoder decoder;
  for (const CodecRow& codec : AllCodecs()) {
    if (codec.make_decoder == nullptr) continue;
    CodecState& state = decoder.states_[static_cast<size_t>(codec.id)];
    state = codec.make_decoder();
    if (state == nullptr) return NoMemory();
  }
  return decoder;
}

bool Decoder::Decode(Codec codec, const char* stored, uint64_t stored_bytes, char* leaf) {
  const CodecRow* const row = FindCodec(codec);
  if (row == nullptr || row->decode == nullptr || stored_bytes > kEncodedBytesMax) return false;
  return row->decode(states_[static_cast<size_t>(codec)].get(), {stored, stored_bytes},
                     {leaf, kSubtreeBytes});
}

}  // namespace morsel::image
