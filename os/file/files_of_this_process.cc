#include "os/file/files_of_this_process.h"

#include <unistd.h>

#include <set>

namespace morsel::os {
namespace {

struct Files {
  Mutex fork_gate{LockRank::kFileForks};
  Mutex mutex{LockRank::kFilesOfProcess};  // guards `descriptors`
  std::set<int> descriptors;
};

Files& TheFiles() {
  static Files* const files = new Files;  // outlives every static of the program
  return *files;
}

}  // namespace

void CloseInChildren(int descriptor) {
  const std::lock_guard lock(TheFiles().mutex);
  TheFiles().descriptors.insert(descriptor);
}

bool KeepInChildren(int descriptor) {
  const std::lock_guard lock(TheFiles().mutex);
  return TheFiles().descriptors.erase(descriptor) > 0;
}

std::unique_lock<Mutex> NoForkMeanwhile() { return std::unique_lock(TheFiles().fork_gate); }

void FilesBeforeFork() {
  TheFiles().fork_gate.lock();
  TheFiles().mutex.lock();
}

void FilesAfterFork(bool child) {
  Files& files = TheFiles();
  if (child) {
    for (const int descriptor : files.descriptors) close(descriptor);
    files.descriptors.clear();
  }
  files.mutex.unlock();
  files.fork_gate.unlock();
}

}  // namespace morsel::os
