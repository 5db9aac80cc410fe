// Makes images by the library, and says what the library finds in them. The reader that was written
// from docs/format.md is compared with it.
//
//   image_oracle make SEED DIRECTORY NAME   makes an image, some generations old
//   image_oracle check FILE                 verifies its checksums
//   image_oracle codecs                     lists the names of the codecs
//
// Each prints one JSON value.
#include <fcntl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"
#include "image/codecs/codecs.h"
#include "image/image_file.h"
#include "os/file/directory.h"

namespace morsel {
namespace {

using image::ImageFile;
using image::ImageInfo;
using nlohmann::json;
using Random = std::mt19937_64;

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "image_oracle: %s: %s\n", what, LastError());
  std::exit(1);
}

std::string Hex(const void* bytes, size_t size_bytes) {
  std::string text;
  for (size_t i = 0; i < size_bytes; ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<const unsigned char*>(bytes)[i]);
    text += digits;
  }
  return text;
}

std::string Hex(Sum128 sum) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(sum.high),
                static_cast<unsigned long long>(sum.low));
  return text;
}

// Some pages of a subtree, or all of them; sometimes it becomes zero.
void Change(std::string& memory, Random& random) {
  const uint64_t subtree = random() % (memory.size() / kSubtreeBytes);
  char* const bytes = memory.data() + subtree * kSubtreeBytes;
  switch (random() % 4) {
    case 0:
      std::memset(bytes, 0, kSubtreeBytes);
      return;
    case 1:
      for (uint64_t i = 0; i < kSubtreeBytes; i += 8) {
        const uint64_t word = random() % 3 == 0 ? random() : 0;
        std::memcpy(bytes + i, &word, sizeof word);
      }
      return;
    default:
      for (uint64_t pages = random() % 150; pages > 0; --pages) {
        bytes[random() % kSubtreeBytes] = static_cast<char>(random());
      }
  }
}

json Told(const ImageInfo& info) {
  char base[24];
  std::snprintf(base, sizeof base, "0x%llx", static_cast<unsigned long long>(info.base));
  return {{"generation", info.generation},
          {"id", Hex(info.id.data(), info.id.size())},
          {"base", base},
          {"capacity_bytes", info.capacity_bytes},
          {"size_bytes", info.size_bytes},
          {"live_bytes", info.live_bytes},
          {"contract", info.contract == image::Contract::kFine ? "fine" : "snapshot"},
          {"codec", image::CodecName(info.codec)},
          {"flags", (info.grows ? 1 : 0) + (info.giant ? 2 : 0)}};
}

int Make(uint64_t seed, const char* path, const char* name) {
  Random random(seed);
  // Now and then more than a GiB, so that there are several tables.
  const uint64_t subtrees = seed % 8 == 7 ? kSubtreesPerGiant + 3 : random() % 5 + 1;
  std::string memory(subtrees * kSubtreeBytes, '\0');
  ImageInfo info;
  for (unsigned char& byte : info.id) byte = static_cast<unsigned char>(random());
  info.base = (random() % 1000 + 1) * kGiantBytes;
  info.capacity_bytes = (subtrees + random() % 1000) * kSubtreeBytes;
  info.size_bytes = memory.size();
  info.contract = static_cast<image::Contract>(random() % 2);
  info.grows = random() % 2 == 0;
  info.giant = random() % 2 == 0;
  info.codec = static_cast<image::Codec>(seed % image::kCodecCount);
  const Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), path);
  if (!directory) Die(path);
  Change(memory, random);
  Result<ImageFile> image = ImageFile::Create(*directory, name, 0600, info, memory.data());
  if (!image) Die("create");
  for (uint64_t generations = random() % 6; generations > 0; --generations) {
    for (uint64_t changes = random() % 3; changes > 0; --changes) Change(memory, random);
    if (!image->Store(memory.data(), memory.size(), random() % memory.size()).ok()) Die("store");
  }
  json told = Told(image->info());
  told["subtrees"] = json::object();
  for (uint64_t i = 0; i < subtrees; ++i) {
    const char* const bytes = memory.data() + i * kSubtreeBytes;
    if (bytes[0] == 0 && std::memcmp(bytes, bytes + 1, kSubtreeBytes - 1) == 0) continue;
    told["subtrees"][std::to_string(i)] = Hex(Checksum128(bytes, kSubtreeBytes));
  }
  std::puts(told.dump().c_str());
  return 0;
}

int Check(const char* path) {
  Result<os::File> file = os::File::Open(os::KernelCalls(), AT_FDCWD, path, O_RDONLY, 0, path);
  if (!file) Die(path);
  const Result<ImageFile> image = ImageFile::Open(std::move(*file), true);
  json told;
  if (!image) {
    told["verdict"] = image.error() == Code::kVersion ? "version" : "corrupt";
    told["why"] = LastError();
  } else {
    std::set<uint64_t> damaged;
    const Status verified = image->Verify([&](const char* sentence) {
      const char* const number = std::strstr(sentence, "subtree ");
      if (number == nullptr) Die(sentence);
      damaged.insert(std::strtoull(number + std::strlen("subtree "), nullptr, 10));
    });
    if (!verified.ok()) Die("verify");
    told["verdict"] = damaged.empty() ? "clean" : "damaged";
    told["damaged"] = damaged;
  }
  std::puts(told.dump().c_str());
  return 0;
}

int Codecs() {
  json names = json::array();
  for (const image::CodecRow& codec : image::AllCodecs()) names.push_back(codec.name);
  std::puts(names.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace morsel

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "make") == 0) {
    return morsel::Make(std::strtoull(argv[2], nullptr, 10), argv[3], argv[4]);
  }
  if (argc == 3 && std::strcmp(argv[1], "check") == 0) return morsel::Check(argv[2]);
  if (argc == 2 && std::strcmp(argv[1], "codecs") == 0) return morsel::Codecs();
  std::fputs("usage: image_oracle make SEED DIRECTORY NAME | check FILE | codecs\n", stderr);
  return 2;
}
