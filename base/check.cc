#include "base/check.h"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "base/deferred_cancellation.h"

namespace morsel {

void Die(const char* format, ...) {
  const DeferredCancellation deferred;  // write(2) is a cancellation point
  // One write(2) and no stream: the message must come out whole, whatever state the process is in.
  char text[1024];
  int length = std::snprintf(text, sizeof text, "morsel: ");
  std::va_list arguments;
  va_start(arguments, format);
  const int more = std::vsnprintf(text + length, sizeof text - static_cast<size_t>(length) - 1,
                                  format, arguments);
  va_end(arguments);
  if (more > 0) length += more;
  if (length > static_cast<int>(sizeof text) - 2) length = static_cast<int>(sizeof text) - 2;
  text[length++] = '\n';
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, static_cast<size_t>(length));
  std::abort();
}

}  // namespace morsel
