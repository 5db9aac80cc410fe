// A structure that outlives the processes that write it.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <string>
#include <type_traits>

#include "base/check.h"

namespace morsel::crash {

/// A T in a mapped file. It keeps what a process stored before it was killed. The default
/// constructor makes the T, over zeros.
template <class T>
class SharedFile {
 public:
  static_assert(std::is_standard_layout_v<T> && std::is_trivially_destructible_v<T>);

  explicit SharedFile(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0 || ftruncate(descriptor, sizeof(T)) != 0) {
      Die("'%s' cannot be made: %m", path.c_str());
    }
    void* const memory =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) Die("'%s' cannot be mapped: %m", path.c_str());
    close(descriptor);
    value_ = new (memory) T;
  }
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;
  ~SharedFile() { munmap(value_, sizeof(T)); }

  T& operator*() { return *value_; }
  T* operator->() { return value_; }

 private:
  T* value_;
};

}  // namespace morsel::crash
