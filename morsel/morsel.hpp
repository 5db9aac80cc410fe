// morsel: persistent memory objects at fixed addresses. The C++ API.
//
// <morsel/morsel.h> holds the contracts: a member function has the durability, errors, threads and
// costs of the C function of the same name.
//
//   auto pool = morsel::Pool::open("/var/lib/graphs", {.flags = MORSEL_CREATE});
//   auto graph = morsel::Morsel::open(*pool, "web", {.flags = MORSEL_CREATE});
//   morsel::Allocator<int> allocator(*graph);
//   std::vector<int, morsel::Allocator<int>> numbers(allocator);
#pragma once

#if __cplusplus < 202002L
#error "morsel needs C++20: compile with -std=c++20"
#endif

#include "base/result.h"
#include "morsel/allocator.hpp"        // IWYU pragma: export
#include "morsel/handles.hpp"          // IWYU pragma: export
#include "morsel/memory_resource.hpp"  // IWYU pragma: export
#include "morsel/rebase.hpp"           // IWYU pragma: export
#include "morsel/update.hpp"           // IWYU pragma: export
