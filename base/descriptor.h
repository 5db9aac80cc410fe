// A descriptor that knows which file it was made for.
//
// A program may close descriptors that are not its own: daemons close all, since they cannot know
// which they inherited. The number then goes to the next file that anybody opens, and what the
// library writes by it would land there. So the number is asked for before each use, and given only
// while the file behind it is the one that it was made for.
#pragma once

#include <sys/types.h>

namespace morsel {

/// Which file an open file is, by whatever name it was found.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// Ownership  closes the descriptor with the object, if it is still the file's; move-only.
/// Threads    any, but for Close() and moves. Whoever closes descriptors of others between number()
///            and the system call is not seen.
class Descriptor {
 public:
  Descriptor() = default;
  /// Takes over `number`. If it is negative, nothing is open.
  explicit Descriptor(int number);
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { Close(); }

  /// Whether it was opened and not closed by Close().
  bool is_open() const { return number_ >= 0; }
  /// The number for a system call; -1, by which every call fails with EBADF, if nothing is open or
  /// if somebody else has closed it.
  /// Cost  one fstat(2).
  int number() const;
  /// The number, whoever has it now.
  int number_at_open() const { return number_; }
  const FileIdentity& identity() const { return identity_; }

  /// Closes it now. Does nothing if nothing is open, or if the number is another file's.
  void Close();
  /// Lets go of it without closing it.
  void Forget() { number_ = -1; }

 private:
  int number_ = -1;
  FileIdentity identity_;
};

/// Closes `number` if it is a descriptor of that file. Calls fstat(2) and close(2) only.
void CloseIfOf(const FileIdentity& identity, int number);

}  // namespace morsel
