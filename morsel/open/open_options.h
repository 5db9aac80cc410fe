// Checks the options and names that callers of the C API give, and translates them.
#pragma once

#include "base/result.h"
#include "morsel/morsel.h"
#include "morsel/pool/pool.h"
#include "morsel/tools.h"

namespace morsel {

/// Return the options if they are valid; a nullptr stands for all zeros.
/// Errors  kInvalidArgument: the message names the member; kUnsupported (a flag that is not built
///         yet).
Result<morsel_pool_options> CheckedPoolOptions(const morsel_pool_options* options);
Result<morsel_options> CheckedMorselOptions(const morsel_options* options);

/// Returns the codec that `codec`, one of MORSEL_CODEC_*, stands for.
/// Errors  kInvalidArgument.
Result<image::Codec> CheckedCodec(uint32_t codec);

/// Returns how to export, without a progress callback.
/// Errors  kInvalidArgument: the message names the member.
Result<ExportRequest> CheckedExportOptions(const morsel_export_options* options);

/// Checks that `name` may be a morsel's name; nullptr may not.
/// Errors  kInvalidArgument: the message says what is wrong with the name.
Status CheckMorselName(const char* name);

/// Returns the record of the new morsel that `options` ask for, with sizes rounded up to its
/// subtrees. Id and base are the pool's to choose.
/// pool  says what capacity a morsel has for which none was asked for.
/// Errors  kInvalidArgument (more size than capacity); kAddressExhausted.
Result<CatalogRecord> WantedRecord(const char* name, const morsel_options& options,
                                   impl::Pool& pool);

/// Returns a progress callback that calls `call` with `context`, or an empty one for a nullptr.
image::Progress ProgressOf(void (*call)(const morsel_progress* now, void* context), void* context);

}  // namespace morsel
