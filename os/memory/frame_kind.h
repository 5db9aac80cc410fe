// The kinds of memory that frames can be made of, and which of them this host has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace morsel::os {

enum class FrameKind {
  kHugetlb1G,  ///< pages of 1 GiB that the administrator reserved
  kHugetlb2M,  ///< pages of 2 MiB that the administrator reserved
  kShmemHuge,  ///< a memory file in transparent huge pages
  kShmem,      ///< a memory file in pages of 4 KiB
  kAnonymous,  ///< private memory, in transparent huge pages where the host gives them
  kFile,       ///< private pages of a file, see Frames::MapFile(); never chosen
};

/// The kind's name as in MORSEL_FRAMES, e.g. "hugetlb-2m".
/// Ownership  a static string.
const char* FrameKindName(FrameKind kind);
/// The unit in which the kernel gives and protects memory of this kind: 4 KiB, 2 MiB or 1 GiB.
uint64_t FrameBytes(FrameKind kind);
/// Whether the kind is a memory file. Page tables do not tell which pages of a memory file were
/// touched: a touched page may leave them again.
bool IsMemoryFile(FrameKind kind);

/// Takes the pages of a mapping now, by a call that fails where a first touch would be a SIGBUS: a
/// control group may forbid pages of hugetlb that are free and reserved. A kernel before Linux 5.14
/// has no such call, and takes none. Returns whether all are there.
bool TakePages(void* memory, uint64_t size_bytes);

/// The order in which kinds are tried.
struct FrameChoice {
  std::vector<FrameKind> kinds;
  /// Whether MORSEL_FRAMES names the first kind. Then it is an error if that kind runs out.
  bool is_forced = false;
};

/// Chooses the kinds by MORSEL_FRAMES, or else by what the host has. Without MORSEL_FRAMES only
/// readers get pages of 1 GiB: with them a writer's checkpoint would compare 1 GiB for each written
/// page.
/// Errors  kInvalidArgument: MORSEL_FRAMES names no kind; kUnsupported: it names one that this host
///         never gives.
Result<FrameChoice> ChooseFrames(bool read_only);

/// Whether the host gives private memory huge pages.
bool PrivateMemoryIsHuge();

/// Describes for people which frames a morsel would get if it were opened for writing now.
std::string FramesInWords();

}  // namespace morsel::os
