#include "cli/pool.h"

#include <sys/stat.h>

#include "cli/failure.h"

namespace morsel::cli {

PoolHandle OpenPoolAt(const std::string& path, Access access) {
  morsel_pool_options options{};
  options.struct_size = sizeof options;
  if (access == Access::kRead) options.flags = MORSEL_READ_ONLY;
  morsel_pool_t* pool = nullptr;
  const morsel_code code = morsel_pool_open(path.c_str(), &options, &pool);
  if (code == MORSEL_NOT_FOUND) {
    struct stat status;
    const bool is_there = stat(path.c_str(), &status) == 0;
    throw Failure{code,
                  (is_there ? "'" + path + "' is not a pool" : "there is no pool '" + path + "'") +
                      "; `morselctl create " + path + "` makes it one"};
  }
  Must(code);
  return PoolHandle(pool);
}

morsel_pool_info PoolInfo(morsel_pool_t* pool) {
  morsel_pool_info info{};
  info.struct_size = sizeof info;
  Must(morsel_pool_stat(pool, &info));
  return info;
}

morsel_info FindMorsel(morsel_pool_t* pool, const std::string& name) {
  morsel_info info{};
  info.struct_size = sizeof info;
  Must(morsel_find(pool, name.c_str(), &info));
  return info;
}

}  // namespace morsel::cli
