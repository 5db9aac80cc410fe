#include "base/descriptor.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace morsel {
namespace {

// Of a closed number: the identity of no file.
FileIdentity IdentityOf(int number) {
  struct stat status;
  if (fstat(number, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

}  // namespace

Descriptor::Descriptor(int number)
    : number_(number), identity_(number < 0 ? FileIdentity() : IdentityOf(number)) {}

Descriptor::Descriptor(Descriptor&& other) noexcept
    : number_(std::exchange(other.number_, -1)), identity_(other.identity_) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    Close();
    number_ = std::exchange(other.number_, -1);
    identity_ = other.identity_;
  }
  return *this;
}

int Descriptor::number() const {
  return number_ >= 0 && IdentityOf(number_) == identity_ ? number_ : -1;
}

void Descriptor::Close() { CloseIfOf(identity_, std::exchange(number_, -1)); }

void CloseIfOf(const FileIdentity& identity, int number) {
  if (number >= 0 && IdentityOf(number) == identity) close(number);
}

}  // namespace morsel
