// The last code of a thread that a program has: the destructors of pthread_key_create(3).
#pragma once

#include <gtest/gtest.h>
#include <pthread.h>

#include <climits>
#include <functional>
#include <utility>

namespace morsel::alloc {

/// In how many rounds the system calls such destructors.
#ifdef __SANITIZE_THREAD__
// Without the last ones: ThreadSanitizer takes a thread for gone at the beginning of the last, and
// what is called in one round may ask for a destructor in the next.
inline constexpr int kKeyRounds = PTHREAD_DESTRUCTOR_ITERATIONS - 2;
#else
inline constexpr int kKeyRounds = PTHREAD_DESTRUCTOR_ITERATIONS;
#endif

/// Calls a function in every round.
class KeyRounds {
 public:
  explicit KeyRounds(std::function<void(int round)> call) : call_(std::move(call)) {
    EXPECT_EQ(pthread_key_create(&key_, Destroy), 0);
  }
  ~KeyRounds() { pthread_key_delete(key_); }
  KeyRounds(const KeyRounds&) = delete;
  KeyRounds& operator=(const KeyRounds&) = delete;

  /// The calling thread is the one whose rounds these are.
  void Arm() {
    round_ = 0;
    pthread_setspecific(key_, this);
  }

 private:
  static void Destroy(void* object) {
    KeyRounds& self = *static_cast<KeyRounds*>(object);
    self.call_(++self.round_);
    if (self.round_ < kKeyRounds) pthread_setspecific(self.key_, object);
  }

  std::function<void(int round)> call_;
  pthread_key_t key_{};
  int round_ = 0;
};

}  // namespace morsel::alloc
