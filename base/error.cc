#include "base/error.h"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/thread_areas.h"

extern "C" void morsel_no_value(int code) {
  morsel::Die("the value of a Result was used that has none: %s: %s",
              morsel::CodeName(static_cast<morsel::Code>(code)), morsel::LastError());
}

namespace morsel {
namespace {

// What is large of a thread's message is not thread-local: threads of small stacks have no room for
// it, nor has a program that loads the library by dlopen(3).
struct Messages : ThreadArea {
  unsigned last;  ///< which of the two is the last message
  char texts[2][kErrorTextBytes];
};
constinit ThreadAreas messages(sizeof(Messages), /*empty_in_child=*/false);
[[gnu::tls_model("initial-exec")]] constinit thread_local Messages* my_messages = nullptr;
// The message of a thread without memory for `Messages`.
[[gnu::tls_model("initial-exec")]] constinit thread_local char short_message[kShortErrorTextBytes] =
    "";

// The thread keeps it to its last instruction, so that no failure of a late destructor is without
// its message. nullptr: there is no memory.
Messages* MyMessages() {
  if (my_messages == nullptr) my_messages = static_cast<Messages*>(messages.Take());
  return my_messages;
}

// What an errno means, and what the user can do about it.
struct Meaning {
  int error;
  Code code;
  const char* advice;
};

constexpr char kMediumFailed[] =
    "; the medium failed: see the kernel's log, and restore from a copy";
constexpr char kNotThere[] = "; check the path, and that the directories before it exist";
constexpr char kOwnerAndMode[] =
    "; check its owner and mode, and those of the directories before it";
constexpr char kNotHere[] = "; its file system, or this kernel, does not do that: use another one";

// Only what says that the medium has failed is kIo: users restore from copies because of it.
constexpr Meaning kMeanings[] = {
    {ENOSPC, Code::kNoSpace, "; make room there, and try again"},
    {EDQUOT, Code::kNoSpace, "; make room there, and try again"},
    {EFBIG, Code::kNoSpace,
     "; raise the file size limit (ulimit -f), or use a file system of larger files"},
    {EACCES, Code::kPermission, kOwnerAndMode},
    {EPERM, Code::kPermission, kOwnerAndMode},
    {EROFS, Code::kPermission, "; open it for reading only, or mount the file system for writing"},
    {ENOENT, Code::kNotFound, kNotThere},
    {ENOTDIR, Code::kNotFound, kNotThere},
    {EEXIST, Code::kExists, "; choose another name, or remove it"},
    {ENOTEMPTY, Code::kExists, "; choose another name, or remove what is in it"},
    {EBUSY, Code::kBusy, "; somebody uses it: wait, or end that use"},
    {ETXTBSY, Code::kBusy, "; it is a program that runs: end it first"},
    {ENOMEM, Code::kNoMemory,
     "; free some memory, or raise the limit (ulimit -v, vm.max_map_count)"},
    {EAGAIN, Code::kNoMemory,
     "; raise the limit of locked memory (ulimit -l), or that of threads (ulimit -u)"},
    {EMFILE, Code::kNoMemory, "; raise the limit of open files (ulimit -n)"},
    {ENFILE, Code::kNoMemory, "; close files on this host, or raise its limit (fs.file-max)"},
    {ENAMETOOLONG, Code::kInvalidArgument, "; choose a shorter name or path"},
    {ELOOP, Code::kInvalidArgument, "; name the file itself and no symbolic link"},
    {EISDIR, Code::kInvalidArgument, "; name a file"},
    {EBADF, Code::kInvalidArgument,
     "; somebody in this process has closed a descriptor of the library, and nothing was done by "
     "it: close only your own descriptors, and open the pool again"},
    {EINVAL, Code::kUnsupported, kNotHere},
    {EOPNOTSUPP, Code::kUnsupported, kNotHere},
    {ENOSYS, Code::kUnsupported, kNotHere},
    {ENOTTY, Code::kUnsupported, kNotHere},
    {EXDEV, Code::kUnsupported, kNotHere},
    {EMLINK, Code::kUnsupported, kNotHere},
    {EOVERFLOW, Code::kUnsupported, kNotHere},
    {ENOLCK, Code::kUnsupported,
     "; its file system has no locks (on NFS a service that must run): use another one"},
    {EIO, Code::kIo, kMediumFailed},
    {ENXIO, Code::kIo, kMediumFailed},
    {ENODEV, Code::kIo, kMediumFailed},
    {ENOMEDIUM, Code::kIo, kMediumFailed},
    {ENODATA, Code::kIo, kMediumFailed},
    {EILSEQ, Code::kIo, kMediumFailed},
    {EUCLEAN, Code::kIo, kMediumFailed},
    {EBADMSG, Code::kIo, kMediumFailed},
    {EHWPOISON, Code::kIo, kMediumFailed},
    {EREMOTEIO, Code::kIo, kMediumFailed},
    {EINTR, Code::kBusy, "; a signal interrupted it: try again"},
    {ESTALE, Code::kIo, "; the server has another file there, or none: open it again"},
    {ETIMEDOUT, Code::kIo, "; the server or the device does not answer"},
};

Meaning MeaningOf(int error) {
  for (const Meaning& meaning : kMeanings) {
    if (meaning.error == error) return meaning;
  }
  return {error, Code::kUnsupported,
          "; this library does not know why: ask those who know the host"};
}

// Writes each control character as \xHH: a name or a path may have some, and a message is one line
// that moves no terminal's cursor. What does not fit is cut off at the end.
void EscapeControls(char* text, size_t bytes) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const size_t length = std::strlen(text);
  size_t from = length;
  size_t to = length + 3 * static_cast<size_t>(std::count_if(text, text + length, is_control));
  if (to == length) return;
  const auto put = [&](size_t at, char c) {
    if (at < bytes - 1) text[at] = c;
  };
  text[std::min(to, bytes - 1)] = '\0';
  while (from > 0) {
    const char c = text[--from];
    if (is_control(c)) {
      put(--to, "0123456789abcdef"[c & 15]);
      put(--to, "0123456789abcdef"[c >> 4 & 15]);
      put(--to, 'x');
      put(--to, '\\');
    } else {
      put(--to, c);
    }
  }
}

// Makes the text this thread's message. It may quote the message before, so it is formatted beside
// that one. `error` is an errno whose text and advice are added; 0 adds nothing.
void Keep(const char* format, std::va_list arguments, int error) {
  Messages* const mine = MyMessages();
  char beside[kShortErrorTextBytes];
  const size_t bytes = mine == nullptr ? sizeof beside : kErrorTextBytes;
  char* const text = mine == nullptr ? beside : mine->texts[1 - mine->last];
  const int length = std::vsnprintf(text, bytes, format, arguments);
  if (error != 0 && length >= 0 && static_cast<size_t>(length) < bytes) {
    std::snprintf(text + length, bytes - static_cast<size_t>(length), ": %s%s",
                  std::strerror(error), MeaningOf(error).advice);
  }
  EscapeControls(text, bytes);
  if (mine != nullptr) {
    mine->last = 1 - mine->last;
  } else {
    std::memcpy(short_message, beside, sizeof beside);
  }
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
  return MeaningOf(error).code;
}

bool IsNotDoneHere(int error) { return error == EINVAL || error == EOPNOTSUPP || error == ENOSYS; }

const char* LastError() {
  return my_messages == nullptr ? short_message : my_messages->texts[my_messages->last];
}

KeepLastError::KeepLastError() {
  const char* const last = LastError();
  const size_t bytes = std::strlen(last) + 1;
  if (bytes > sizeof short_) text_ = new (std::nothrow) char[bytes];
  if (text_ != nullptr) {
    std::memcpy(text_, last, bytes);
  } else {
    std::snprintf(short_, sizeof short_, "%s", last);
  }
}

KeepLastError::~KeepLastError() {
  if (!restores_) {
    delete[] text_;
    return;
  }
  Messages* const mine = my_messages;
  char* const to = mine == nullptr ? short_message : mine->texts[mine->last];
  const size_t bytes = mine == nullptr ? sizeof short_message : kErrorTextBytes;
  std::snprintf(to, bytes, "%s", text_ == nullptr ? short_ : text_);
  delete[] text_;
}

}  // namespace morsel
