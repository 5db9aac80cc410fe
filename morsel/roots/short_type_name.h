// Names of C++ types, as one writes them.
#pragma once

#include <string>
#include <string_view>

namespace morsel {

/// A type's name, demangled, without the template arguments that it has by default: those of the
/// standard library's containers are `std::map<int, std::string>`, or `std::pmr::map` where the
/// allocator is std::pmr's. Returns the name as it is if that cannot be read.
std::string ShortTypeName(std::string_view name);

}  // namespace morsel
