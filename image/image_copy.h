// Copies of images: what one generation leads to, and nothing else.
#pragma once

#include <string>

#include "base/result.h"
#include "image/format/reading.h"
#include "image/image_file.h"
#include "os/file/directory.h"

namespace morsel::pmem::image {

/// Whether all that `image` was opened with is still in its file: somebody else may write it.
/// Errors  kBusy: it may have been written over since, so that what was read proves nothing; kIo.
Status CheckNotOverwritten(const ImageFile& image);

/// Makes the file `name` of the directory an image of what `image` has, by the bytes: each extent
/// lies where it did, and where nothing is there are holes. All is read and held against its sums
/// first.
/// Durability  on return; a crash before leaves a temporary, or the whole image.
/// Errors      kCorrupt: it is damaged, and nothing was made; kBusy, as CheckNotOverwritten(); kExists;
///             kNoSpace; kPermission; kNoMemory; kIo.
/// Cost        reads the image twice; 32 MiB of buffers.
Status CopyInto(const ImageFile& image, const Directory& directory, const std::string& name,
                mode_t mode);

/// As CopyInto(), of leaves that are compressed by `codec`: each is read, held against its sums and
/// written anew, with the pages that replace its own, as generation 1. `damaged`: nullptr, or told
/// of leaves that are damaged, which are absent in what is made.
/// Errors  as CopyInto(), and what `damaged` answers.
/// Cost    reads the image once; 64 MiB at most, and 136 bytes for each leaf.
Status RecodeInto(const ImageFile& image, Codec codec, const Directory& directory,
                  const std::string& name, mode_t mode, const Damaged* damaged = nullptr);

/// The first thing that is damaged in it, as an error.
/// Errors  kCorrupt; kBusy, as CheckNotOverwritten(); kNoMemory.
Status CheckSound(const ImageFile& image);

}  // namespace morsel::pmem::image
