#include "base/error.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace morsel {
namespace {

constexpr size_t kTextBytes = kErrorTextBytes;
thread_local char last_error[kTextBytes];

Code CodeOfErrno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Code::kNoSpace;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermission;
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EEXIST:
      return Code::kExists;
    case ENOMEM:
      return Code::kNoMemory;
    default:
      return Code::kIo;
  }
}

// What the user can do about it, where errno alone tells; else empty.
const char* AdviceOfErrno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; make room there, and try again";
    case EFBIG:
      return "; raise the file size limit (ulimit -f), or use a file system of larger files";
    case EACCES:
    case EPERM:
      return "; check its owner and mode, and those of the directories before it";
    case EROFS:
      return "; open it for reading only, or mount the file system for writing";
    case ENOENT:
    case ENOTDIR:
      return "; check the path, and that the directories before it exist";
    case EMFILE:
    case ENFILE:
      return "; raise the limit of open files (ulimit -n)";
    case ENOMEM:
      return "; free some memory, or raise the limit (ulimit -v, vm.max_map_count)";
    case EIO:
      return "; the medium failed: see the kernel's log, and restore from a copy";
    default:
      return "";
  }
}

// Makes the text this thread's message. It may quote the message before, so it is formatted beside
// that one first. `error` is an errno whose text and advice are added; 0 adds nothing.
void Keep(const char* format, std::va_list arguments, int error) {
  char text[kTextBytes];
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  if (error != 0 && length >= 0 && static_cast<size_t>(length) < sizeof text) {
    std::snprintf(text + length, sizeof text - static_cast<size_t>(length), ": %s%s",
                  std::strerror(error), AdviceOfErrno(error));
  }
  std::memcpy(last_error, text, sizeof text);
}

}  // namespace

const char* CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "MORSEL_OK";
    case Code::kNoSpace:
      return "MORSEL_NO_SPACE";
    case Code::kInvalidArgument:
      return "MORSEL_INVALID_ARGUMENT";
    case Code::kNotFound:
      return "MORSEL_NOT_FOUND";
    case Code::kExists:
      return "MORSEL_EXISTS";
    case Code::kBusy:
      return "MORSEL_BUSY";
    case Code::kAddressTaken:
      return "MORSEL_ADDRESS_TAKEN";
    case Code::kCorrupt:
      return "MORSEL_CORRUPT";
    case Code::kVersion:
      return "MORSEL_VERSION";
    case Code::kPermission:
      return "MORSEL_PERMISSION";
    case Code::kIo:
      return "MORSEL_IO";
    case Code::kUnsupported:
      return "MORSEL_UNSUPPORTED";
    case Code::kNoMemory:
      return "MORSEL_NO_MEMORY";
    case Code::kAddressExhausted:
      return "MORSEL_ADDRESS_EXHAUSTED";
  }
  return "MORSEL_UNKNOWN_CODE";
}

Status Fail(Code code, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  Keep(format, arguments, 0);
  va_end(arguments);
  return code;
}

Status FailErrno(const char* format, ...) {
  const int error = errno;
  std::va_list arguments;
  va_start(arguments, format);
  Keep(format, arguments, error);
  va_end(arguments);
  return CodeOfErrno(error);
}

const char* LastError() { return last_error; }

KeepLastError::KeepLastError() { std::memcpy(text_, last_error, sizeof text_); }
KeepLastError::~KeepLastError() { std::memcpy(last_error, text_, sizeof text_); }

}  // namespace morsel
