#include "os/memory/bus_error.h"

#include <signal.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "base/mutex.h"
#include "os/memory/signal_message.h"

namespace morsel::os {
namespace {

constexpr size_t kTextBytes = 256;

// A watched range, in a list that the signal handler reads. Entries are linked once and never
// freed, so that the handler needs no lock. A free entry is an empty range, and is used again.
struct Watched {
  std::atomic<uint64_t> begin = 0;
  std::atomic<uint64_t> end = 0;  ///< 0: free
  uint64_t file_offset = 0;
  char label[kTextBytes] = "";
  char path[kTextBytes] = "";
  Watched* next = nullptr;
};

std::atomic<Watched*> first = nullptr;
struct sigaction previous;  // set before the handler is installed

// The same entries, for code that may take a lock.
struct Index {
  Mutex mutex{LockRank::kBusErrors};
  std::map<uint64_t, Watched*> in_use;  // by begin
  std::vector<Watched*> free;
};
Index& Ranges() {
  static Index* const index = new Index;  // outlives every static of the program
  return *index;
}

const char* Cause(int code) {
  switch (code) {
    case BUS_MCEERR_AR:
    case BUS_MCEERR_AO:
      return "the medium has an error there, and what it held is lost";
    case BUS_ADRERR:
      return "there is nothing behind it: a medium error, a device that is gone, or a file that "
             "was truncated";
    default:
      return "the kernel could not serve it";
  }
}

void Report(const siginfo_t& info) {
  const uint64_t address = reinterpret_cast<uint64_t>(info.si_addr);
  for (const Watched* at = first.load(std::memory_order_acquire); at != nullptr; at = at->next) {
    const uint64_t end = at->end.load(std::memory_order_acquire);
    const uint64_t begin = at->begin.load(std::memory_order_relaxed);
    if (address < begin || address >= end) continue;
    SignalMessage message;
    message << "morsel: " << at->label << ": an access at ";
    message.Hexadecimal(address) << " failed, offset ";
    message.Hexadecimal(at->file_offset + (address - begin)) << " of '" << at->path << "': ";
    message << Cause(info.si_code) << "; `morselctl check` lists what is bad\n";
    return message.Write();
  }
}

// Some process sent the signal, or the kernel tells of an error that nobody has touched yet. Such a
// signal does not come again by itself when the handler returns.
bool IsSent(const siginfo_t& info) { return info.si_code <= 0 || info.si_code == BUS_MCEERR_AO; }

// Ends the process, as the signal does by default.
void TakeDefault() {
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  sigaction(SIGBUS, &by_default, nullptr);
  raise(SIGBUS);  // delivered when the handler returns
}

void ReportOnce(const siginfo_t& info) {
  const int saved = errno;
  if (info.si_code > 0) Report(info);
  errno = saved;
}

void OnBusError(int signal_number, siginfo_t* info, void* context) {
  ReportOnce(*info);
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    return previous.sa_sigaction(signal_number, info, context);
  }
  if (previous.sa_handler == SIG_IGN && IsSent(*info)) return;
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    return previous.sa_handler(signal_number);
  }
  // The default, and what the kernel does with a fault whose signal is ignored.
  TakeDefault();
}

std::atomic<bool> has_morsels = false;

// Stands where nothing else does until there is a morsel. A handler that the program has set in
// between may pass the signal on to here, after OnBusError() has reported it.
void OnEarlyBusError(int, siginfo_t* info, void*) {
  if (!has_morsels.load(std::memory_order_acquire)) ReportOnce(*info);
  TakeDefault();
}

void InstallEarly() {
  struct sigaction now;
  struct sigaction action = {};
  action.sa_sigaction = OnEarlyBusError;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  const bool is_free = sigaction(SIGBUS, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
                       now.sa_handler == SIG_DFL;
  if (is_free) sigaction(SIGBUS, &action, nullptr);
}

// The handler that the program has set by now gets the signal afterwards, with the signals blocked
// that it has asked for.
void InstallForMorsels() {
  if (has_morsels.load(std::memory_order_relaxed)) return;
  sigaction(SIGBUS, nullptr, &previous);
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction == OnEarlyBusError) {
    previous = {};
  }
  struct sigaction action = previous;
  action.sa_sigaction = OnBusError;
  action.sa_flags = (previous.sa_flags & (SA_NODEFER | SA_RESTART)) | SA_SIGINFO | SA_ONSTACK;
  has_morsels.store(true, std::memory_order_release);
  sigaction(SIGBUS, &action, nullptr);
}

void Copy(char (&to)[kTextBytes], const std::string& from) {
  to[from.copy(to, kTextBytes - 1)] = '\0';
}

}  // namespace

void WatchForBusErrors(Watches what, const void* memory, uint64_t size_bytes, uint64_t file_offset,
                       const std::string& label, const std::string& path) {
  Index& index = Ranges();
  const std::lock_guard lock(index.mutex);
  if (what == Watches::kMorsel) {
    InstallForMorsels();
  } else if (!has_morsels.load(std::memory_order_relaxed)) {
    InstallEarly();
  }
  const bool is_new = index.free.empty();
  Watched* const node = is_new ? new Watched : index.free.back();
  if (!is_new) index.free.pop_back();
  const uint64_t begin = reinterpret_cast<uint64_t>(memory);
  index.in_use[begin] = node;
  node->file_offset = file_offset;
  Copy(node->label, label);
  Copy(node->path, path);
  node->begin.store(begin, std::memory_order_relaxed);
  node->end.store(begin + size_bytes, std::memory_order_release);
  if (!is_new) return;
  node->next = first.load(std::memory_order_relaxed);
  first.store(node, std::memory_order_release);
}

void ForgetBusErrors(const void* memory, uint64_t size_bytes) {
  Index& index = Ranges();
  const std::lock_guard lock(index.mutex);
  const uint64_t begin = reinterpret_cast<uint64_t>(memory);
  auto at = index.in_use.lower_bound(begin);
  if (at != index.in_use.begin()) {
    Watched& before = *std::prev(at)->second;
    if (before.end.load(std::memory_order_relaxed) > begin) {
      before.end.store(begin, std::memory_order_release);
    }
  }
  while (at != index.in_use.end() && at->first < begin + size_bytes) {
    at->second->end.store(0, std::memory_order_release);
    index.free.push_back(at->second);
    at = index.in_use.erase(at);
  }
}

void BusErrorsBeforeFork() { Ranges().mutex.lock(); }

void BusErrorsAfterFork(bool child) {
  Index& index = Ranges();
  if (child) {
    for (const auto& [begin, node] : index.in_use) {
      node->end.store(0, std::memory_order_release);
      index.free.push_back(node);
    }
    index.in_use.clear();
  }
  index.mutex.unlock();
}

}  // namespace morsel::os
