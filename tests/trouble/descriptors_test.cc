// A process whose standard input, output and error are closed, as a daemon's may be, and which
// prints all the same.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

constexpr uint64_t kMiB = 1 << 20;

/// What was seen at the descriptors 0 to 2. It lies in memory that the parent sees, since the child
/// has no standard error.
struct Seen {
  std::atomic<uint64_t> tries;
  std::atomic<uint64_t> taken;  // output that went somewhere
  std::atomic<int> failed;      // a call of the API did not succeed
  char message[512];
};

/// Prints without end while it lives, as other threads of a program do.
class Printer {
 public:
  explicit Printer(Seen& seen) : seen_(seen), thread_([this] { Print(); }) {}
  ~Printer() {
    ends_ = true;
    thread_.join();
  }

 private:
  void Print() {
    while (!ends_) {
      for (const int descriptor : {0, 1, 2}) {
        ++seen_.tries;
        if (write(descriptor, "", 0) >= 0 || errno != EBADF) ++seen_.taken;
      }
    }
  }

  Seen& seen_;
  std::atomic<bool> ends_ = false;
  std::thread thread_;
};

class DescriptorsTest : public TroubleTest, public testing::WithParamInterface<bool> {
 protected:
  bool carved() const { return GetParam(); }
  const std::string& path() const { return carved() ? carved_ : directory_; }

  void Must(morsel_code code) {
    if (code == MORSEL_OK) return;
    if (seen_->failed++ > 0) return;  // the first one is of interest
    std::snprintf(seen_->message, sizeof seen_->message, "%s", morsel_last_error());
  }

  /// What a program does with a pool, from its making to its end.
  void Life() {
    morsel_pool_options options{};
    options.struct_size = sizeof options;
    options.flags = MORSEL_CREATE | (carved() ? unsigned{MORSEL_CARVED} : 0u);
    options.size_bytes = carved() ? 16 * kMiB : 0;
    morsel_pool_t* pool = nullptr;
    Must(morsel_pool_open(path().c_str(), &options, &pool));
    morsel_options one{};
    one.struct_size = sizeof one;
    one.flags = MORSEL_CREATE | (carved() ? kFine : 0u);
    one.size_bytes = 2 * kMiB;
    one.capacity_bytes = 4 * kMiB;
    morsel_t* morsel = nullptr;
    Must(morsel_open(pool, "a", &one, &morsel));
    if (morsel == nullptr) return;
    void* const text = morsel_malloc(morsel, kMiB);
    std::memset(text, 'x', kMiB);
    if (carved()) Must(morsel_persist(morsel, text, kMiB));
    Must(morsel_set_root(morsel, "text", text));
    if (!carved()) Must(morsel_checkpoint(morsel));
    Must(morsel_resize(morsel, 4 * kMiB));
    if (!carved()) Must(morsel_checkpoint(morsel));
    Must(morsel_close(morsel));
    Must(morsel_export(pool, "a", (folder_ + "/export").c_str()));
    Must(morsel_remove(pool, "a"));
    Must(morsel_import(pool, (folder_ + "/export").c_str(), "b"));
    Must(morsel_pool_close(pool));
  }

  void ExpectNothingTaken() {
    EXPECT_EQ(seen_->failed, 0) << seen_->message;
    EXPECT_GT(seen_->tries, 0u);
    EXPECT_EQ(seen_->taken, 0u) << "output of the program went into a descriptor of the library";
  }

  Seen* const seen_ =
      new (mmap(nullptr, sizeof(Seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
          Seen{};
};
INSTANTIATE_TEST_SUITE_P(Kinds, DescriptorsTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

TEST_P(DescriptorsTest, NoCallTakesAStandardDescriptorThatIsClosed) {
  InChild([&] {
    for (const int descriptor : {0, 1, 2}) close(descriptor);
    const Printer printer(*seen_);
    Life();
  });
  ExpectNothingTaken();
}

// The pool, the morsel's file and, where checkpoints ask the kernel what was written, two for that.
TEST_P(DescriptorsTest, AnOpenMorselTakesFew) {
  Make(path(), carved() ? unsigned{MORSEL_CARVED} : 0u, {"a"});
  const auto count = [] {
    int open = 0;
    for (int descriptor = 0; descriptor < 1000; ++descriptor) {
      if (fcntl(descriptor, F_GETFD) >= 0) ++open;
    }
    return open;
  };
  const int before = count();
  morsel_pool_t* const pool = OpenPool(path());
  morsel_t* const morsel = Open(pool, "a");
  EXPECT_LE(count() - before, carved() ? 1 : 4);
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  EXPECT_EQ(count(), before);
}

TEST_P(DescriptorsTest, NothingOfAnOpenMorselIsAStandardDescriptor) {
  Make(path(), carved() ? unsigned{MORSEL_CARVED} : 0u, {"a"});
  InChild([&] {
    for (const int descriptor : {0, 1, 2}) close(descriptor);
    morsel_pool_t* pool = nullptr;
    Must(morsel_pool_open(path().c_str(), nullptr, &pool));
    morsel_t* morsel = nullptr;
    Must(morsel_open(pool, "a", nullptr, &morsel));
    for (const int descriptor : {0, 1, 2}) {
      ++seen_->tries;
      if (fcntl(descriptor, F_GETFD) >= 0) ++seen_->taken;
    }
    Must(morsel_close(morsel));
    Must(morsel_pool_close(pool));
  });
  ExpectNothingTaken();
}

}  // namespace
}  // namespace morsel::trouble
