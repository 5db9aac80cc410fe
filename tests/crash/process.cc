#include "tests/crash/process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/check.h"

namespace morsel::crash {
namespace {

using Clock = std::chrono::steady_clock;

// Far beyond what a loaded machine needs for one target.
constexpr std::chrono::seconds kStandstill{60};

std::string HowItEnded(int status) {
  if (WIFEXITED(status)) return "exited with " + std::to_string(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  return "died of signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
}

// Where a child leaves its findings.
struct Sheet {
  char text[64 * 1024];
  size_t length;
};

void Write(const Findings& findings, Sheet* sheet) {
  for (const std::string& finding : findings) {
    if (sheet->length + finding.size() + 1 > sizeof sheet->text) break;
    std::memcpy(sheet->text + sheet->length, finding.c_str(), finding.size() + 1);
    sheet->length += finding.size() + 1;
  }
}

Findings Read(const Sheet& sheet) {
  Findings findings;
  for (size_t at = 0; at < sheet.length; at += findings.back().size() + 1) {
    findings.emplace_back(sheet.text + at);
  }
  return findings;
}

}  // namespace

Child::Child(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) Die("fork failed: %m");
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int status = body();
  std::fflush(nullptr);
  _exit(status);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string Child::KillAtTarget(const Counter& counter, std::chrono::nanoseconds delay) {
  const Clock::time_point give_up = Clock::now() + kStandstill;
  while (!counter.WaitForTarget(std::chrono::milliseconds(500))) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return "the writer " + HowItEnded(status);
    }
    if (Clock::now() > give_up) return "the writer came to a standstill";
  }
  const Clock::time_point instant = Clock::now() + delay;
  while (Clock::now() < instant) {
  }
  kill(pid_, SIGKILL);
  return Wait();
}

std::string Child::Wait() {
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) Die("waitpid failed: %m");
  pid_ = -1;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return {};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return "the writer " + HowItEnded(status);
}

Findings FindInChild(const std::function<Findings()>& body) {
  void* const memory =
      mmap(nullptr, sizeof(Sheet), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Die("no memory to share: %m");
  Sheet* const sheet = static_cast<Sheet*>(memory);
  Child child([&] {
    Write(body(), sheet);
    return 0;
  });
  const std::string end = child.Wait();
  Findings findings = Read(*sheet);
  munmap(memory, sizeof(Sheet));
  if (!end.empty()) findings.push_back("while checking: " + end);
  return findings;
}

Findings WriterFailed(const Failure& failure) {
  if (failure.text[0] == '\0') return {};
  return {std::string("the writer failed: ") + failure.text};
}

}  // namespace morsel::crash
