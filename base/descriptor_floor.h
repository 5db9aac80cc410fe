// Keeps the process' standard input, output and error free of our descriptors.
//
// A daemon may run with descriptors 0, 1 and 2 closed. The next file that anybody opens gets the
// lowest free number, and what the program prints then goes into that file. So no descriptor of
// the library may be below 3.
#pragma once

namespace morsel {

/// As long as one lives, no descriptor that this process makes is below 3. Where 0, 1 or 2 is
/// closed, it stands in with a descriptor that can neither be read nor written: who uses it fails
/// with EBADF meanwhile, as with a closed one. To live as long as the call that makes a descriptor.
///
/// Errors   none: where it can make no descriptor itself, the caller's call fails in the same way.
///          Nothing helps against a program that closes 0, 1 or 2 while one lives.
/// Threads  any. A child of fork(2) does not have what stood in for another thread.
/// Cost     three calls of fcntl(2) where nothing is closed.
class DescriptorFloor {
 public:
  DescriptorFloor();
  ~DescriptorFloor();
  DescriptorFloor(const DescriptorFloor&) = delete;
  DescriptorFloor& operator=(const DescriptorFloor&) = delete;

  /// To be called around fork(2).
  static void BeforeFork();
  static void AfterFork(bool child);

 private:
  bool holds_;  // one of those that keep what stands in
};

}  // namespace morsel
