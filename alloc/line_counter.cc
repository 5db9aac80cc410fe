#include "alloc/line_counter.h"

namespace morsel::alloc {

PendingLines& PendingLines::OfThread() {
  thread_local PendingLines pending;
  return pending;
}

}  // namespace morsel::alloc
