// Copies images: what one generation leads to, and nothing else.
#pragma once

#include <string>

#include "base/result.h"
#include "image/format/reading.h"
#include "image/image_file.h"
#include "os/file/directory.h"

namespace morsel::image {

/// Checks that the file still has all that `image` was opened with. Another process may be writing
/// to it.
/// Errors  kOvertaken: it may have been written over since, so that what was read proves nothing;
///         kIo.
Status CheckNotOverwritten(const ImageFile& image);

/// Checks that, and that no checkpoint has come since the image was opened: pages of one may be in
/// the places of others. To be called by whoever has found damage: else all that was read had the
/// right sums.
/// Errors  kOvertaken: what was found is no damage; kIo.
Status CheckNotOvertaken(const ImageFile& image);

/// Does what is due after all of `image` was read: CheckNotOvertaken(), or, where no damage was
/// found, CheckNotOverwritten().
Status CheckAfterReading(const ImageFile& image, bool has_found_damage);

/// Returns `failure`, or kOvertaken if it is kCorrupt and CheckNotOvertaken() says so.
Status OrOverwritten(const ImageFile& image, Status failure);

/// Loads an image that another process may write. `frames` is as for ImageFile::Load().
/// Errors  as ImageFile::Load() and CheckNotOverwritten().
Status LoadBesideWriter(const ImageFile& image, char* frames);

/// What a copy of an image is to be.
struct CopyAs {
  os::FileRights rights = 0600;
  os::Naming naming = os::Naming::kNew;
  std::string carried_name{};  ///< as in ImageInfo
};

/// Copies the image byte for byte to the file `name` of the directory, but for the name that it
/// carries. Each extent lies where it did, and the rest of the file is holes. All is read and held
/// against its sums first. An image that has a log is written anew as by RecodeInto(),
/// without one.
/// Durability  on return; a crash before leaves a temporary, or the whole image.
/// Errors      kCorrupt: the image is damaged, and nothing was made; kOvertaken, as
///             CheckNotOverwritten(); kExists; kNoSpace; kPermission; kNoMemory; kIo.
/// Cost        reads the image twice; 32 MiB of buffers.
Status CopyInto(const ImageFile& image, const os::Directory& directory, const std::string& name,
                const CopyAs& as);

/// Makes the file `name` of the directory an image of the same memory, compressed by `codec`. Each
/// leaf is read, held against its sums and written anew, with the pages that lie elsewhere in
/// place, as generation 1. If `damaged` is nullptr, a damaged leaf is an error. Otherwise it is
/// passed to `damaged`, and is zero in the new image.
/// Durability  as CopyInto().
/// Errors      as CopyInto(), and what `damaged` returns.
/// Cost        reads the image once; at most 64 MiB of memory, and 136 bytes for each leaf.
Status RecodeInto(const ImageFile& image, Codec codec, const os::Directory& directory,
                  const std::string& name, const CopyAs& as, const Damaged* damaged = nullptr);

/// Reads all of the image and holds it against its sums.
/// Errors  kCorrupt, with the message for the first subtree that is damaged and the number of the
///         others; kOvertaken and kIo, as CheckNotOverwritten(); kNoMemory.
Status CheckSound(const ImageFile& image);

}  // namespace morsel::image
