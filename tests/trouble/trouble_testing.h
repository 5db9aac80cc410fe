// Pools of both kinds, and checks of calls that must fail: the code, the message, and that no byte
// on the medium changes.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "morsel/morsel.h"
#include "os/testing/scratch_testing.h"

namespace morsel::trouble {

/// A number and not an enumerator, so that `condition ? kFine : 0` has one type.
inline constexpr uint32_t kFine = MORSEL_FINE;

/// The path and content of every file at or below `path`, and the path of every directory.
using Bytes = std::map<std::string, std::string>;
Bytes AllBytes(const std::string& path);

void WriteFile(const std::string& path, const std::string& bytes);
void Overwrite(const std::string& path, uint64_t offset, const std::string& bytes);
void FlipBit(const std::string& path, uint64_t offset);

/// Expects that the last call returned `expected`, and that its message has each of `words`.
void ExpectFailure(morsel_code code, morsel_code expected, const std::vector<std::string>& words);

/// Runs `body` in a forked child, and expects that the child ends without a failed expectation.
void InChild(const std::function<void()>& body);

/// Tests with a folder of their own on /dev/shm, where a file can stand in for persistent memory.
class TroubleTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Opens the pool at `path` with `flags`. Makes a carved pool with 8 MiB. Expects success.
  morsel_pool_t* OpenPool(const std::string& path, uint32_t flags = 0);
  /// A directory pool and a carved pool, open for writing.
  morsel_pool_t* MakeDirectoryPool() { return OpenPool(directory_, MORSEL_CREATE); }
  morsel_pool_t* MakeCarvedPool() { return OpenPool(carved_, MORSEL_CREATE | MORSEL_CARVED); }

  /// Opens a morsel. Makes it with 2 MiB and a capacity of 64 MiB. Expects success.
  static morsel_t* Open(morsel_pool_t* pool, const std::string& name, uint32_t flags = 0);
  /// Returns the code of morsel_open().
  static morsel_code Try(morsel_pool_t* pool, const std::string& name, uint32_t flags = 0);
  static morsel_code TryPool(const std::string& path, uint32_t flags = 0);

  /// Makes morsels with a root 'text' that holds `text`, and closes everything.
  void Make(const std::string& path, uint32_t pool_flags, const std::vector<std::string>& names,
            const std::string& text = "as it was");
  /// Returns the text at the root 'text' of a morsel.
  static std::string TextOf(morsel_t* morsel);

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string folder_ = scratch_.path();
  std::string directory_ = scratch_.At("pool");
  std::string carved_ = scratch_.At("carved");
};

}  // namespace morsel::trouble
