// Runs of adjacent pages, in a set of pages or in a file.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/result.h"
#include "os/memory/page_set.h"

namespace morsel::os {

/// Adjacent bytes of a file that stand for memory.
struct FileRun {
  uint64_t offset = 0;  ///< in memory, from the beginning of an address range
  uint64_t file_offset = 0;
  uint64_t size_bytes = 0;

  uint64_t end() const { return offset + size_bytes; }
  friend bool operator==(const FileRun&, const FileRun&) = default;
};

/// Calls pages_of(position) for each subtree of [begin, end), and visit(offset, size_bytes) for
/// each run of adjacent pages in what that returns. A run may span subtrees.
/// Units   begin and end are offsets, and multiples of 2 MiB.
/// Errors  the first of either function, which ends the loop.
template <class PagesOf, class Visit>
Status ForEachRun(uint64_t begin, uint64_t end, const PagesOf& pages_of, const Visit& visit) {
  uint64_t run = begin;
  uint64_t run_end = begin;
  for (uint64_t at = begin; at < end; at += kSubtreeBytes) {
    const Result<PageSet::Pages> pages = pages_of(SubtreePosition(at / kSubtreeBytes));
    if (!pages) return pages.status();
    if (pages->none()) continue;
    for (uint64_t page = 0; page < kPagesPerSubtree; ++page) {
      if (!pages->test(page)) continue;
      const uint64_t offset = at + page * kPageBytes;
      if (offset != run_end) {
        if (run_end > run) MORSEL_TRY(visit(run, run_end - run));
        run = offset;
      }
      run_end = offset + kPageBytes;
    }
  }
  return run_end > run ? visit(run, run_end - run) : Status();
}

}  // namespace morsel::os
