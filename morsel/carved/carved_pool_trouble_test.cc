// What a carved pool does when its file is damaged, or the operating system refuses something.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <thread>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"
#include "image/image_file.h"
#include "morsel/carved/carved_pool_testing.h"
#include "morsel/pool/pool_layout.h"
#include "os/file/directory.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

using os::KernelCalls;

class CarvedPoolTroubleTest : public CarvedPoolFixture {
 protected:
  std::string ReadAll() const {
    std::string bytes(2 * kMiB, '\0');
    const int file = open(path_.c_str(), O_RDONLY);
    EXPECT_EQ(pread(file, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    close(file);
    return bytes;
  }
  void WriteAt(uint64_t offset, const std::string& bytes) const {
    const int file = open(path_.c_str(), O_RDWR);
    EXPECT_EQ(pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
    close(file);
  }
  void ExpectError(Code code, const char* part, bool read_only = false) {
    const auto pool = CarvedPool::Open(path_, read_only, KernelCalls());
    EXPECT_EQ(pool.error(), code) << LastError();
    EXPECT_NE(std::string(LastError()).find(part), std::string::npos) << LastError();
    EXPECT_NE(std::string(LastError()).find(path_), std::string::npos) << LastError();
  }
};

TEST_F(CarvedPoolTroubleTest, AFileThatIsNoPoolIsNamedAndKept) {
  ExpectError(Code::kNotFound, "cannot be opened");
  { MakePool(); }
  ASSERT_EQ(truncate(path_.c_str(), 0), 0);
  ExpectError(Code::kCorrupt, "0 bytes long");
  ASSERT_EQ(truncate(path_.c_str(), 34 * kMiB), 0);
  ExpectError(Code::kCorrupt, "no morsel pool");
  WriteAt(0, std::string(64 * kKiB, 'x'));
  const std::string before = ReadAll();
  ExpectError(Code::kCorrupt, "no morsel pool");
  EXPECT_EQ(ReadAll(), before);
}

TEST_F(CarvedPoolTroubleTest, ATruncatedPoolIsCorrupt) {
  { MakePool(); }
  for (const uint64_t size : {34 * kMiB - 1, 2 * kMiB, uint64_t{8192}}) {
    ASSERT_EQ(truncate(path_.c_str(), static_cast<off_t>(size)), 0);
    ExpectError(Code::kCorrupt, "truncated");
    ExpectError(Code::kCorrupt, "truncated", true);
  }
}

TEST_F(CarvedPoolTroubleTest, AnUnknownVersionOrFeatureIsRefused) {
  { MakePool(); }
  PoolSuperblock superblock;
  const std::string bytes = ReadAll();
  for (const bool feature : {false, true}) {
    std::memcpy(&superblock, bytes.data(), sizeof superblock);
    if (feature) superblock.features = 2;
    if (!feature) superblock.version = 2;
    superblock.sequence = 5;
    superblock.checksum = 0;
    superblock.checksum = Checksum64(&superblock, sizeof superblock);
    WriteAt(0, std::string(reinterpret_cast<char*>(&superblock), sizeof superblock));
    ExpectError(Code::kVersion, feature ? "features" : "version 2");
  }
}

// Whatever bits are wrong in the metadata, an open, a check and every operation end in a status.
TEST_F(CarvedPoolTroubleTest, FlippedBitsNeverEndTheProcess) {
  {
    auto pool = MakePool();
    Make(*pool, "a", 3);
    Make(*pool, "b", 2);
  }
  const std::string whole = ReadAll();
  std::mt19937_64 random(1);
  const uint64_t metadata_bytes = 4 * kPageBytes + 64 * kKiB + 2 * kPageBytes;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole;
    for (uint64_t flips = random() % 3 + 1; flips > 0; --flips) {
      const uint64_t bit = random() % (metadata_bytes * 8);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    }
    WriteAt(0, bytes);
    auto pool = CarvedPool::Open(path_, round % 2 == 0, KernelCalls());
    if (!pool.has_value()) continue;
    int findings = 0;
    EXPECT_TRUE((*pool)->Check([&](const Finding&) { ++findings; }).ok());
    for (const CatalogRecord& record : Listed(**pool)) {
      (void)(*pool)->Open(record.name, true).has_value();
    }
    if (round % 2 == 0) continue;
    (void)(*pool)->Create(Wanted("c"), kNoFormat).has_value();
    for (const CatalogRecord& record : Listed(**pool)) (void)(*pool)->Remove(record.name);
  }
}

TEST_F(CarvedPoolTroubleTest, TheHolderOfTheLockIsNamed) {
  auto pool = MakePool();
  ExpectError(Code::kBusy, "written by this process");
  auto reader = OpenPool(true);
  auto second = OpenPool(true);
  pool.reset();
  EXPECT_NE(OpenPool(), nullptr);
}

TEST_F(CarvedPoolTroubleTest, AChildHoldsNothingAfterItsClose) {
  auto pool = MakePool();
  auto backing = Make(*pool, "a");
  int to_parent[2];
  int to_child[2];
  ASSERT_EQ(pipe(to_parent), 0);
  ASSERT_EQ(pipe(to_child), 0);
  const pid_t child = fork();
  char byte = 0;
  if (child == 0) {
    pool->CloseAfterFork();
    close(to_child[1]);
    _exit(write(to_parent[1], "x", 1) == 1 && read(to_child[0], &byte, 1) == 0 ? 0 : 1);
  }
  ASSERT_EQ(read(to_parent[0], &byte, 1), 1);
  backing.reset();
  pool.reset();
  EXPECT_NE(OpenPool(), nullptr) << "the child, still there, has the lock";
  close(to_child[1]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  for (const int file : {to_parent[0], to_parent[1], to_child[0]}) close(file);
}

TEST_F(CarvedPoolTroubleTest, CreateFailsWithoutLeavingAFile) {
  EXPECT_EQ(CarvedPool::Create(path_, 2 * kMiB, 0600, KernelCalls()).error(),
            Code::kInvalidArgument);
  EXPECT_EQ(CarvedPool::Create(path_, ~uint64_t{0}, 0600, KernelCalls()).error(),
            Code::kInvalidArgument);
  EXPECT_EQ(access(path_.c_str(), F_OK), -1);
  EXPECT_EQ(
      CarvedPool::Create("/dev/shm/no-such-directory/pool", 34 * kMiB, 0600, KernelCalls()).error(),
      Code::kNotFound);
  for (int good = 0; good < 3; ++good) {
    os::ScriptedCalls calls(os::FailEach(os::Call::kAllocate, ENOSPC, good));
    const auto pool = CarvedPool::Create(path_, 34 * kMiB, 0600, calls);
    if (pool.has_value()) break;
    EXPECT_EQ(pool.error(), Code::kNoSpace) << LastError();
    EXPECT_EQ(access(path_.c_str(), F_OK), -1);
  }
  unlink(path_.c_str());
  { MakePool(); }
  const std::string before = ReadAll();
  EXPECT_EQ(CarvedPool::Create(path_, 34 * kMiB, 0600, KernelCalls()).error(), Code::kExists);
  EXPECT_EQ(ReadAll(), before);
}

TEST_F(CarvedPoolTroubleTest, AFullFileSystemOrAFailedSyncChangesNothing) {
  os::ScriptedCalls calls;
  auto made = CarvedPool::Create(path_, 34 * kMiB, 0600, calls);
  ASSERT_TRUE(made.has_value()) << LastError();
  impl::Pool& pool = **made;
  auto backing = Make(pool, "a");
  for (const bool sync : {false, true}) {
    for (int good = 0; good < 4; ++good) {
      if (sync && good > 0) continue;
      const Code code = sync ? Code::kIo : Code::kNoSpace;
      // Zeroing makes two calls, one that punches a hole and one that takes space. Each fails once.
      const auto kind = sync ? os::Call::kDataSync : os::Call::kAllocate;
      const auto trouble = os::FailEach(kind, sync ? EIO : ENOSPC, good % 2);
      calls.Play(trouble);
      EXPECT_EQ(backing->Resize(5 * kSubtreeBytes).code(), code) << LastError();
      calls.Play(trouble);
      EXPECT_EQ(pool.Create(Wanted("b"), kNoFormat).error(), code) << LastError();
      calls.Heal();
      EXPECT_EQ(backing->record().size_bytes, kSubtreeBytes);
      EXPECT_FALSE(pool.Find("b").has_value());
      ExpectWhole(pool);
    }
  }
  ASSERT_TRUE(backing->Resize(15 * kSubtreeBytes).ok()) << "all of it is still there";
  ExpectWhole(pool);
}

// After a crash, or if the file system refuses the hole, free subtrees keep their space and old
// bytes.
TEST_F(CarvedPoolTroubleTest, SpaceThatWasNotGivenBackIsZeroWhenGrantedAgain) {
  os::ScriptedCalls calls;
  auto made = CarvedPool::Create(path_, 34 * kMiB, 0600, calls);
  ASSERT_TRUE(made.has_value()) << LastError();
  auto backing = Make(**made, "a", 4);
  for (uint64_t i = 0; i < 4; ++i) pmem::Store(At(*backing, i * kSubtreeBytes), 1);
  calls.Play(os::FailEach(os::Call::kAllocate, ENOSPC));
  ASSERT_TRUE(backing->Resize(kSubtreeBytes).ok()) << "freeing needs no space";
  calls.Heal();
  ASSERT_TRUE(backing->Resize(16 * kSubtreeBytes).ok()) << LastError();
  for (uint64_t i = 1; i < 16; ++i) EXPECT_EQ(*At(*backing, i * kSubtreeBytes), 0u);
}

// Copying tools turn zeros into holes. A store into a hole must not end in SIGBUS on a full disk.
TEST_F(CarvedPoolTroubleTest, ASparseCopyGetsItsSpaceWhenOpened) {
  {
    auto pool = MakePool();
    Make(*pool, "a", 4);
  }
  const int file = open(path_.c_str(), O_RDWR);
  ASSERT_EQ(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * kMiB, 32 * kMiB), 0);
  close(file);
  os::ScriptedCalls calls(os::FailEach(os::Call::kAllocate, ENOSPC));
  EXPECT_EQ(CarvedPool::Open(path_, false, calls).error(), Code::kNoSpace);
  calls.Play(os::FailEach(os::Call::kAllocate, ENOSPC, 1));
  auto pool = CarvedPool::Open(path_, false, calls);
  ASSERT_TRUE(pool.has_value()) << LastError();
  EXPECT_EQ((*pool)->Open("a", false).error(), Code::kNoSpace);
  calls.Heal();
  EXPECT_TRUE((*pool)->Open("a", false).has_value()) << LastError();
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_GE(static_cast<uint64_t>(status.st_blocks) * 512, 4 * kSubtreeBytes);
}

TEST_F(CarvedPoolTroubleTest, ImpossibleSizesAreRefused) {
  auto pool = MakePool();
  auto backing = Make(*pool, "a");
  EXPECT_EQ(backing->Resize(0).code(), Code::kInvalidArgument);
  EXPECT_EQ(backing->Resize(kSubtreeBytes + 1).code(), Code::kInvalidArgument);
  EXPECT_EQ(backing->Resize(17 * kSubtreeBytes).code(), Code::kAddressExhausted);
  CatalogRecord wanted = Wanted("b");
  wanted.giant = true;
  EXPECT_EQ(pool->Create(wanted, kNoFormat).error(), Code::kInvalidArgument);
  wanted = Wanted("b");
  wanted.contract = Contract::kSnapshot;
  EXPECT_EQ(pool->Create(wanted, kNoFormat).error(), Code::kUnsupported);
  EXPECT_NE(std::string(LastError()).find("directory pool"), std::string::npos);
}

TEST_F(CarvedPoolTroubleTest, OpenForReadingRefusesEveryChange) {
  {
    auto pool = MakePool();
    auto writer = Make(*pool, "a");
    writer.reset();
    auto reader = OpenMorsel(*pool, "a", true);
    EXPECT_EQ(reader->Resize(2 * kSubtreeBytes).code(), Code::kPermission);
    EXPECT_EQ(reader->Checkpoint(1).code(), Code::kPermission);
    // The kernel refuses to store where the process may not.
    const int zeros = open("/dev/zero", O_RDONLY);
    EXPECT_EQ(read(zeros, At(*reader, 0), 8), -1);
    EXPECT_EQ(errno, EFAULT);
    close(zeros);
  }
  auto pool = OpenPool(true);
  EXPECT_EQ(pool->Create(Wanted("b"), kNoFormat).error(), Code::kPermission);
  EXPECT_EQ(pool->Open("a", false).error(), Code::kPermission);
  EXPECT_EQ(pool->Remove("a").code(), Code::kPermission);
}

TEST_F(CarvedPoolTroubleTest, AnAddressThatIsTakenIsNamed) {
  auto pool = MakePool();
  const uint64_t base = Make(*pool, "a")->record().base;
  const auto squatter = os::AddressRange::Reserve(base, kPageBytes, "the squatter");
  ASSERT_TRUE(squatter.has_value());
  EXPECT_EQ(pool->Open("a", false).error(), Code::kAddressTaken);
  EXPECT_NE(std::string(LastError()).find("the squatter"), std::string::npos) << LastError();
}

TEST_F(CarvedPoolTroubleTest, AMorselHasTheModeAskedForAndBelongsToItsCreator) {
  auto pool = MakePool();
  CatalogRecord wanted = Wanted("shared");
  wanted.mode = 0640;
  ASSERT_TRUE(pool->Create(wanted, kNoFormat).has_value());
  const auto found = pool->Find("shared");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->mode, 0640u);
  EXPECT_EQ(found->user, geteuid());
  EXPECT_EQ(found->group, getegid());
}

TEST_F(CarvedPoolTroubleTest, ThreadsResizeTheirMorselsAtOnce) {
  auto pool = MakePool();
  std::vector<std::thread> threads;
  for (const char* name : {"a", "b", "c"}) {
    threads.emplace_back([&pool, name] {
      auto backing = Make(*pool, name);
      for (uint64_t round = 0; round < 30; ++round) {
        ASSERT_TRUE(backing->Resize((round % 4 + 1) * kSubtreeBytes).ok()) << LastError();
        pmem::Store(At(*backing, (round % 4) * kSubtreeBytes), round);
        ASSERT_TRUE(backing->Checkpoint(round).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ExpectWhole(*pool);
}

// A kill shows program order only; the metadata test checks the order on the medium.
TEST_F(CarvedPoolTroubleTest, AfterAKillAnywhereNoSubtreeHasTwoOwners) {
  { MakePool(130 * kMiB); }
  std::mt19937_64 random(3);
  for (int round = 0; round < 30; ++round) {
    const auto microseconds = static_cast<suseconds_t>(random() % 20000 + 1);
    const pid_t child = fork();
    if (child == 0) {
      // The timer's signal ends the process wherever it is.
      const itimerval once = {.it_interval = {},
                              .it_value = {.tv_sec = 0, .tv_usec = microseconds}};
      setitimer(ITIMER_REAL, &once, nullptr);
      auto pool = OpenPool();
      for (uint64_t step = 0;; ++step) {
        const std::string name(1, static_cast<char>('a' + step % 5));
        if (step % 7 == 3) (void)pool->Remove(name);
        auto opened = pool->Open(name, false);
        auto backing =
            opened.has_value() ? std::move(opened) : pool->Create(Wanted(name), kNoFormat);
        if (!backing.has_value()) _exit(1);
        // The first word of every subtree names its owner.
        if (!(*backing)->Resize((step % 9 + 1) * kSubtreeBytes).ok()) _exit(2);
        for (uint64_t i = 0; i < step % 9 + 1; ++i) {
          uint64_t* const word = At(**backing, i * kSubtreeBytes);
          if (*word != 0 && *word != (*backing)->record().base) _exit(3);
          pmem::Store(word, (*backing)->record().base);
        }
      }
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    auto pool = OpenPool(round % 2 == 0);
    ExpectWhole(*pool);
    for (const CatalogRecord& record : Listed(*pool)) {
      auto backing = OpenMorsel(*pool, record.name, pool->read_only());
      for (uint64_t i = 0; i < record.size_bytes / kSubtreeBytes; ++i) {
        const uint64_t says = *At(*backing, i * kSubtreeBytes);
        EXPECT_TRUE(says == 0 || says == record.base) << record.name;
      }
    }
  }
}

// The end of the file is cut off, so that some pages of the morsel have nothing behind them. The
// export finds out without a signal.
TEST_F(CarvedPoolTroubleTest, AnUnreadableRangeFailsAnExportAndIsSkippedByASalvage) {
  constexpr uint64_t kGoodPages = 5;
  constexpr uint64_t kLostOffset = 2 * kSubtreeBytes + kGoodPages * kPageBytes;
  constexpr uint64_t kSizeBytes = 3 * kSubtreeBytes;
  const auto pool = MakePool();
  const auto backing = Make(*pool, "m", 3);
  for (uint64_t at = 0; at < kSizeBytes; at += sizeof(uint64_t)) *At(*backing, at) = at + 1;
  const PoolSuperblock& superblock = static_cast<CarvedPool&>(*pool).superblock();
  // The first morsel of a pool has its first subtrees.
  ASSERT_EQ(truncate(path_.c_str(), static_cast<off_t>(superblock.data_offset + kLostOffset)), 0);
  const auto folder = os::Directory::Open(KernelCalls(), scratch_.path());
  ASSERT_TRUE(folder.has_value()) << LastError();

  EXPECT_EQ(backing->Export(*folder, "image", {}).code(), Code::kIo);
  const std::string error = LastError();
  EXPECT_NE(error.find("morsel 'm': 2076672 bytes at offset 0x405000"), std::string::npos) << error;
  EXPECT_NE(error.find("export --salvage"), std::string::npos) << error;
  EXPECT_NE(access(scratch_.At("image").c_str(), F_OK), 0) << "nothing was made";

  std::vector<std::string> skipped;
  const OnSkipped tell = [&](const std::string& message) { skipped.push_back(message); };
  ASSERT_TRUE(backing->Export(*folder, "image", {.skipped = tell}).ok()) << LastError();
  ASSERT_EQ(skipped.size(), 1u);
  EXPECT_NE(skipped[0].find("2076672 bytes at offset 0x405000"), std::string::npos) << skipped[0];
  auto file = os::File::Open(KernelCalls(), AT_FDCWD, scratch_.At("image"), O_RDONLY, 0, "image");
  ASSERT_TRUE(file.has_value()) << LastError();
  const auto image = image::ImageFile::Open(std::move(*file), true);
  ASSERT_TRUE(image.has_value()) << LastError();
  void* const memory =
      mmap(nullptr, kSizeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_TRUE(image->Load(static_cast<char*>(memory)).ok()) << LastError();
  const auto* const words = static_cast<const uint64_t*>(memory);
  for (uint64_t at = 0; at < kSizeBytes; at += sizeof(uint64_t)) {
    ASSERT_EQ(words[at / sizeof(uint64_t)], at < kLostOffset ? at + 1 : 0) << at;
  }
  munmap(memory, kSizeBytes);
}

}  // namespace
}  // namespace morsel
