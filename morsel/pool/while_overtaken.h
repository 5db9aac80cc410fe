// How who reads an image, without a lock, meets its writer.
#pragma once

#include <string>

#include "base/error.h"
#include "base/overtaken.h"
#include "base/result.h"

namespace morsel {

/// How often a reader begins anew who was overtaken by the writer.
inline constexpr int kReadsMax = 100;

/// What helps whoever was overtaken so often.
inline constexpr char kLetItRest[] =
    "try again when that makes fewer checkpoints, or close the morsel there";
inline constexpr char kLetItExport[] =
    "let that process export it itself, try again when it makes fewer checkpoints, or close the "
    "morsel there";

/// Calls `read` again as long as it answers kOvertaken: what it reads then is newer. Whatever reads
/// an image that another process may write is called by this, and one such call may be in another.
/// Errors  those of `read`; in place of kOvertaken kBusy, and the message ends with `advice`.
template <class Read>
auto WhileOvertaken(const char* advice, const Read& read) {
  auto done = read();
  for (int reads = 1; StatusOf(done).code() == kOvertaken; ++reads) {
    if (reads == kReadsMax) {
      const std::string message = LastError();
      return decltype(done)(
          Fail(Code::kBusy, "%s, each of %d times: %s", message.c_str(), kReadsMax, advice));
    }
    done = read();
  }
  return done;
}

}  // namespace morsel
