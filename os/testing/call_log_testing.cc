#include "os/testing/call_log_testing.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <iterator>

// The one place from which calls are not trapped: it makes the call, and returns what it returns.
asm(R"(
  .pushsection .text
  .type morsel_testing_call, @function
morsel_testing_call:
  mov %rdi, %rax
  mov %rsi, %rdi
  mov %rdx, %rsi
  mov %rcx, %rdx
  mov %r8, %r10
  mov %r9, %r8
  mov 8(%rsp), %r9
  syscall
morsel_testing_called:
  ret
  .size morsel_testing_call, . - morsel_testing_call
  .popsection
)");
extern "C" {
int64_t morsel_testing_call(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e,
                            int64_t f);
extern const char morsel_testing_called[];
}

namespace morsel::os {
namespace {

constexpr int64_t kFStat = SYS_fstat;
constexpr size_t kCallsMax = 10000;
struct Log {
  std::array<int64_t, kCallsMax> numbers;
  size_t count;
};
Log log;  // of the one thread; a handler writes it

int64_t NumberOf(const greg_t* registers) {
  const int64_t number = registers[REG_RAX];
  if (number != SYS_newfstatat) return number;
  const auto* const path = reinterpret_cast<const char*>(registers[REG_RSI]);
  return path != nullptr && *path == '\0' ? kFStat : number;
}

void MakeAndLog(int, siginfo_t*, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (log.count < kCallsMax) log.numbers[log.count++] = NumberOf(registers);
  registers[REG_RAX] = morsel_testing_call(
      registers[REG_RAX], registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
      registers[REG_R10], registers[REG_R8], registers[REG_R9]);
}

struct Name {
  int64_t number;
  const char* name;
};
constexpr Name kNames[] = {
    {SYS_newfstatat, "fstatat"},    {kFStat, "fstat"},
    {SYS_ioctl, "ioctl"},           {SYS_pread64, "pread64"},
    {SYS_pwrite64, "pwrite64"},     {SYS_pwritev2, "pwritev2"},
    {SYS_membarrier, "membarrier"}, {SYS_futex, "futex"},
    {SYS_fdatasync, "fdatasync"},   {SYS_mmap, "mmap"},
    {SYS_munmap, "munmap"},         {SYS_madvise, "madvise"},
    {SYS_clone, "clone"},           {SYS_clone3, "clone3"},
    {SYS_openat, "openat"},         {SYS_io_uring_setup, "io_uring_setup"},
};

}  // namespace

bool LogCallsOfThisThread() {
  struct sigaction action {};
  action.sa_sigaction = MakeAndLog;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSYS, &action, nullptr) != 0) return false;
  const auto from = reinterpret_cast<uint64_t>(morsel_testing_called);
  constexpr size_t kFrom = offsetof(seccomp_data, instruction_pointer);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 4, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFrom),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(from), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFrom + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(from >> 32), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  const sock_fprog program = {std::size(filter), filter};
  log.count = 0;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

std::vector<std::string> TakeLoggedCalls() {
  const size_t count = log.count;  // what is made from here on is this function's
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) {
    const auto* const found = std::find_if(std::begin(kNames), std::end(kNames), [&](Name name) {
      return name.number == log.numbers[i];
    });
    names.push_back(found != std::end(kNames) ? found->name : std::to_string(log.numbers[i]));
  }
  log.count = 0;
  return names;
}

}  // namespace morsel::os
