#include "cli/open.h"

#include <sys/stat.h>

#include "cli/failure.h"
#include "morsel/open/open_options.h"

namespace morsel::cli {

std::unique_ptr<OpenPool> OpenPoolAt(const std::string& path, Access access) {
  const morsel_pool_options options = {
      .struct_size = 0,
      .flags = access == Access::kRead ? static_cast<uint32_t>(MORSEL_READ_ONLY) : 0,
      .mode = 0,
      .reserved = 0,
      .size_bytes = 0,
  };
  Result<std::unique_ptr<OpenPool>> pool =
      OpenPool::Open(path.c_str(), &options, os::KernelCalls());
  if (!pool && pool.error() == Code::kNotFound) {
    struct stat status;
    const bool is_there = stat(path.c_str(), &status) == 0;
    throw Failure{Code::kNotFound,
                  (is_there ? "'" + path + "' is not a pool" : "there is no pool '" + path + "'") +
                      "; `morselctl create " + path + "` makes it one"};
  }
  return Must(std::move(pool));
}

CatalogRecord FindMorsel(OpenPool& pool, const std::string& name) {
  Must(CheckMorselName(name.c_str()));
  return Must(pool.pool().Find(name));
}

}  // namespace morsel::cli
