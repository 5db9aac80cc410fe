// For tests: a variable of the environment while a test looks at it.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace morsel::os {

/// Sets a variable of the environment. The destructor brings back what it was before: a
/// sanitizer's build, for one, is given some from outside.
/// Threads  none may look at the environment meanwhile.
class Variable {
 public:
  Variable(std::string name, const std::string& value) : name_(std::move(name)) {
    if (const char* const before = std::getenv(name_.c_str())) before_ = before;
    setenv(name_.c_str(), value.c_str(), 1);
  }
  ~Variable() { before_ ? setenv(name_.c_str(), before_->c_str(), 1) : unsetenv(name_.c_str()); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  std::string name_;
  std::optional<std::string> before_;
};

}  // namespace morsel::os
