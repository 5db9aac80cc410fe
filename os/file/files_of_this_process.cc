#include "os/file/files_of_this_process.h"

#include <map>

namespace morsel::os {
namespace {

struct Files {
  Mutex fork_gate{LockRank::kFileForks};
  Mutex mutex{LockRank::kFilesOfProcess};   // guards `descriptors`
  std::map<int, FileIdentity> descriptors;  // by numbers
};

Files& TheFiles() {
  static Files* const files = new Files;  // outlives every static of the program
  return *files;
}

}  // namespace

void CloseInChildren(const Descriptor& descriptor) {
  const std::lock_guard lock(TheFiles().mutex);
  TheFiles().descriptors[descriptor.number_at_open()] = descriptor.identity();
}

bool KeepInChildren(const Descriptor& descriptor) {
  const std::lock_guard lock(TheFiles().mutex);
  auto& descriptors = TheFiles().descriptors;
  const auto found = descriptors.find(descriptor.number_at_open());
  if (found == descriptors.end()) return false;
  // Where somebody else has closed it, another file of the library may have got its number.
  if (found->second == descriptor.identity()) descriptors.erase(found);
  return true;
}

std::unique_lock<Mutex> NoForkMeanwhile() { return std::unique_lock(TheFiles().fork_gate); }

void FilesBeforeFork() {
  TheFiles().fork_gate.lock();
  TheFiles().mutex.lock();
}

void FilesAfterFork(bool child) {
  Files& files = TheFiles();
  if (child) {
    for (const auto& [number, identity] : files.descriptors) CloseIfOf(identity, number);
    files.descriptors.clear();
  }
  files.mutex.unlock();
  files.fork_gate.unlock();
}

}  // namespace morsel::os
