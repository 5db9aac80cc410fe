// For tests: memory that is stored, and the images that it is stored in.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "image/codecs/codecs.h"
#include "image/image_file.h"
#include "os/file/directory.h"
#include "os/testing/memory_testing.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {

/// The base of test images. Nothing is mapped there, and nothing has to be.
inline constexpr uint64_t kTestBase = 0x100100000000;

/// Set if a sanitizer looks at each load and store. Tests then try fewer random cases.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSlowBuild = true;
#else
inline constexpr bool kSlowBuild = false;
#endif

/// The codecs that there are, and those of them that compress.
inline std::vector<Codec> EveryCodec() {
  std::vector<Codec> codecs;
  for (const CodecRow& row : AllCodecs()) codecs.push_back(row.id);
  return codecs;
}
inline std::vector<Codec> EveryCompressingCodec() {
  std::vector<Codec> codecs = EveryCodec();
  std::erase(codecs, Codec::kNone);
  return codecs;
}
/// The lowest number that is no codec.
inline constexpr Codec kUnknownCodec = static_cast<Codec>(kCodecCount);

/// The memory of a morsel.
using Memory = std::string;

inline Memory MemoryOf(uint64_t subtrees) { return Memory(subtrees * kSubtreeBytes, '\0'); }

/// Fills a subtree with bytes that do not compress; each `seed` gives other ones.
inline void FillSubtree(Memory& memory, uint64_t subtree, uint64_t seed) {
  char* const bytes = memory.data() + subtree * kSubtreeBytes;
  uint64_t value = seed * 0x9e3779b97f4a7c15 + 1;
  for (uint64_t at = 0; at < kSubtreeBytes; at += sizeof value) {
    std::memcpy(bytes + at, &value, sizeof value);
    value = value * 6364136223846793005 + 1442695040888963407;
  }
}

/// Fills a subtree with bytes that compress to about half.
inline void FillHalf(Memory& memory, uint64_t subtree, uint64_t seed) {
  FillSubtree(memory, subtree, seed);
  char* const bytes = memory.data() + subtree * kSubtreeBytes;
  for (uint64_t at = 0; at < kSubtreeBytes; at += 128) std::memset(bytes + at, 'h', 64);
}

inline os::SystemCalls& TestCalls() {
  static os::ScriptedCalls calls;
  return calls;
}

/// Gives each test a directory of its own, and creates, opens and reads images there.
class ImageTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { os::KeepFreedMemory(); }

  static ImageInfo InfoFor(const Memory& memory, uint64_t capacity_subtrees = 1024) {
    ImageInfo info;
    info.id[0] = 7;
    info.base = kTestBase;
    info.capacity_bytes = capacity_subtrees * kSubtreeBytes;
    info.size_bytes = memory.size();
    return info;
  }
  static ImageInfo InfoFor(const Memory& memory, Codec codec) {
    ImageInfo info = InfoFor(memory);
    info.codec = codec;
    return info;
  }
  Result<ImageFile> Create(const std::string& name, const Memory& memory,
                           os::SystemCalls& calls = TestCalls(), Codec codec = Codec::kNone) {
    Result<os::Directory> directory = os::Directory::Open(calls, path_);
    if (!directory) return directory.status();
    return ImageFile::Create(*directory, name, 0600, InfoFor(memory, codec), memory.data());
  }
  Result<ImageFile> Open(const std::string& name, bool read_only = false,
                         os::SystemCalls& calls = TestCalls()) {
    const std::string path = path_ + "/" + name;
    Result<os::File> file =
        os::File::Open(calls, AT_FDCWD, path, read_only ? O_RDONLY : O_RDWR, 0, path);
    if (!file) return file.status();
    return ImageFile::Open(std::move(*file), read_only);
  }
  /// Returns what the image holds, or the failure if it does not open or load.
  Result<Memory> Read(const std::string& name) {
    const Result<ImageFile> image = Open(name, true);
    if (!image) return image.status();
    Memory memory(image->info().size_bytes, '\0');
    MORSEL_TRY(image->Load(memory.data()));
    return memory;
  }
  std::string Bytes(const std::string& name) const {
    const int file = open((path_ + "/" + name).c_str(), O_RDONLY | O_CLOEXEC);
    std::string bytes(static_cast<size_t>(lseek(file, 0, SEEK_END)), '\0');
    EXPECT_EQ(pread(file, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    close(file);
    return bytes;
  }
  void SetBytes(const std::string& name, const std::string& bytes) const {
    const int file =
        open((path_ + "/" + name).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    EXPECT_EQ(pwrite(file, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    close(file);
  }
  void SetByte(const std::string& name, uint64_t offset, char byte) const {
    const int file = open((path_ + "/" + name).c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_EQ(pwrite(file, &byte, 1, static_cast<off_t>(offset)), 1);
    close(file);
  }
  /// Whether LastError() has `words`.
  static bool Says(const char* words) { return std::strstr(LastError(), words) != nullptr; }

  os::Scratch scratch_ = os::Scratch::OnDisk();
  std::string path_ = scratch_.path();
};

}  // namespace morsel::image
