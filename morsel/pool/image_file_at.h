// Images that lie in no pool, or of whose pool nothing is asked.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "image/image_file.h"

namespace morsel {

/// Opens the file at `path`, whatever is in it, for reading.
/// Errors  kInvalidArgument: it is no regular file; kNotFound; kPermission; kIo.
Result<pmem::File> OpenRegularAt(pmem::SystemCalls& calls, const std::string& path);

/// Opens the image at `path`, a regular file or a link to one, for reading.
/// Errors  kInvalidArgument: it is no regular file; kNotFound; kPermission; kCorrupt; kVersion;
/// kIo.
Result<pmem::image::ImageFile> OpenImageAt(pmem::SystemCalls& calls, const std::string& path);

/// Reports what is damaged in the image at `path`, a sentence each, and, where `to` is not empty,
/// makes the file `to` an image of the rest: what is damaged is zero in it. Answers how many bytes
/// of memory are intact, of those that the image has.
///
/// Durability  of `to`, as CopyInto().
/// Errors      kCorrupt, kVersion: nothing of it can be found; kExists: `to`; as OpenImageAt(), and
///             kBusy, kNoSpace, kNoMemory.
Result<uint64_t> SalvageImage(pmem::SystemCalls& calls, const std::string& path,
                              const std::string& to,
                              const std::function<void(const char* message)>& report,
                              const pmem::image::Progress& progress = {});

/// Reads all of an image, and reports what is damaged, a sentence each.
/// Errors  kCorrupt: something was reported; as OpenImageAt(), of which nothing is reported; kBusy:
///         somebody writes it.
Status VerifyImage(const pmem::image::ImageFile& image,
                   const std::function<void(const char* message)>& report);

}  // namespace morsel
