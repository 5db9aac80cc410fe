#include "morsel/open/open_options.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/size_words.h"
#include "base/units.h"
#include "image/codecs/codecs.h"
#include "morsel/open/versioned.h"

namespace morsel {
namespace {

constexpr uint32_t kPoolFlags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_READ_ONLY | MORSEL_CARVED;
constexpr uint32_t kMorselFlags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_READ_ONLY |
                                  MORSEL_FINE | MORSEL_LAZY | MORSEL_GIANT | MORSEL_SALVAGE;

// More than any address space has. Sizes up to this can be rounded up without overflow.
constexpr uint64_t kBytesMax = uint64_t{1} << 56;

template <class Options>
Status CheckCommon(const char* what, const Options& options, uint32_t known) {
  if ((options.flags & ~known) != 0) {
    return Fail(Code::kInvalidArgument,
                "%s options with flags 0x%x: a %s has no meaning for flags 0x%x", what,
                options.flags, what, options.flags & ~known);
  }
  const bool create = (options.flags & MORSEL_CREATE) != 0;
  if ((options.flags & MORSEL_EXCLUSIVE) != 0 && !create) {
    return Fail(Code::kInvalidArgument, "%s options with MORSEL_EXCLUSIVE need MORSEL_CREATE too",
                what);
  }
  if ((options.flags & MORSEL_READ_ONLY) != 0 && create) {
    return Fail(Code::kInvalidArgument,
                "%s options with MORSEL_READ_ONLY and MORSEL_CREATE contradict themselves: leave "
                "one out",
                what);
  }
  if ((options.mode & ~0777u) != 0) {
    return Fail(Code::kInvalidArgument,
                "%s options with mode 0%o: permission bits end at 0777, and no others are given",
                what, options.mode);
  }
  return Code::kOk;
}

}  // namespace

Result<image::Codec> CheckedCodec(uint32_t codec) {
  if (codec < image::kCodecCount) return static_cast<image::Codec>(codec);
  return Fail(Code::kInvalidArgument, "codec %u: it must be one of MORSEL_CODEC_*", codec);
}

Result<morsel_pool_options> CheckedPoolOptions(const morsel_pool_options* options) {
  const Result<morsel_pool_options> known = KnownOptions("pool options", options);
  if (!known) return known;
  const morsel_pool_options& checked = *known;
  MORSEL_TRY(CheckCommon("pool", checked, kPoolFlags));
  if (checked.reserved != 0) {
    return Fail(Code::kInvalidArgument, "pool options with reserved %u: it must be 0",
                checked.reserved);
  }
  if (checked.size_bytes != 0 && (checked.flags & MORSEL_CARVED) == 0) {
    return Fail(Code::kInvalidArgument,
                "a pool of %s: only a carved pool has a size; set MORSEL_CARVED",
                FormatSizeExactly(checked.size_bytes).c_str());
  }
  return checked;
}

Result<morsel_options> CheckedMorselOptions(const morsel_options* options) {
  const Result<morsel_options> known = KnownOptions("morsel options", options);
  if (!known) return known;
  const morsel_options& checked = *known;
  MORSEL_TRY(CheckCommon("morsel", checked, kMorselFlags));
  if (const auto codec = CheckedCodec(checked.codec); !codec) return codec.status();
  const bool salvage = (checked.flags & MORSEL_SALVAGE) != 0;
  if (salvage && (checked.flags & MORSEL_READ_ONLY) == 0) {
    return Fail(Code::kInvalidArgument,
                "morsel options with MORSEL_SALVAGE need MORSEL_READ_ONLY too: what is damaged is "
                "only read");
  }
  if (!salvage && checked.damaged != nullptr) {
    return Fail(Code::kInvalidArgument,
                "morsel options with `damaged` need MORSEL_SALVAGE: without it damage is an error");
  }
  if (checked.reserved != 0) {
    return Fail(Code::kInvalidArgument, "morsel options with reserved %u: it must be 0",
                checked.reserved);
  }
  if ((checked.flags & MORSEL_LAZY) != 0 && (checked.flags & MORSEL_READ_ONLY) == 0) {
    return Fail(Code::kUnsupported,
                "MORSEL_LAZY is not built yet for writing: set MORSEL_READ_ONLY, too, or leave it "
                "out, and the morsel is loaded whole");
  }
  return checked;
}

Result<ExportRequest> CheckedExportOptions(const morsel_export_options* options) {
  const Result<morsel_export_options> known = KnownOptions("export options", options);
  if (!known) return known.status();
  constexpr uint32_t kExportFlags = MORSEL_SALVAGE | MORSEL_RECODE;
  if ((known->flags & ~kExportFlags) != 0 || known->reserved != 0) {
    return Fail(Code::kInvalidArgument,
                "export options with flags 0x%x and reserved %u: an export has a meaning for "
                "MORSEL_SALVAGE and MORSEL_RECODE only, and reserved is 0",
                known->flags, known->reserved);
  }
  const bool recodes = (known->flags & MORSEL_RECODE) != 0;
  if (!recodes && known->codec != 0) {
    return Fail(Code::kInvalidArgument,
                "export options with codec %u need MORSEL_RECODE: without it the morsel's own is "
                "kept",
                known->codec);
  }
  const bool skips = (known->flags & MORSEL_SALVAGE) != 0;
  if (!skips && known->skipped != nullptr) {
    return Fail(Code::kInvalidArgument,
                "export options with `skipped` need MORSEL_SALVAGE: without it what cannot be read "
                "is an error");
  }
  ExportRequest checked;
  if (recodes) {
    const Result<image::Codec> codec = CheckedCodec(known->codec);
    if (!codec) return codec.status();
    checked.codec = *codec;
  }
  if (skips) {
    checked.skipped = [call = known->skipped,
                       context = known->skipped_context](const std::string& message) {
      if (call == nullptr) return;
      const OutsideCall outside;
      call(message.c_str(), context);
    };
  }
  return checked;
}

Status CheckMorselName(const char* name) {
  const char* wrong = nullptr;
  const size_t length = name == nullptr ? 0 : strnlen(name, kNameBytesMax + 1);
  if (length == 0) {
    wrong = "it is empty";
  } else if (length > kNameBytesMax) {
    wrong = "it is longer than 200 bytes";
  } else if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) {
    wrong = "\".\" and \"..\" are directories";
  } else if (std::strncmp(name, ".morsel", 7) == 0) {
    wrong = "\".morsel\" begins the pool's own files";
  }
  for (size_t i = 0; wrong == nullptr && i < length; ++i) {
    const unsigned char c = static_cast<unsigned char>(name[i]);
    if (c == '/') wrong = "it has a '/'";
    const bool is_c1 = c == 0xc2 && (static_cast<unsigned char>(name[i + 1]) & 0xe0) == 0x80;
    if (c < 0x20 || c == 0x7f || is_c1) wrong = "it has a control character";
  }
  if (wrong == nullptr) return Code::kOk;
  return Fail(Code::kInvalidArgument, "'%.60s%s' cannot name a morsel: %s; choose another name",
              name == nullptr ? "" : name, length > 60 ? "..." : "", wrong);
}

Result<CatalogRecord> WantedRecord(const char* name, const morsel_options& options,
                                   impl::Pool& pool) {
  if (options.size_bytes > kBytesMax || options.capacity_bytes > kBytesMax) {
    return Fail(Code::kAddressExhausted,
                "morsel '%s' cannot have %s of size and %s of capacity: no address window is that "
                "large; ask for less",
                name, FormatSizeExactly(options.size_bytes).c_str(),
                FormatSizeExactly(options.capacity_bytes).c_str());
  }
  CatalogRecord record;
  record.name = name;
  record.contract = (options.flags & MORSEL_FINE) != 0 ? Contract::kFine : Contract::kSnapshot;
  record.codec = static_cast<image::Codec>(options.codec);
  record.giant = (options.flags & MORSEL_GIANT) != 0;
  record.grows = options.size_bytes == 0;
  record.mode = options.mode != 0 ? options.mode : 0600;
  const uint64_t step = record.giant ? kGiantBytes : kSubtreeBytes;
  record.size_bytes = AlignUp(record.grows ? step : options.size_bytes, step);
  uint64_t capacity = options.capacity_bytes;
  if (capacity == 0) capacity = std::max(record.size_bytes, pool.DefaultCapacityBytes());
  record.capacity_bytes = AlignUp(capacity, step);
  if (record.size_bytes > record.capacity_bytes) {
    return Fail(
        Code::kInvalidArgument,
        "morsel '%s' cannot have %s in a capacity of %s: raise capacity_bytes, or leave it 0", name,
        FormatSizeExactly(record.size_bytes).c_str(),
        FormatSizeExactly(record.capacity_bytes).c_str());
  }
  return record;
}

static_assert(static_cast<int>(image::Activity::kLoading) == MORSEL_LOADING);
static_assert(static_cast<int>(image::Activity::kStoring) == MORSEL_STORING);
static_assert(static_cast<int>(image::Activity::kVerifying) == MORSEL_VERIFYING);

image::Progress ProgressOf(void (*call)(const morsel_progress* now, void* context), void* context) {
  if (call == nullptr) return {};
  return [call, context](const image::ProgressNow& now) {
    const morsel_progress plain = {static_cast<uint32_t>(now.activity), 0, now.done_bytes,
                                   now.total_bytes};
    const OutsideCall outside;
    call(&plain, context);
  };
}

}  // namespace morsel
