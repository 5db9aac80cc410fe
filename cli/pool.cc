#include "cli/pool.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "cli/failure.h"
#include "cli/output.h"

namespace morsel::cli {

namespace {

// Whether a pool could be made there without touching anything: nothing has the path, or an empty
// directory.
bool IsFree(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return errno == ENOENT;
  std::error_code error;
  return S_ISDIR(status.st_mode) && std::filesystem::is_empty(path, error) && !error;
}

}  // namespace

PoolHandle OpenPoolAt(const std::string& path, Access access) {
  morsel_pool_options options{};
  options.struct_size = sizeof options;
  if (access == Access::kRead) options.flags = MORSEL_READ_ONLY;
  morsel_pool_t* pool = nullptr;
  const morsel_code code = morsel_pool_open(path.c_str(), &options, &pool);
  if (code == MORSEL_NOT_FOUND) {
    struct stat status;
    const bool is_there = stat(path.c_str(), &status) == 0;
    std::string message =
        is_there ? "'" + path + "' is not a pool" : "there is no pool '" + path + "'";
    // Who asks for what is in a pool has mistyped the path.
    message += access == Access::kAdd && IsFree(path)
                   ? "; `morselctl create " + path + "` makes it one"
                   : "; check the path";
    throw Failure{code, message};
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

bool IsListedUnreadable(morsel_pool_t* pool, const std::string& name) {
  struct Sought {
    const std::string& name;
    bool is_found = false;
  } sought{name};
  const auto look = [](const char* listed, morsel_code, const char*, void* context) {
    auto& wanted = *static_cast<Sought*>(context);
    wanted.is_found = wanted.name == listed;
    return wanted.is_found ? 1 : 0;
  };
  return morsel_list_unreadable(pool, look, &sought) == MORSEL_OK && sought.is_found;
}

std::string NameMeant(morsel_pool_t* pool, const std::string& typed) {
  const std::string spelled = NameOfSpelling(typed);
  if (spelled == typed || spelled.find('\0') != std::string::npos) return typed;
  morsel_info info{};
  info.struct_size = sizeof info;
  const auto is_there = [&](const std::string& name) {
    const morsel_code code = morsel_find(pool, name.c_str(), &info);
    if (code == MORSEL_INVALID_ARGUMENT) return IsListedUnreadable(pool, name);
    return code != MORSEL_NOT_FOUND;
  };
  // What is listed as it was typed is what the user has seen.
  if (SpellingOf(spelled) == typed && is_there(spelled)) return spelled;
  return !is_there(typed) && is_there(spelled) ? spelled : typed;
}

morsel_info FindMorsel(morsel_pool_t* pool, const std::string& name) {
  morsel_info info{};
  info.struct_size = sizeof info;
  Must(morsel_find(pool, name.c_str(), &info));
  return info;
}

}  // namespace morsel::cli
