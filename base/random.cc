#include "base/random.h"

#include <sys/random.h>

#include "base/error.h"

namespace morsel {

Result<Id> RandomId() {
  Id id;
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return FailErrno("getrandom gave no id for a new object");
  }
  return id;
}

}  // namespace morsel
