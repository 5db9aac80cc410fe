// What frames can be made of, and which of it this host has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace morsel::pmem {

enum class FrameKind {
  kHugetlb1G,  ///< pages of 1 GiB that the administrator reserved
  kHugetlb2M,  ///< the same of 2 MiB
  kShmemHuge,  ///< a memory file in transparent huge pages
  kShmem,      ///< a memory file in pages of 4 KiB
  kAnonymous,  ///< private memory, in transparent huge pages where the host gives them
};

/// As MORSEL_FRAMES has it, e.g. "hugetlb-2m".
const char* FrameKindName(FrameKind kind);
/// The unit that the kernel gives this kind in, and protects it in: 4 KiB, 2 MiB or 1 GiB.
uint64_t FrameBytes(FrameKind kind);
/// What was touched of it is not to be read from page tables: its pages come and go there.
bool IsMemoryFile(FrameKind kind);

/// In which order kinds are asked for.
struct FrameChoice {
  std::vector<FrameKind> kinds;
  /// The first kind is MORSEL_FRAMES': where it runs out, that is an error.
  bool is_forced = false;
};

/// What MORSEL_FRAMES says; else by what the host has. Who only reads gets pages of 1 GiB, too: in
/// those a writer's checkpoints would compare 1 GiB for each page that was written.
/// Errors  kInvalidArgument: MORSEL_FRAMES names no kind; kUnsupported: it names one that this host
///         never gives.
Result<FrameChoice> ChooseFrames(bool read_only);

/// What a morsel that is opened for writing now would be given, in words for a person.
std::string FramesInWords();

}  // namespace morsel::pmem
