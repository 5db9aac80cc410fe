#include "tests/api/without_exceptions_testing.h"

#include <vector>

#if defined(__cpp_exceptions)
#error "this is to be built with -fno-exceptions"
#endif

namespace morsel {

void FillWithoutExceptions(Morsel& morsel, size_t count) {
  std::vector<int, Allocator<int>> numbers(morsel.allocator<int>());
  numbers.reserve(count);
  for (size_t i = 0; i < count; ++i) numbers.push_back(static_cast<int>(i));
}

size_t CountRootsWithoutExceptions(const Morsel& morsel) {
  size_t count = 0;
  (void)morsel.for_each_root([&](const auto&) { ++count; });
  return count;
}

}  // namespace morsel
