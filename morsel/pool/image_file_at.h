// Opens, verifies and salvages an image by its path, without opening a pool.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "image/image_file.h"

namespace morsel {

/// Opens the file at `path`, which begins as an image does, for reading. Nothing else of its
/// contents is looked at.
/// Errors  kInvalidArgument: it is no regular file, or something else than an image; kNotFound;
///         kPermission; kIo.
Result<os::File> OpenImageFileAt(os::SystemCalls& calls, const std::string& path);

/// Opens the image at `path`, a regular file or a link to one, for reading.
/// Errors  as OpenImageFileAt(); kCorrupt; kVersion; kBusy: as WhileOvertaken().
Result<image::ImageFile> OpenImageAt(os::SystemCalls& calls, const std::string& path);

/// Reports each damaged part of the image at `path` with one message. If `to` is not empty, it also
/// writes the file `to`, an image in which the damaged parts are zero. Returns how many bytes of
/// the memory that the image holds are sure to be as the last checkpoint left them: of a log that
/// is damaged, none.
///
/// Durability  of `to`: as CopyInto().
/// Errors      as OpenImageAt(), where kCorrupt and kVersion mean that nothing in the image can be
///             found; kExists: `to` exists; kBusy; kNoSpace; kNoMemory.
Result<uint64_t> SalvageImage(os::SystemCalls& calls, const std::string& path,
                              const std::string& to,
                              const std::function<void(const char* message)>& report,
                              const image::Progress& progress = {});

/// Reads the whole image at `path` and reports each damaged subtree with one message.
/// Errors  as OpenImageAt(); kCorrupt: also that damage was reported; kBusy: somebody writes the
///         image faster than it can be read; kNoMemory.
Status VerifyImage(os::SystemCalls& calls, const std::string& path,
                   const std::function<void(const char* message)>& report,
                   const image::Progress& progress = {});

}  // namespace morsel
