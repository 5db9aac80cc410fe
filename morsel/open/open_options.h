// What callers ask for when they open pools and morsels, checked.
#pragma once

#include "base/result.h"
#include "morsel/morsel.h"
#include "morsel/pool/pool.h"

namespace morsel {

/// `options` as they are to be taken: zeroes for a nullptr.
/// Errors  kInvalidArgument, naming the member; kUnsupported (a flag that is not built yet).
Result<morsel_pool_options> CheckedPoolOptions(const morsel_pool_options* options);
Result<morsel_options> CheckedMorselOptions(const morsel_options* options);

/// MORSEL_CODEC_* as it is to be taken.
/// Errors  kInvalidArgument.
Result<pmem::image::Codec> CheckedCodec(uint32_t codec);

/// Errors  kInvalidArgument, saying what a name may be.
Status CheckMorselName(const char* name);

/// What a new morsel's record says of `options`: contract, sizes rounded to subtrees.
/// Errors  kInvalidArgument (more size than capacity); kAddressExhausted.
Result<CatalogRecord> WantedRecord(const char* name, const morsel_options& options);

/// What tells `call`, with `context`; empty where it is nullptr.
pmem::image::Progress ProgressOf(void (*call)(const morsel_progress* now, void* context),
                                 void* context);

}  // namespace morsel
