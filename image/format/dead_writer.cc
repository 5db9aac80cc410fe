#include "image/format/dead_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/on_heap.h"
#include "image/format/layout.h"

namespace morsel::image {
namespace {

/// Behind slot A. It is a hole, or zeros where a copy has filled that.
constexpr uint64_t kNeverWritten = kSlotOffsets[0] + kSuperblockBytes;
static_assert(kNeverWritten + kBlockBytes == kExtentsStart);

// In version 4 slot B lies there. Who cannot be read is for who reads it next.
bool IsZero(const os::File& file) {
  const KeepLastError keep;
  OnHeap<std::array<char, kBlockBytes>> block;
  return file.ReadExactly(block->data(), kBlockBytes, kNeverWritten).ok() &&
         std::all_of(block->begin(), block->end(), [](char byte) { return byte == 0; });
}

}  // namespace

// Making a hole excludes writes past the page cache: the kernel waits for those in flight, however
// little of the file becomes one. A sync waits for none of them.
Status AwaitDeadWriter(const os::File& file) {
  if (!IsZero(file)) return Code::kOk;
  int made;
  do {
    made = file.calls().FAllocate(file.descriptor(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  static_cast<int64_t>(kNeverWritten),
                                  static_cast<int64_t>(kBlockBytes));
  } while (made != 0 && errno == EINTR);
  if (made == 0 || IsNotDoneHere(errno)) return Code::kOk;
  return FailErrno("'%s': waiting for what an earlier process was writing", file.path().c_str());
}

}  // namespace morsel::image
