// Makes images by the library, and says what the library finds in them. The reader that was written
// from docs/format.md is compared with it.
//
//   image_oracle make SEED DIRECTORY NAME   makes an image, some generations old
//   image_oracle check FILE                 verifies its checksums
//   image_oracle codecs                     lists the names of the codecs
//   image_oracle roots POOL                 makes a pool whose morsel "m" has many roots
//   image_oracle damage-roots FILE TO       copies an image, with two words of its roots swapped
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
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"
#include "image/codecs/codecs.h"
#include "image/image_file.h"
#include "morsel/morsel.h"
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

// Checkpoints of few pages, which go into a log.
void ChangeLittle(ImageFile& image, std::string& memory, Random& random) {
  for (uint64_t checkpoints = random() % 12; checkpoints > 0; --checkpoints) {
    os::PageSet dirty;
    for (uint64_t pages = random() % 5; pages > 0; --pages) {
      const uint64_t at = random() % memory.size();
      memory[at] = static_cast<char>(random());
      dirty.Add(at / kPageBytes * kPageBytes, kPageBytes);
    }
    const uint64_t live_bytes = random() % memory.size();
    if (!image.Store(memory.data(), memory.size(), live_bytes, &dirty).ok()) Die("store");
  }
}

int Make(uint64_t seed, const char* path, const char* name) {
  setenv("MORSEL_LOG", "always", 1);
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
  if (random() % 2 == 0) ChangeLittle(*image, memory, random);
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
    told["has_doubts"] = !image->FindDoubts().empty();
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

void Must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "image_oracle: %s: %s\n", what, morsel_last_error());
  std::exit(1);
}

json RootsOf(morsel_t* morsel) {
  json roots = json::object();
  const auto add = [](const morsel_root_info* root, void* all) {
    char address[24];
    std::snprintf(address, sizeof address, "%p", root->object);
    json told = {{"address", address}};
    if ((root->flags & MORSEL_TYPED) != 0) {
      told.update({{"type", root->type},
                   {"is_mangled", false},
                   {"size", root->size},
                   {"alignment", root->alignment},
                   {"layout", root->layout}});
    }
    (*static_cast<json*>(all))[root->name] = told;
    return 0;
  };
  Must(morsel_for_each_root(morsel, add, &roots) == MORSEL_OK, "for_each_root");
  return roots;
}

// Typed ones and others, some of which are set again, or forgotten.
void SetRoots(morsel_t* morsel) {
  constexpr int kCount = 1500;
  std::vector<char*> objects(kCount);
  for (int i = 0; i < kCount; ++i) {
    objects[i] = static_cast<char*>(morsel_malloc(morsel, 16));
    Must(objects[i] != nullptr, "malloc");
    std::string name = "root " + std::to_string(i);
    if (i % 100 == 0) name.resize(255, 'z');
    const std::string type_name(i % 7 == 0 ? 1024 : i % 50, 't');
    const morsel_type type = {.struct_size = sizeof(morsel_type),
                              .alignment = uint32_t{1} << i % 12,
                              .size = uint64_t{1} << i % 60,
                              .layout = static_cast<uint32_t>(i),
                              .flags = 0,
                              .name = type_name.c_str()};
    Must((i % 3 == 0
              ? morsel_set_root(morsel, name.c_str(), objects[i])
              : morsel_set_root_typed(morsel, name.c_str(), objects[i], &type, 0)) == MORSEL_OK,
         "set_root");
  }
  for (int i = 1; i < kCount; i += 10) {
    const std::string name = "root " + std::to_string(i);
    char* const object = i % 20 == 1 ? nullptr : objects[0];
    Must(morsel_set_root(morsel, name.c_str(), object) == MORSEL_OK, "set_root");
  }
}

int MakeRoots(const char* path) {
  morsel_pool_options pool_options{};
  pool_options.struct_size = sizeof pool_options;
  pool_options.flags = MORSEL_CREATE;
  morsel_pool_t* pool = nullptr;
  Must(morsel_pool_open(path, &pool_options, &pool) == MORSEL_OK, path);
  morsel_options options{};
  options.struct_size = sizeof options;
  options.flags = MORSEL_CREATE;
  morsel_t* morsel = nullptr;
  Must(morsel_open(pool, "m", &options, &morsel) == MORSEL_OK, "open");
  SetRoots(morsel);
  const json roots = RootsOf(morsel);
  Must(morsel_close(morsel) == MORSEL_OK && morsel_pool_close(pool) == MORSEL_OK, "close");
  std::puts(roots.dump().c_str());
  return 0;
}

int DamageRoots(const char* path, const std::string& to) {
  Result<os::File> file = os::File::Open(os::KernelCalls(), AT_FDCWD, path, O_RDONLY, 0, path);
  if (!file) Die(path);
  const Result<ImageFile> image = ImageFile::Open(std::move(*file), true);
  if (!image) Die(path);
  std::string memory(image->info().size_bytes, '\0');
  if (!image->Load(memory.data()).ok()) Die("load");
  uint64_t words[256];
  std::memcpy(words, memory.data() + 2048, sizeof words);
  std::swap(words[0], words[1]);
  if (words[0] == words[1]) Die("the words are alike");
  std::memcpy(memory.data() + 2048, words, sizeof words);
  const size_t slash = to.rfind('/');
  const Result<os::Directory> directory =
      os::Directory::Open(os::KernelCalls(), to.substr(0, slash));
  if (!directory) Die(to.c_str());
  const Result<ImageFile> made =
      ImageFile::Create(*directory, to.substr(slash + 1), 0600, image->info(), memory.data());
  if (!made) Die("create");
  std::puts("{}");
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
  if (argc == 3 && std::strcmp(argv[1], "roots") == 0) return morsel::MakeRoots(argv[2]);
  if (argc == 4 && std::strcmp(argv[1], "damage-roots") == 0) {
    return morsel::DamageRoots(argv[2], argv[3]);
  }
  std::fputs(
      "usage: image_oracle make SEED DIRECTORY NAME | check FILE | codecs | roots POOL | "
      "damage-roots FILE TO\n",
      stderr);
  return 2;
}
