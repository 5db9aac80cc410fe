// What a signal handler of the library says before the process ends.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace morsel::os {

/// A message that is put together without allocations, locks and stdio, since a signal handler may
/// use none of them. It is cut off where it is too long.
class SignalMessage {
 public:
  SignalMessage& operator<<(const char* text) {
    const size_t length = strnlen(text, sizeof text_ - 1 - length_);
    std::memcpy(text_ + length_, text, length);
    length_ += length;
    return *this;
  }
  SignalMessage& Hexadecimal(uint64_t number) {
    char digits[19] = "0x";
    int shift = 60;
    while (shift > 0 && number >> shift == 0) shift -= 4;
    char* to = digits + 2;
    for (; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[number >> shift & 15];
    *to = '\0';
    return *this << digits;
  }
  /// Writes it to standard error.
  void Write() const {
    const char* from = text_;
    for (size_t left = length_; left > 0;) {
      const ssize_t put = write(STDERR_FILENO, from, left);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return;
      from += put;
      left -= static_cast<size_t>(put);
    }
  }

 private:
  char text_[1024] = "";
  size_t length_ = 0;
};

}  // namespace morsel::os
