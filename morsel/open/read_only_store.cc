#include "morsel/open/read_only_store.h"

#include <signal.h>
#include <ucontext.h>

#include "morsel/open/open_morsel.h"
#include "morsel/open/process.h"
#include "os/memory/signal_message.h"

namespace morsel {
namespace {

// Whether the access that the kernel refused was a store. Elsewhere than here it is not known, and
// may also be a jump.
bool IsStore([[maybe_unused]] const void* context) {
#ifdef __x86_64__
  constexpr greg_t kWrite = 2;
  return (static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR] & kWrite) != 0;
#else
  return true;
#endif
}

// The table of addresses is read without a lock, and the morsel is not closed meanwhile unless the
// program closes it while it stores into it.
void Explain(const void* address, const void* context) {
  const char* const at = static_cast<const char*>(address);
  OpenMorsel* const morsel = MorselAt(at);
  if (morsel == nullptr || !morsel->read_only() || !IsStore(context)) return;
  const uint64_t offset = static_cast<uint64_t>(at - static_cast<const char*>(morsel->base()));
  if (offset >= morsel->size_bytes()) return;
  os::SignalMessage message;
  message << "morsel: " << morsel->label().c_str() << ": a store at ";
  message.Hexadecimal(reinterpret_cast<uint64_t>(address)) << ", offset ";
  message.Hexadecimal(offset) << ", and it is open for reading only: open it without "
                                 "MORSEL_READ_ONLY to change it\n";
  message.Write();
}

void TakeDefault() {
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  sigaction(SIGSEGV, &by_default, nullptr);
}

void OnSegmentationFault(int, siginfo_t* info, void* context) {
  if (info->si_code == SEGV_ACCERR) Explain(info->si_addr, context);
  TakeDefault();
  // An access that failed is made again when the handler returns, and fails again. What was sent
  // is not.
  if (info->si_code <= 0) raise(SIGSEGV);
}

bool IsFree(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

}  // namespace

void ExplainStoresWhereReadOnly() {
  struct sigaction before;
  if (sigaction(SIGSEGV, nullptr, &before) != 0 || !IsFree(before)) return;
  struct sigaction action = {};
  action.sa_sigaction = OnSegmentationFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  if (sigaction(SIGSEGV, &action, &before) != 0 || IsFree(before)) return;
  const bool is_ours =
      (before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction == OnSegmentationFault;
  // Another thread has set a handler between the two calls.
  if (!is_ours) sigaction(SIGSEGV, &before, nullptr);
}

}  // namespace morsel
