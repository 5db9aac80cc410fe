#include "base/demangled.h"

#include <cxxabi.h>
#include <dlfcn.h>

namespace morsel {

std::string Demangled(const char* name) {
  int status = 0;
  char* const readable = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  if (readable == nullptr) return name;
  std::string copy = readable;
  // The C++ library took it by the program's malloc(3), which may be another than ours.
  using Free = void (*)(void*);
  const auto free_of_program = reinterpret_cast<Free>(dlsym(RTLD_DEFAULT, "free"));
  if (free_of_program != nullptr) free_of_program(readable);
  return copy;
}

}  // namespace morsel
