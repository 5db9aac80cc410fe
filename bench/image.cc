// Stores and loads an image of incompressible bytes, and checkpoints it again and again after some
// pages were written; says how long each takes, as JSON. Memory is warm where the disk is measured.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"
#include "image/codecs/codecs.h"
#include "image/image_file.h"
#include "os/memory/frames.h"
#include "os/memory/open_dirty_tracker.h"

namespace morsel::bench {
namespace {

using image::Codec;
using image::ImageFile;

struct Options {
  std::string folder;
  uint64_t size_mib = 1024;
  uint64_t pages = 1000;
  uint64_t checkpoints = 100;
};

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "image: %s: %s\n", what, LastError());
  std::exit(1);
}
void Expect(Status status, const char* what) {
  if (!status.ok()) Die(what);
}

double SecondsOf(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// A morsel's memory, of one kind.
class Memory {
 public:
  Memory(os::FrameKind kind, uint64_t size_bytes) {
    setenv("MORSEL_FRAMES", os::FrameKindName(kind), 1);
    Result<os::Frames> frames = os::Frames::Open(false);
    Result<os::AddressRange> range = os::AddressRange::Reserve(kBase, size_bytes, "bench");
    if (!frames || !range) Die("no memory");
    range_ = std::move(*range);
    frames_.emplace(std::move(*frames));
    is_there_ = frames_->Resize(range_, size_bytes).ok();
  }
  // False: the host has not enough of this kind.
  bool is_there() const { return is_there_; }
  char* bytes() const { return range_.at(0); }
  os::Frames& frames() { return *frames_; }

 private:
  static constexpr uint64_t kBase = uint64_t{1} << 44;
  os::AddressRange range_;
  std::optional<os::Frames> frames_;
  bool is_there_ = false;
};

// What this process has given to file systems so far.
uint64_t WrittenBytes() {
  std::ifstream file("/proc/self/io");
  for (std::string name; file >> name;) {
    uint64_t value = 0;
    file >> value;
    if (name == "write_bytes:") return value;
  }
  return 0;
}

uint64_t AllocatedBytes(const ImageFile& image) {
  struct stat status;
  if (fstat(image.file().descriptor(), &status) != 0) Die("fstat");
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

// Bytes that no codec makes fewer.
void Fill(char* bytes, uint64_t size_bytes) {
  static uint64_t value = 88172645463325252;
  for (uint64_t at = 0; at < size_bytes; at += sizeof value) {
    value ^= value << 13;
    value ^= value >> 7;
    value ^= value << 17;
    std::memcpy(bytes + at, &value, sizeof value);
  }
}

class Measurement {
 public:
  explicit Measurement(const Options& options)
      : options_(options), bytes_(options.size_mib * kMiB) {
    memory_.emplace(os::FrameKind::kAnonymous, bytes_);
    if (!memory_->is_there()) Die("no memory");
    Fill(memory_->bytes(), bytes_);
  }

  void Run() {
    Store();
    for (const os::FrameKind kind : {os::FrameKind::kAnonymous, os::FrameKind::kHugetlb2M}) {
      if (!LoadInto(kind)) continue;
      for (const char* const way : {"scan", "fault", "compare"}) Again(way);
    }
    Remove("image");
    Strew("dense", 1);
    Strew("sparse", 64);
    Worn("worn", std::min(bytes_, kGiB));
    Worn("worn_whole", bytes_);
    Codecs();
    std::printf("}\n");
  }

 private:
  void Store() {
    Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), options_.folder);
    if (!directory) Die("opening the folder");
    directory_.emplace(std::move(*directory));
    const double store = SecondsOf([&] { StoreAs("image", bytes_); });
    sum_ = Checksum128(memory_->bytes(), bytes_);
    std::printf("{\"bytes\": %lu, \"store_s\": %.6f", bytes_, store);
  }

  void StoreAs(const char* name, uint64_t size_bytes, Codec codec = Codec::kNone) {
    image::ImageInfo info;
    info.id[0] = 1;
    info.base = uint64_t{1} << 40;
    info.capacity_bytes = size_bytes;
    info.size_bytes = size_bytes;
    info.codec = codec;
    Result<ImageFile> image =
        ImageFile::Create(*directory_, name, 0600, info, memory_->bytes(), &memory_->frames());
    if (!image) Die("storing");
    image_.emplace(std::move(*image));
  }

  // A morsel of which one subtree in `step` is used, 1 GiB in all: stored, checkpointed again,
  // loaded.
  void Strew(const char* name, uint64_t step) {
    const uint64_t used_bytes = std::min(bytes_, kGiB);
    const uint64_t size_bytes = used_bytes * step;
    memory_.reset();
    memory_.emplace(os::FrameKind::kAnonymous, size_bytes);
    if (!memory_->is_there()) Die("no memory");
    for (uint64_t at = 0; at < size_bytes; at += step * kSubtreeBytes) {
      Fill(memory_->bytes() + at, kSubtreeBytes);
    }
    const double store = SecondsOf([&] { StoreAs(name, size_bytes); });
    unsetenv("MORSEL_DIRTY");
    const std::unique_ptr<os::DirtyTracker> dirty = *os::OpenDirtyTracker();
    const double track = SecondsOf([&] { Expect(dirty->Track(memory_->frames(), 0), "tracking"); });
    for (uint64_t page = 0; page < options_.pages; ++page) {
      const uint64_t at = random_() % used_bytes;
      memory_->bytes()[at / kSubtreeBytes * step * kSubtreeBytes + at % kSubtreeBytes] ^= 1;
    }
    const double again = SecondsOf([&] {
      os::PageSet pages;
      const Result<bool> known = dirty->Collect(memory_->frames(), pages);
      if (!known) Die("finding what was written");
      Expect(image_->Store(memory_->bytes(), size_bytes, 0, *known ? &pages : nullptr,
                           &memory_->frames()),
             "storing again");
    });
    memory_.reset();
    memory_.emplace(os::FrameKind::kAnonymous, size_bytes);
    for (uint64_t at = 0; at < size_bytes; at += step * kSubtreeBytes) {
      std::memset(memory_->bytes() + at, 0, kSubtreeBytes);
    }
    (void)posix_fadvise(image_->file().descriptor(), 0, 0, POSIX_FADV_DONTNEED);
    const double load = SecondsOf([&] { Expect(image_->Load(memory_->bytes()), "loading"); });
    std::printf(
        ", \"%s\": {\"store_s\": %.6f, \"track_s\": %.6f, \"again_s\": %.6f, \"load_s\": %.6f}",
        name, store, track, again, load);
    Remove(name);
  }

  void StoreAnew(const char* name, uint64_t size_bytes) {
    Remove(name);
    StoreAs(name, size_bytes);
  }

  // Now, and not beside what is measured next: a file goes when it is closed.
  void Remove(const char* name) {
    image_.reset();
    if (unlink((options_.folder + "/" + name).c_str()) != 0) Die("unlinking");
  }

  // What is stored, in frames of another kind. False: the host has none.
  bool LoadInto(os::FrameKind kind) {
    memory_.reset();
    memory_.emplace(kind, bytes_);
    if (!memory_->is_there()) return false;
    const double first_touch = SecondsOf([&] { std::memset(memory_->bytes(), 0, bytes_); });
    (void)posix_fadvise(image_->file().descriptor(), 0, 0, POSIX_FADV_DONTNEED);
    const double load = SecondsOf([&] { Expect(image_->Load(memory_->bytes()), "loading"); });
    if (sum_ && Checksum128(memory_->bytes(), bytes_) != *sum_) {
      Die("what was loaded is not what was stored");
    }
    sum_.reset();
    kind_ = os::FrameKindName(kind);
    std::printf(", \"%s_load_s\": %.6f, \"%s_frames_s\": %.6f", kind_, load, kind_, first_touch);
    return true;
  }

  // Checkpoints by one way of finding what was written, of an image that was just stored.
  void Again(const char* way) {
    setenv("MORSEL_DIRTY", way, 1);
    Result<std::unique_ptr<os::DirtyTracker>> dirty = os::OpenDirtyTracker();
    if (!dirty) return;  // not this kernel's
    StoreAnew("image", bytes_);
    const double track =
        SecondsOf([&] { Expect((*dirty)->Track(memory_->frames(), 0), "tracking"); });
    const Checkpoints all = Checkpoint(**dirty, options_.checkpoints, bytes_);
    std::printf(
        ", \"%s-%s\": {\"track_s\": %.6f, \"find_s\": %.6f, \"compare_s\": %.6f, "
        "\"store_s\": %.6f, \"worst_s\": %.6f, "
        "\"worst_written_bytes\": %lu, \"written_bytes\": %.0f, \"file_bytes\": %lu}",
        kind_, way, track, all.find_s, SecondsToCompare(all), all.store_s, all.worst_s,
        all.worst_written_bytes, all.written_bytes, AllocatedBytes(*image_));
  }

  // A morsel all over which pages were written in so many checkpoints before, that it is a part of
  // each to make room for them.
  void Worn(const char* name, uint64_t bytes) {
    memory_.reset();
    memory_.emplace(os::FrameKind::kAnonymous, bytes);
    if (!memory_->is_there()) Die("no memory");
    Fill(memory_->bytes(), bytes);
    const double first = SecondsOf([&] { StoreAs(name, bytes); });
    unsetenv("MORSEL_DIRTY");
    const std::unique_ptr<os::DirtyTracker> dirty = *os::OpenDirtyTracker();
    Expect(dirty->Track(memory_->frames(), 0), "tracking");
    (void)Checkpoint(*dirty, 4 * options_.checkpoints, bytes);
    const Checkpoints all = Checkpoint(*dirty, options_.checkpoints, bytes);
    const Sum128 sum = Checksum128(memory_->bytes(), bytes);
    std::memset(memory_->bytes(), 0, bytes);
    (void)posix_fadvise(image_->file().descriptor(), 0, 0, POSIX_FADV_DONTNEED);
    const double load = SecondsOf([&] { Expect(image_->Load(memory_->bytes()), "loading"); });
    if (Checksum128(memory_->bytes(), bytes) != sum) Die("what was loaded is not what was stored");
    std::printf(
        ", \"%s\": {\"first_s\": %.6f, \"again_s\": %.6f, \"worst_s\": %.6f, "
        "\"worst_written_bytes\": %lu, \"written_bytes\": %.0f, \"file_bytes\": %lu, "
        "\"load_s\": %.6f}",
        name, first, all.find_s + all.store_s, all.worst_s, all.worst_written_bytes,
        all.written_bytes, AllocatedBytes(*image_), load);
    Remove(name);
  }

  // What checkpoints took: on the average, and at worst.
  struct Checkpoints {
    double find_s = 0;
    double store_s = 0;
    double worst_s = 0;
    double written_bytes = 0;
    uint64_t worst_written_bytes = 0;
    bool known = false;  // of the last one: the kernel told what was written
    os::PageSet pages;   // the same: what
  };

  Checkpoints Checkpoint(os::DirtyTracker& dirty, uint64_t count, uint64_t bytes) {
    Checkpoints all;
    uint64_t written = WrittenBytes();
    for (uint64_t i = 0; i < count; ++i) {
      for (uint64_t page = 0; page < options_.pages; ++page) {
        memory_->bytes()[random_() % bytes] ^= 1;
      }
      all.pages.Clear();
      const double find = SecondsOf([&] {
        const Result<bool> known = dirty.Collect(memory_->frames(), all.pages);
        if (!known) Die("finding what was written");
        all.known = *known;
      });
      const double store = SecondsOf([&] {
        Expect(image_->Store(memory_->bytes(), bytes, 0, all.known ? &all.pages : nullptr,
                             &memory_->frames()),
               "storing again");
      });
      const uint64_t before = std::exchange(written, WrittenBytes());
      all.find_s += find / static_cast<double>(count);
      all.store_s += store / static_cast<double>(count);
      all.worst_s = std::max(all.worst_s, find + store);
      all.written_bytes += static_cast<double>(written - before) / static_cast<double>(count);
      all.worst_written_bytes = std::max(all.worst_written_bytes, written - before);
    }
    return all;
  }

  // Of what was stored last nothing has changed: where pages are found by their sums, what that
  // takes, and two syncs. Where the kernel tells each page nothing is compared.
  double SecondsToCompare(const Checkpoints& last) {
    if (last.known && std::strcmp(kind_, "hugetlb-2m") != 0) return 0;
    return SecondsOf([&] {
      Expect(image_->Store(memory_->bytes(), bytes_, 0, last.known ? &last.pages : nullptr,
                           &memory_->frames()),
             "storing what has not changed");
    });
  }

  // Data that halves, and data of which half the subtrees are zero as well, by each codec.
  void Codecs() {
    const uint64_t bytes = std::min(bytes_, kGiB);
    memory_.reset();
    memory_.emplace(os::FrameKind::kAnonymous, bytes);
    if (!memory_->is_there()) Die("no memory");
    Fill(memory_->bytes(), bytes);
    const char* before = "";
    std::printf(", \"codecs\": [");
    for (const char* const data : {"halves", "half zero"}) {
      const bool halves = std::strcmp(data, "halves") == 0;
      for (uint64_t at = 0; at < bytes; at += halves ? 128 : 2 * kSubtreeBytes) {
        std::memset(memory_->bytes() + at, 0, halves ? 64 : kSubtreeBytes);
      }
      for (const image::CodecRow& codec : image::AllCodecs()) {
        std::printf("%s", before);
        before = ", ";
        OneCodec(data, codec.id, bytes);
      }
    }
    std::printf("]");
  }

  void OneCodec(const char* data, Codec codec, uint64_t bytes) {
    const Sum128 sum = Checksum128(memory_->bytes(), bytes);
    const double store = SecondsOf([&] { StoreAs("codec", bytes, codec); });
    std::memset(memory_->bytes(), 0, bytes);
    (void)posix_fadvise(image_->file().descriptor(), 0, 0, POSIX_FADV_DONTNEED);
    const double load = SecondsOf([&] { Expect(image_->Load(memory_->bytes()), "loading"); });
    if (Checksum128(memory_->bytes(), bytes) != sum) Die("what was loaded is not what was stored");
    std::printf(
        "{\"data\": \"%s\", \"codec\": \"%s\", \"bytes\": %lu, \"store_s\": %.6f, "
        "\"load_s\": %.6f, \"file_bytes\": %lu}",
        data, image::CodecName(codec), bytes, store, load, AllocatedBytes(*image_));
    Remove("codec");
  }

  Options options_;
  uint64_t bytes_;
  std::optional<Memory> memory_;
  const char* kind_ = "";
  std::optional<Sum128> sum_;  // of what was stored first
  std::mt19937_64 random_{1};
  std::optional<os::Directory> directory_;
  std::optional<ImageFile> image_;
};

}  // namespace
}  // namespace morsel::bench

int main(int count, char** words) {
  morsel::bench::Options options;
  CLI::App app{"Stores and loads an image"};
  app.add_option("--folder", options.folder, "where the image is made")->required();
  app.add_option("--size-mib", options.size_mib, "of the morsel, a multiple of 2")
      ->check(CLI::Range(2, 1 << 20));
  app.add_option("--pages", options.pages, "written before each further checkpoint");
  app.add_option("--checkpoints", options.checkpoints, "by each way")
      ->check(CLI::Range(1, 1 << 20));
  CLI11_PARSE(app, count, words);
  morsel::bench::Measurement(options).Run();
  return 0;
}
