// Both engines write and read the same bytes, finish what falls short, and report what fails.
#include "os/file/block_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::os {
namespace {

constexpr uint64_t kPieceBytes = 64 * kKiB;
constexpr uint64_t kPieces = 3 * kIoDepth;

// Sets MORSEL_IO, and restores its value in the end.
class ChosenEngine {
 public:
  explicit ChosenEngine(const char* engine) {
    const char* const before = std::getenv("MORSEL_IO");
    had_ = before != nullptr;
    if (had_) before_ = before;
    setenv("MORSEL_IO", engine, 1);
  }
  ~ChosenEngine() { had_ ? setenv("MORSEL_IO", before_.c_str(), 1) : unsetenv("MORSEL_IO"); }
  ChosenEngine(const ChosenEngine&) = delete;
  ChosenEngine& operator=(const ChosenEngine&) = delete;

 private:
  bool had_ = false;
  std::string before_;
};

class BlockIoTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(path_).close();
    memory_ = static_cast<char*>(std::aligned_alloc(kPageBytes, kPieces * kPieceBytes));
    for (uint64_t i = 0; i < kPieces; ++i) {
      std::memset(memory_ + i * kPieceBytes, static_cast<int>('a' + i), kPieceBytes);
    }
  }
  void TearDown() override { std::free(memory_); }

  Result<File> OpenFile(SystemCalls& calls, int flags = O_RDWR) {
    return File::Open(calls, AT_FDCWD, path_, flags, 0, path_);
  }
  // Writes all pieces, several in flight. Returns the first failure.
  Status WriteAll(BlockIo& io, bool with_buffers) {
    Status worst;
    for (uint64_t i = 0; i < kPieces; ++i) {
      while (io.in_flight() == kIoDepth) worst = Worse(worst, io.Wait().status);
      worst = Worse(worst, io.StartWrite(memory_ + i * kPieceBytes, kPieceBytes, i * kPieceBytes,
                                         with_buffers ? 0 : -1, i));
    }
    while (io.in_flight() > 0) worst = Worse(worst, io.Wait().status);
    return worst;
  }
  static Status Worse(Status one, Status other) { return one.ok() ? other : one; }

  void ExpectWholeRoundTrip(SystemCalls& calls, bool with_buffers) {
    const Result<File> file = OpenFile(calls);
    ASSERT_TRUE(file.has_value()) << LastError();
    const IoBuffer all = {memory_, kPieces * kPieceBytes};
    const auto buffers = with_buffers ? std::span(&all, 1) : std::span<const IoBuffer>();
    Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(*file, true, buffers);
    ASSERT_TRUE(io.has_value()) << LastError();
    ASSERT_TRUE(WriteAll(**io, with_buffers).ok()) << LastError();
    const std::string written(memory_, kPieces * kPieceBytes);
    std::memset(memory_, 0, kPieces * kPieceBytes);
    uint64_t seen = 0;
    for (uint64_t i = 0; i < kIoDepth; ++i) {
      ASSERT_TRUE((*io)
                      ->StartRead(memory_ + i * kPieceBytes, kPieceBytes, i * kPieceBytes,
                                  with_buffers ? 0 : -1, i)
                      .ok());
    }
    while ((*io)->in_flight() > 0) {
      const BlockIo::Done done = (*io)->Wait();
      ASSERT_TRUE(done.status.ok()) << LastError();
      seen |= uint64_t{1} << done.tag;
    }
    EXPECT_EQ(seen, (uint64_t{1} << kIoDepth) - 1);
    EXPECT_EQ(std::memcmp(memory_, written.data(), kIoDepth * kPieceBytes), 0);
    std::memcpy(memory_, written.data(), written.size());
  }

  Scratch scratch_ = Scratch::OnDisk();
  std::string path_ = scratch_.At("file");
  char* memory_ = nullptr;
};

class EachEngineTest : public BlockIoTest, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Engines, EachEngineTest, testing::Values("uring", "plain", "auto"));

TEST_P(EachEngineTest, ReadsBackWhatItWrote) {
  const ChosenEngine engine(GetParam());
  SystemCalls calls;
  ExpectWholeRoundTrip(calls, false);
  ExpectWholeRoundTrip(calls, true);
}

TEST_P(EachEngineTest, FinishesShortAndInterruptedTransfers) {
  const ChosenEngine engine(GetParam());
  for (const int fault : {kShort, EINTR, EAGAIN, ECANCELED}) {
    const bool is_rings = fault == EAGAIN || fault == ECANCELED;  // real errors of plain calls
    if (is_rings && std::strcmp(GetParam(), "plain") == 0) continue;
    ScriptedCalls calls([fault](const Call& call) {
      return call.kind != Call::kOpen && call.number % 2 == 0 ? fault : 0;
    });
    SCOPED_TRACE(fault);
    ASSERT_NO_FATAL_FAILURE(ExpectWholeRoundTrip(calls, false));
  }
}

TEST_P(EachEngineTest, ReportsAFailedWrite) {
  const ChosenEngine engine(GetParam());
  for (const int error : {EIO, ENOSPC}) {
    ScriptedCalls calls;
    const Result<File> file = OpenFile(calls);
    ASSERT_TRUE(file.has_value());
    Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(*file, true, {});
    ASSERT_TRUE(io.has_value()) << LastError();
    calls.Play(FailOnce(5, error));
    const Status status = WriteAll(**io, false);
    EXPECT_EQ(status.code(), error == EIO ? Code::kIo : Code::kNoSpace);
    EXPECT_NE(std::strstr(LastError(), "writing 65536 bytes at offset"), nullptr) << LastError();
  }
}

TEST_P(EachEngineTest, ReadPastTheEndIsCorrupt) {
  const ChosenEngine engine(GetParam());
  SystemCalls calls;
  const Result<File> file = OpenFile(calls);
  ASSERT_TRUE(file->Resize(kPieceBytes + 100).ok());
  Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(*file, false, {});
  ASSERT_TRUE(io.has_value()) << LastError();
  Status status = (*io)->StartRead(memory_, kPieceBytes, kPieceBytes, -1, 0);
  if (status.ok()) status = (*io)->Wait().status;
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(std::strstr(LastError(), "it was truncated"), nullptr) << LastError();
}

// Whether io_uring works depends on the kernel and on the file system of the test's directory. If
// it does not, `auto` does without and `uring` is refused.
TEST_F(BlockIoTest, UsesTheKernelsRingOnlyWhereItWorks) {
  Result<File> file = OpenFile(KernelCalls());
  ASSERT_TRUE(file.has_value());
  const int direct = open(path_.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  const bool is_direct = direct >= 0;
  if (is_direct) close(direct);
  const long ring = syscall(SYS_io_uring_setup, 0, nullptr);
  const bool has_rings = ring < 0 && (errno == EINVAL || errno == EFAULT);
  {
    const ChosenEngine engine("auto");
    Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(*file, true, {});
    ASSERT_TRUE(io.has_value()) << LastError();
    EXPECT_STREQ((*io)->engine(), is_direct && has_rings ? "uring" : "plain");
    ExpectWholeRoundTrip(KernelCalls(), true);
  }
  const ChosenEngine engine("uring");
  Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(*file, true, {});
  EXPECT_EQ(io.has_value(), is_direct && has_rings) << LastError();
}

TEST_F(BlockIoTest, UnknownEngineIsRefused) {
  const ChosenEngine engine("dma");
  Result<File> file = OpenFile(KernelCalls());
  EXPECT_EQ(BlockIo::Open(*file, true, {}).error(), Code::kInvalidArgument);
  EXPECT_NE(std::strstr(LastError(), "MORSEL_IO is 'dma'"), nullptr) << LastError();
}

// Makes io_uring_setup(2) fail with `error` from now on in this process.
bool ForbidRings(int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {std::size(filter), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_F(BlockIoTest, UsesPlainCallsWhereRingsAreForbidden) {
  for (const int error : {EPERM, ENOSYS}) {
    const pid_t child = fork();
    if (child == 0) {
      if (!ForbidRings(error)) _exit(2);
      const ChosenEngine engine("auto");
      ExpectWholeRoundTrip(KernelCalls(), true);
      const Result<File> file = OpenFile(KernelCalls());
      const Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(*file, true, {});
      const bool is_plain = io.has_value() && std::strcmp((*io)->engine(), "plain") == 0;
      const ChosenEngine forced("uring");
      const bool refused = BlockIo::Open(*file, true, {}).error() == Code::kUnsupported;
      _exit(is_plain && refused && !HasFailure() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << "errno " << error;
  }
}

// A sync does not cover a request that was not waited for. The ring of tests has not even made it.
TEST_F(BlockIoTest, RingOfTestsWritesOnlyWhenWaitedFor) {
  const ChosenEngine engine("uring");
  ScriptedCalls calls;
  const Result<File> file = OpenFile(calls);
  Result<std::unique_ptr<BlockIo>> io = BlockIo::Open(*file, true, {});
  ASSERT_TRUE(io.has_value()) << LastError();
  calls.CountAnew();
  ASSERT_TRUE((*io)->StartWrite(memory_, kPieceBytes, 0, -1, 1).ok());
  ASSERT_TRUE((*io)->StartWrite(memory_ + kPieceBytes, kPieceBytes, kPieceBytes, -1, 2).ok());
  EXPECT_EQ(calls.count(), 0);
  EXPECT_EQ((*io)->Wait().tag, 2u);
  EXPECT_EQ(calls.count(), 1);
  (*io)->Drain();
  EXPECT_EQ(calls.count(), 2);
}

}  // namespace
}  // namespace morsel::os
