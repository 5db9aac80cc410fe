#include "image/store/sums_writer.h"

#include <cstring>

#include "base/error.h"

namespace morsel::image {

Result<uint64_t> SumsWriter::Add(const PageSums& sums) {
  if (memory_ == nullptr) memory_ = MakeBuffer(kBatch * kPageSumsBytes);
  if (memory_ == nullptr) return Fail(Code::kNoMemory, "no memory for a checkpoint's sums");
  if (offsets_.size() == kBatch) MORSEL_TRY(Flush());
  std::memcpy(memory_.get() + offsets_.size() * kPageSumsBytes, &sums, kPageSumsBytes);
  offsets_.push_back(space_.Take(kPageSumsBytes));
  written_.push_back({offsets_.back(), kPageSumsBytes});
  return offsets_.back();
}

Status SumsWriter::Flush() {
  for (size_t first = 0; first < offsets_.size();) {
    size_t past = first + 1;
    while (past < offsets_.size() && offsets_[past] == offsets_[past - 1] + kPageSumsBytes) ++past;
    MORSEL_TRY(file_.WriteAll(memory_.get() + first * kPageSumsBytes,
                              (past - first) * kPageSumsBytes, offsets_[first]));
    first = past;
  }
  offsets_.clear();
  return Code::kOk;
}

}  // namespace morsel::image
