#include "tests/trouble/trouble_testing.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace morsel::trouble {

namespace fs = std::filesystem;

Bytes AllBytes(const std::string& path) {
  Bytes all;
  if (fs::is_regular_file(path)) all[path] = os::BytesOf(path);
  if (!fs::is_directory(path)) return all;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    all[entry.path()] = entry.is_regular_file() ? os::BytesOf(entry.path()) : "";
  }
  return all;
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  ASSERT_TRUE(file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()) << path;
}

void Overwrite(const std::string& path, uint64_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  ASSERT_TRUE(file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()) << path;
}

void FlipBit(const std::string& path, uint64_t offset) {
  const std::string bytes = os::BytesOf(path);
  Overwrite(path, offset, std::string(1, static_cast<char>(bytes.at(offset) ^ 4)));
}

void ExpectFailure(morsel_code code, morsel_code expected, const std::vector<std::string>& words) {
  const std::string sentence = morsel_last_error();
  EXPECT_EQ(code, expected) << morsel_code_name(code) << ": " << sentence;
  // For whoever reads the log: whether these are sentences only a reader can tell.
  std::printf("%s: %s\n", morsel_code_name(code), sentence.c_str());
  for (const std::string& word : words) {
    EXPECT_NE(sentence.find(word), std::string::npos) << "no '" << word << "' in: " << sentence;
  }
  EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
}

void InChild(const std::function<void()>& body) {
  std::fflush(stdout);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    body();
    std::fflush(stdout);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

void TroubleTest::SetUp() {
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  fs::permissions(folder_, fs::perms(0755));
}

void TroubleTest::TearDown() {
  // A test may have taken the right to write from its folders.
  fs::permissions(folder_, fs::perms(0755));
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    if (entry.is_directory()) fs::permissions(entry.path(), fs::perms(0755));
  }
}

morsel_pool_t* TroubleTest::OpenPool(const std::string& path, uint32_t flags) {
  morsel_pool_options options{};
  options.flags = flags;
  if ((flags & MORSEL_CARVED) != 0) {
    options.size_bytes = 8 << 20;
    options.mode = 0644;
  } else if ((flags & MORSEL_CREATE) != 0) {
    options.mode = 0755;
  }
  morsel_pool_t* pool = nullptr;
  EXPECT_EQ(morsel_pool_open(path.c_str(), &options, &pool), MORSEL_OK) << morsel_last_error();
  return pool;
}

namespace {

morsel_options OptionsOf(uint32_t flags) {
  morsel_options options{};
  options.flags = flags;
  if ((flags & MORSEL_CREATE) != 0) {
    options.size_bytes = 2 << 20;
    options.capacity_bytes = 64 << 20;
    options.mode = 0644;
  }
  return options;
}

}  // namespace

morsel_code TroubleTest::Try(morsel_pool_t* pool, const std::string& name, uint32_t flags) {
  const morsel_options options = OptionsOf(flags);
  morsel_t* morsel = nullptr;
  const morsel_code code = morsel_open(pool, name.c_str(), &options, &morsel);
  EXPECT_EQ(morsel == nullptr, code != MORSEL_OK);
  return code;
}

morsel_code TroubleTest::TryPool(const std::string& path, uint32_t flags) {
  morsel_pool_options options{};
  options.flags = flags;
  if ((flags & MORSEL_CARVED) != 0) options.size_bytes = 8 << 20;
  morsel_pool_t* pool = nullptr;
  const morsel_code code = morsel_pool_open(path.c_str(), &options, &pool);
  EXPECT_EQ(pool == nullptr, code != MORSEL_OK);
  return code;
}

morsel_t* TroubleTest::Open(morsel_pool_t* pool, const std::string& name, uint32_t flags) {
  const morsel_options options = OptionsOf(flags);
  morsel_t* morsel = nullptr;
  EXPECT_EQ(morsel_open(pool, name.c_str(), &options, &morsel), MORSEL_OK) << morsel_last_error();
  return morsel;
}

void TroubleTest::Make(const std::string& path, uint32_t pool_flags,
                       const std::vector<std::string>& names, const std::string& text) {
  morsel_pool_t* const pool = OpenPool(path, MORSEL_CREATE | pool_flags);
  const uint32_t fine = (pool_flags & MORSEL_CARVED) != 0 ? kFine : 0;
  for (const std::string& name : names) {
    morsel_t* const morsel = Open(pool, name, MORSEL_CREATE | fine);
    auto* const block = static_cast<char*>(morsel_malloc(morsel, 64));
    ASSERT_NE(block, nullptr) << morsel_last_error();
    std::strcpy(block, text.c_str());
    if (fine != 0) {
      ASSERT_EQ(morsel_persist(morsel, block, 64), MORSEL_OK);
    }
    ASSERT_EQ(morsel_set_root(morsel, "text", block), MORSEL_OK) << morsel_last_error();
    ASSERT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
  }
  ASSERT_EQ(morsel_pool_close(pool), MORSEL_OK) << morsel_last_error();
}

std::string TroubleTest::TextOf(morsel_t* morsel) {
  const auto* const text = static_cast<const char*>(morsel_root(morsel, "text"));
  return text == nullptr ? morsel_last_error() : text;
}

}  // namespace morsel::trouble
