// The same bytes brought onto a disk and back, in one of the ways that programs have; says how long
// each takes, as JSON. Memory is there before, and the page cache is cold when they come back.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/interprocess/managed_mapped_file.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/bits.h"
#include "base/error.h"
#include "base/units.h"
#include "image/image_file.h"

namespace morsel::bench {
namespace {

/// Past the page cache a disk reads to whole pages only, as a morsel's frames are.
template <typename T>
struct PageAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlign{kPageBytes};
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kAlign)); }
  void deallocate(T* bytes, size_t) { ::operator delete(bytes, kAlign); }
  friend bool operator==(PageAllocator, PageAllocator) { return true; }
};
using Memory = std::vector<char, PageAllocator<char>>;

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "image_rivals: %s: %s%s%s\n", what, std::strerror(errno),
               *LastError() ? "; " : "", LastError());
  std::exit(1);
}
void Must(bool done, const char* what) {
  if (!done) Die(what);
}

// How many bytes of the file are in the page cache.
uint64_t CachedBytes(int file) {
  struct stat status;
  Must(fstat(file, &status) == 0, "fstat");
  const auto size_bytes = static_cast<size_t>(status.st_size);
  void* const mapped = mmap(nullptr, size_bytes, PROT_READ, MAP_SHARED, file, 0);
  Must(mapped != MAP_FAILED, "mmap");
  std::vector<unsigned char> pages(DivideUp(size_bytes, kPageBytes));
  Must(mincore(mapped, size_bytes, pages.data()) == 0, "mincore");
  munmap(mapped, size_bytes);
  const auto is_cached = [](unsigned char page) { return (page & 1) != 0; };
  return kPageBytes * static_cast<uint64_t>(std::count_if(pages.begin(), pages.end(), is_cached));
}

// What is being written back, or waits on a processor's own list, stays: it is asked again. Answers
// what is left in the page cache.
uint64_t SyncAndForget(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  Must(file >= 0, "open");
  uint64_t cached_bytes = 0;
  for (int i = 0; i < 10; ++i) {
    Must(fdatasync(file) == 0, "fdatasync");
    Must(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise");
    cached_bytes = CachedBytes(file);
    if (cached_bytes == 0) break;
  }
  close(file);
  return cached_bytes;
}

// What the process has had read from disks so far.
uint64_t ReadBytes() {
  std::ifstream file("/proc/self/io");
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "read_bytes:") return value;
  }
  Die("/proc/self/io has no read_bytes");
}

class Way {
 public:
  explicit Way(const std::string& folder) : folder_(folder), path_(folder + "/file") {}
  virtual ~Way() = default;

  /// All bytes for the first time, durable on return.
  virtual void Store(const Memory& bytes) = 0;
  /// Of bytes that were stored these pages have changed.
  virtual void StoreAgain(const Memory& bytes, const std::vector<uint64_t>& pages) = 0;
  /// Lets go of the file.
  virtual void Close() = 0;
  /// Where all bytes are, each page of them in memory; `frames` is room for that. Opens the file
  /// again.
  virtual const char* Load(Memory& frames) = 0;

  const std::string& path() const { return path_; }

 protected:
  std::string folder_;
  std::string path_;
};

class Image : public Way {
 public:
  using Way::Way;

  void Store(const Memory& bytes) override {
    Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), folder_);
    Must(directory.has_value(), "opening the folder");
    image::ImageInfo info;
    info.id[0] = 1;
    info.base = uint64_t{1} << 40;
    info.capacity_bytes = info.size_bytes = bytes.size();
    Take(image::ImageFile::Create(*directory, "file", 0600, info, bytes.data()));
  }
  void StoreAgain(const Memory& bytes, const std::vector<uint64_t>& pages) override {
    os::PageSet dirty;
    for (const uint64_t page : pages) dirty.Add(page * kPageBytes, kPageBytes);
    Must(image_->Store(bytes.data(), bytes.size(), 0, &dirty).ok(), "storing again");
  }
  void Close() override { image_.reset(); }
  const char* Load(Memory& frames) override {
    Result<os::File> file = os::File::Open(os::KernelCalls(), AT_FDCWD, path_, O_RDWR, 0, path_);
    Must(file.has_value(), "opening the image");
    Take(image::ImageFile::Open(std::move(*file), false));
    Must(image_->Load(frames.data()).ok(), "loading");
    return frames.data();
  }

 private:
  void Take(Result<image::ImageFile> image) {
    Must(image.has_value(), "the image");
    image_.emplace(std::move(*image));
  }

  std::optional<image::ImageFile> image_;
};

/// A system call for each page.
class Pages : public Way {
 public:
  using Way::Way;
  ~Pages() override { Close(); }

  void Store(const Memory& bytes) override {
    file_ = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    for (uint64_t at = 0; at < bytes.size(); at += kPageBytes) Write(bytes, at);
    Must(fdatasync(file_) == 0, "fdatasync");
  }
  void StoreAgain(const Memory& bytes, const std::vector<uint64_t>& pages) override {
    for (const uint64_t page : pages) Write(bytes, page * kPageBytes);
    Must(fdatasync(file_) == 0, "fdatasync");
  }
  void Close() override {
    if (file_ >= 0) close(file_);
    file_ = -1;
  }
  const char* Load(Memory& frames) override {
    file_ = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    for (uint64_t at = 0; at < frames.size(); at += kPageBytes) {
      Must(pread(file_, frames.data() + at, kPageBytes, static_cast<off_t>(at)) == kPageBytes,
           "pread");
    }
    return frames.data();
  }

 private:
  void Write(const Memory& bytes, uint64_t at) const {
    Must(pwrite(file_, bytes.data() + at, kPageBytes, static_cast<off_t>(at)) == kPageBytes,
         "pwrite");
  }

  int file_ = -1;
};

uint64_t TouchEach(const char* bytes, uint64_t size_bytes) {
  uint64_t sum = 0;
  for (uint64_t at = 0; at < size_bytes; at += kPageBytes) {
    sum += static_cast<unsigned char>(*static_cast<const volatile char*>(bytes + at));
  }
  return sum;
}

/// What lies in a mapping of the file: copied there, and written back by the kernel.
class Mapped : public Way {
 public:
  using Way::Way;

  void Store(const Memory& bytes) override {
    Make(bytes.size());
    std::memcpy(data_, bytes.data(), bytes.size());
    Flush();
  }
  void StoreAgain(const Memory& bytes, const std::vector<uint64_t>& pages) override {
    for (const uint64_t page : pages) {
      std::memcpy(data_ + page * kPageBytes, bytes.data() + page * kPageBytes, kPageBytes);
    }
    Flush();
  }
  const char* Load(Memory& frames) override {
    Reopen(frames.size());
    TouchEach(data_, frames.size());
    return data_;
  }

 protected:
  virtual void Make(uint64_t size_bytes) = 0;
  virtual void Reopen(uint64_t size_bytes) = 0;
  virtual void Flush() = 0;

  char* data_ = nullptr;
};

class Mmap : public Mapped {
 public:
  using Mapped::Mapped;
  ~Mmap() override { Close(); }

  void Close() override {
    if (data_ != nullptr) munmap(data_, size_bytes_);
    data_ = nullptr;
  }

 private:
  void Make(uint64_t size_bytes) override {
    const int file = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    Must(ftruncate(file, static_cast<off_t>(size_bytes)) == 0, "ftruncate");
    close(file);
    Reopen(size_bytes);
  }
  void Reopen(uint64_t size_bytes) override {
    const int file = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    void* const mapped = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    Must(mapped != MAP_FAILED, "mmap");
    close(file);
    data_ = static_cast<char*>(mapped);
    size_bytes_ = size_bytes;
  }
  void Flush() override { Must(msync(data_, size_bytes_, MS_SYNC) == 0, "msync"); }

  uint64_t size_bytes_ = 0;
};

class Boost : public Mapped {
 public:
  using Mapped::Mapped;

  void Close() override { file_.reset(); }

 private:
  using File = boost::interprocess::managed_mapped_file;

  void Make(uint64_t size_bytes) override {
    file_.emplace(boost::interprocess::create_only, path_.c_str(), size_bytes + 4 * kMiB);
    data_ = file_->construct<char>("bytes")[size_bytes]();
  }
  void Reopen(uint64_t) override {
    file_.emplace(boost::interprocess::open_only, path_.c_str());
    data_ = file_->find<char>("bytes").first;
  }
  // Its flush() starts the writing and does not wait.
  void Flush() override {
    Must(file_->flush(), "flush");
    Must(msync(file_->get_address(), file_->get_size(), MS_SYNC) == 0, "msync");
  }

  std::optional<File> file_;
};

double SecondsOf(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void Measure(Way& way, uint64_t size_bytes, uint64_t pages, uint64_t rounds) {
  std::mt19937_64 random(1);
  Memory bytes(size_bytes);
  for (uint64_t at = 0; at < size_bytes; at += sizeof(uint64_t)) {
    const uint64_t value = random();
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  Memory frames(size_bytes, 1);
  const double store = SecondsOf([&] { way.Store(bytes); });
  double again = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    std::vector<uint64_t> changed;
    for (uint64_t i = 0; i < pages; ++i) {
      changed.push_back(random() % (size_bytes / kPageBytes));
      bytes[changed.back() * kPageBytes + random() % kPageBytes] ^= 1;
    }
    again += SecondsOf([&] { way.StoreAgain(bytes, changed); });
  }
  way.Close();
  const uint64_t cached_bytes = SyncAndForget(way.path());
  std::memset(frames.data(), 0, frames.size());
  const char* loaded = nullptr;
  const uint64_t read_before = ReadBytes();
  const double load = SecondsOf([&] { loaded = way.Load(frames); });
  const uint64_t read_bytes = ReadBytes() - read_before;
  Must(std::memcmp(loaded, bytes.data(), size_bytes) == 0,
       "what was loaded is not what was stored");
  std::printf(
      "{\"store_s\": %.6f, \"again_s\": %.6f, \"load_s\": %.6f, \"cached_bytes\": %lu, "
      "\"read_bytes\": %lu}\n",
      store, again / static_cast<double>(rounds), load, cached_bytes, read_bytes);
}

}  // namespace
}  // namespace morsel::bench

int main(int count, char** words) {
  using namespace morsel::bench;
  std::string folder;
  std::string name;
  uint64_t size_mib = 1024;
  uint64_t pages = 1000;
  uint64_t rounds = 5;
  CLI::App app{"Stores and loads the same bytes in one of several ways"};
  app.add_option("--folder", folder, "an empty one")->required();
  app.add_option("--way", name, "morsel, pages, mmap or boost")->required();
  app.add_option("--size-mib", size_mib, "a multiple of 2")->check(CLI::Range(2, 1 << 20));
  app.add_option("--pages", pages, "that have changed when it is stored again");
  app.add_option("--rounds", rounds, "of storing again")->check(CLI::Range(1, 1 << 20));
  CLI11_PARSE(app, count, words);
  std::unique_ptr<Way> way;
  if (name == "morsel") way = std::make_unique<Image>(folder);
  if (name == "pages") way = std::make_unique<Pages>(folder);
  if (name == "mmap") way = std::make_unique<Mmap>(folder);
  if (name == "boost") way = std::make_unique<Boost>(folder);
  if (way == nullptr) {
    std::fprintf(stderr, "image_rivals: there is no way '%s'\n", name.c_str());
    return 2;
  }
  Measure(*way, size_mib * morsel::kMiB, pages, rounds);
  return 0;
}
