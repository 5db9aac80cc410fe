// The parts of morsel.h and tools.h that write and read images.
#include "base/error.h"
#include "morsel/api/c_call.h"
#include "morsel/morsel.h"
#include "morsel/open/open_options.h"
#include "morsel/open/open_pool.h"
#include "morsel/open/versioned.h"
#include "morsel/pool/image_file_at.h"
#include "morsel/pool/image_record.h"
#include "morsel/tools.h"

namespace {

using morsel::ExportRequest;
using morsel::Result;
using morsel::Status;
using namespace morsel::api;  // NOLINT: these are this file's own words

// The callback of morsel_set_progress(), for the calls that take no options.
struct ProgressCallback {
  void (*call)(const morsel_progress*, void*) = nullptr;
  void* context = nullptr;
};
[[gnu::tls_model("initial-exec")]] constinit thread_local ProgressCallback progress_callback;

morsel_code Salvage(const char* call, const char* path, const char* to,
                    void (*visit)(const char* message, void*), void* context,
                    uint64_t* intact_bytes) {
  if (path == nullptr) return CodeOf(Missing(call, "a path"));
  if (intact_bytes == nullptr) return CodeOf(Missing(call, "a place for the intact bytes"));
  return CodeWithoutCancellation(call, [&]() -> Status {
    const auto intact = morsel::SalvageImage(
        morsel::os::KernelCalls(), path, to == nullptr ? "" : to,
        [&](const char* message) {
          if (visit != nullptr) visit(message, context);
        },
        ProgressOfThread());
    if (intact) *intact_bytes = *intact;
    return intact.status();
  });
}

}  // namespace

morsel::image::Progress morsel::api::ProgressOfThread() {
  return ProgressOf(progress_callback.call, progress_callback.context);
}

extern "C" {

void morsel_set_progress(void (*progress)(const morsel_progress*, void*), void* context) {
  progress_callback = {progress, context};
}

morsel_code morsel_export(morsel_pool_t* pool, const char* name, const char* path) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_export"));
  if (path == nullptr) return CodeOf(Missing("morsel_export", "a path"));
  return CodeWithoutCancellation("morsel_export", [&] {
    return Pool(pool)->Export(name, path, {.progress = ProgressOfThread()});
  });
}

morsel_code morsel_export_coded(morsel_pool_t* pool, const char* name, const char* path,
                                uint32_t codec) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_export_coded"));
  if (path == nullptr) return CodeOf(Missing("morsel_export_coded", "a path"));
  return CodeWithoutCancellation("morsel_export_coded", [&]() -> Status {
    const morsel::Result<morsel::image::Codec> checked = morsel::CheckedCodec(codec);
    if (!checked) return checked.status();
    return Pool(pool)->Export(name, path, {.codec = *checked, .progress = ProgressOfThread()});
  });
}

morsel_code morsel_export_with(morsel_pool_t* pool, const char* name, const char* path,
                               const morsel_export_options* options) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_export_with"));
  if (path == nullptr) return CodeOf(Missing("morsel_export_with", "a path"));
  return CodeWithoutCancellation("morsel_export_with", [&]() -> Status {
    Result<ExportRequest> checked = morsel::CheckedExportOptions(options);
    if (!checked) return checked.status();
    checked->progress = ProgressOfThread();
    return Pool(pool)->Export(name, path, *checked);
  });
}

morsel_code morsel_import(morsel_pool_t* pool, const char* path, const char* name) {
  if (pool == nullptr) return CodeOf(NoHandle("morsel_import"));
  if (path == nullptr) return CodeOf(Missing("morsel_import", "a path"));
  return CodeWithoutCancellation("morsel_import", [&] {
    return Pool(pool)->Import(path, name, {.rebasing = {.progress = ProgressOfThread()}}).status();
  });
}

morsel_code morsel_verify(const char* path, void (*visit)(const char* message, void*),
                          void* context) {
  if (path == nullptr) return CodeOf(Missing("morsel_verify", "a path"));
  return CodeWithoutCancellation("morsel_verify", [&]() -> Status {
    return morsel::VerifyImage(
        morsel::os::KernelCalls(), path,
        [&](const char* message) {
          if (visit != nullptr) visit(message, context);
        },
        ProgressOfThread());
  });
}

morsel_code morsel_salvage(const char* path, const char* to,
                           void (*visit)(const char* message, void*), void* context) {
  uint64_t intact_bytes = 0;
  return Salvage("morsel_salvage", path, to, visit, context, &intact_bytes);
}

morsel_code morsel_salvage_counted(const char* path, const char* to,
                                   void (*visit)(const char* message, void*), void* context,
                                   uint64_t* intact_bytes) {
  return Salvage("morsel_salvage_counted", path, to, visit, context, intact_bytes);
}

morsel_code morsel_stat_image(const char* path, morsel_info* info) {
  if (path == nullptr) return CodeOf(Missing("morsel_stat_image", "a path"));
  if (info == nullptr) return CodeOf(Missing("morsel_stat_image", "a place for what it finds"));
  return CodeWithoutCancellation("morsel_stat_image", [&]() -> Status {
    const auto record = morsel::RecordOfImageAt(morsel::os::KernelCalls(), path);
    if (!record) return record.status();
    morsel_info known{};
    morsel::FillInfo(*record, 0, &known);
    return morsel::GiveInfo("morsel_info", known, info);
  });
}

}  // extern "C"
