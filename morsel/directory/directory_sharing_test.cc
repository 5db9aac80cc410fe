// A directory pool that several have open, for writing, too: who waits for whom (nobody), who is
// refused what, and what readers see.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "morsel/directory/directory_pool_testing.h"
#include "morsel/pool/image_file_at.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

class DirectorySharingTest : public DirectoryPoolFixture {
 protected:
  DirectorySharingTest() : DirectoryPoolFixture(os::Scratch::OnDisk) {}
  void Open() { OpenPool({.create = true}, os::KernelCalls()); }
  // Each page of the morsel begins with `value`.
  static void CheckpointWith(Backing& writer, uint64_t value) {
    const uint64_t end = writer.record().size_bytes / 8;
    for (uint64_t at = 512; at < end; at += 512) WordsOf(writer)[at] = value;
    ASSERT_TRUE(writer.Checkpoint(0).ok()) << LastError();
  }
  void OvertakeAtEachCall(
      const std::function<void(impl::Pool& pool, os::SystemCalls& calls)>& read);
};

bool Says(const char* words) { return std::strstr(LastError(), words) != nullptr; }

// Another process reads the morsel `a`, in which each page begins with one value, and after the
// call number `call` of its system calls this one calls `overtake`, three times. Returns the value.
// calls_made  set to how many calls the reader made.
Result<uint64_t> ReadIn(const std::string& path, int64_t call,
                        const std::function<void()>& overtake, int64_t& calls_made) {
  int turn[2];
  int turn_back[2];
  int answer[2];
  EXPECT_EQ(pipe(turn) + pipe(turn_back) + pipe(answer), 0);
  const pid_t reader = fork();
  if (reader == 0) {
    os::ScriptedCalls calls;
    const auto pool = DirectoryPool::Open(path, {.read_only = true}, calls);
    char byte = 0;
    calls.Heal();
    calls.AfterEach([&](const os::Call& made) {
      if (made.number != call) return;
      (void)!write(turn[1], "t", 1);
      (void)!read(turn_back[0], &byte, 1);
    });
    const auto morsel = (*pool)->Open("a", /*read_only=*/true);
    uint64_t told[2] = {0, static_cast<uint64_t>(calls.count())};
    if (morsel) {
      const auto* const words = reinterpret_cast<const uint64_t*>((*morsel)->record().base);
      told[0] = words[512];
      for (uint64_t at = 512; at < (*morsel)->record().size_bytes / 8; at += 512) {
        if (words[at] != told[0]) told[0] = 0;
      }
    }
    (void)!write(turn[1], "e", 1);
    _exit(write(answer[1], told, sizeof told) == sizeof told ? 0 : 1);
  }
  char byte = 0;
  while (read(turn[0], &byte, 1) == 1 && byte == 't') {
    for (int times = 0; times < 3; ++times) overtake();
    EXPECT_EQ(write(turn_back[1], "t", 1), 1);
  }
  uint64_t told[2] = {};
  EXPECT_EQ(read(answer[0], told, sizeof told), static_cast<ssize_t>(sizeof told));
  waitpid(reader, nullptr, 0);
  for (const auto& ends : {turn, turn_back, answer}) close(ends[0]), close(ends[1]);
  calls_made = static_cast<int64_t>(told[1]);
  if (told[0] == 0) return Fail(Code::kCorrupt, "the reader saw no checkpoint");
  return told[0];
}

TEST_F(DirectorySharingTest, AMorselHasOneWriterAndAPoolAnyNumber) {
  Open();
  const std::unique_ptr<Backing> one = Create(Wanted("a"));
  const Result<std::unique_ptr<impl::Pool>> second = TryOpen(path_, {});
  ASSERT_TRUE(second.has_value()) << LastError();
  EXPECT_EQ((*second)->Open("a", false).error(), Code::kBusy);
  EXPECT_TRUE(Says("this process")) << LastError();
  EXPECT_EQ((*second)->Remove("a").code(), Code::kBusy);
  EXPECT_EQ((*second)->Find("a")->id, one->record().id);
  const auto other = (*second)->Create(Wanted("b"), [](auto&, auto) {});
  ASSERT_TRUE(other.has_value()) << LastError();
  EXPECT_EQ(pool_->Remove("b").code(), Code::kBusy);
}

// In a window with room for one.
TEST_F(DirectorySharingTest, AMorselThatIsBeingMadeHasItsAddresses) {
  ASSERT_EQ(setenv("MORSEL_WINDOW", "160000000000-160040000000", 1), 0);
  Open();
  ASSERT_EQ(unsetenv("MORSEL_WINDOW"), 0);
  CatalogRecord wanted = Wanted("b");
  wanted.capacity_bytes = 600 * kMiB;
  int tries = 0;
  const auto made = pool_->Create(wanted, [&](const CatalogRecord&, auto) {
    // Another process, which does not have what this one has reserved.
    const pid_t other = fork();
    if (other == 0) {
      const auto pool = TryOpen(path_, {});
      wanted.name = "c";
      const Code code = pool ? (*pool)->Create(wanted, [](auto&, auto) {}).error() : Code::kIo;
      _exit(code == Code::kAddressExhausted ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(other, &status, 0), other);
    EXPECT_EQ(status, 0);
    ++tries;
  });
  ASSERT_TRUE(made.has_value()) << LastError();
  EXPECT_EQ(tries, 1);
}

// A morsel that is just being imported has no name yet.
TEST_F(DirectorySharingTest, AnImportHasItsAddressesBeforeItHasItsName) {
  Open();
  Create(Wanted("a"));
  const std::string image = scratch_.At("image");
  fs::rename(path_ + "/a", image);
  const auto import = [&](const std::string& name, const image::Progress& progress) {
    auto file = os::File::Open(os::KernelCalls(), AT_FDCWD, image, O_RDONLY, 0, image);
    auto opened = image::ImageFile::Open(std::move(*file), true);
    opened->set_progress(progress);
    return pool_->Import(name, *opened, false).code();
  };
  int others = 0;
  EXPECT_EQ(import("b",
                   [&](const image::ProgressNow&) {
                     EXPECT_EQ(import("c", {}), Code::kAddressTaken) << LastError();
                     ++others;
                   }),
            Code::kOk);
  EXPECT_GT(others, 0);
  EXPECT_EQ(import("c", {}), Code::kAddressTaken);
  EXPECT_TRUE(Says("'b'")) << LastError();
}

// Who lists the directory at that moment may see neither name.
TEST_F(DirectorySharingTest, NobodyTakesTheAddressesOfWhatIsRenamed) {
  os::ScriptedCalls calls;
  OpenPool({.create = true}, calls);
  const CatalogRecord record = Create(Wanted("a"))->record();
  const Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), path_);
  const auto lock = [&](AddressLock&& by) {
    const auto others = by.TryLock(record.base + record.capacity_bytes / 2, kSubtreeBytes);
    EXPECT_TRUE(others.has_value()) << LastError();
    return !others->has_value();
  };
  int renames = 0;
  calls.AfterEach([&](const os::Call& call) {
    if (call.kind != os::Call::kRename) return;
    ++renames;
    EXPECT_FALSE(lock(*AddressLock::Open(*directory)));
  });
  EXPECT_TRUE(pool_->Rename("a", "b").ok()) << LastError();
  EXPECT_EQ(renames, 1);
  {
    Result<AddressLock> maker = AddressLock::Open(*directory);
    EXPECT_TRUE(lock(std::move(*maker)));
    EXPECT_EQ(pool_->Rename("b", "c").code(), Code::kBusy);
    EXPECT_TRUE(Says("try again")) << LastError();
  }
  EXPECT_TRUE(pool_->Rename("b", "c").ok()) << LastError();
}

// He finds that his file is not found by its name any more.
TEST_F(DirectorySharingTest, AWriterIsNotThereWhileAMorselIsRenamed) {
  os::ScriptedCalls calls;
  OpenPool({.create = true}, calls);
  Create(Wanted("a"));
  const Result<std::unique_ptr<impl::Pool>> other = TryOpen(path_, {});
  std::vector<Code> codes;
  const auto look = [&](const os::Call& call) {
    if (call.kind == os::Call::kRename) codes.push_back((*other)->Open("b", false).error());
  };
  calls.AfterEach(look);
  EXPECT_TRUE(pool_->Rename("a", "b").ok()) << LastError();
  EXPECT_EQ(codes, std::vector<Code>{Code::kBusy});
  EXPECT_TRUE((*other)->Open("b", false).has_value()) << LastError();
}

// A reader is overtaken at each of his calls: what he reads is one checkpoint, whole.
TEST_F(DirectorySharingTest, AReaderWhoIsOvertakenReadsANewerCheckpoint) {
  Open();
  const std::unique_ptr<Backing> writer = Create(Wanted("a", 4 * kSubtreeBytes));
  uint64_t value = 0;
  const auto checkpoint = [&] { CheckpointWith(*writer, ++value); };
  checkpoint();
  for (int64_t call = 0, calls_made = 1; call < calls_made; ++call) {
    const uint64_t before = value;
    const Result<uint64_t> read = ReadIn(path_, call, checkpoint, calls_made);
    ASSERT_TRUE(read.has_value()) << "call " << call << ": " << LastError();
    EXPECT_GE(*read, before);
    EXPECT_LE(*read, value);
  }
  EXPECT_GT(value, 20u) << "he was overtaken";
}

// A reader of another pool handle is overtaken after each of his calls, by checkpoints after which
// the file is shorter, and longer again.
void DirectorySharingTest::OvertakeAtEachCall(
    const std::function<void(impl::Pool& pool, os::SystemCalls& calls)>& read) {
  Open();
  const std::unique_ptr<Backing> writer = Create(Wanted("a", 2 * kSubtreeBytes));
  uint64_t value = 0;
  const auto checkpoint = [&] {
    ++value;
    ASSERT_TRUE(writer->Resize((value % 3 == 0 ? 2 : 1) * kSubtreeBytes).ok()) << LastError();
    CheckpointWith(*writer, value);
  };
  while (value < 3) checkpoint();
  os::ScriptedCalls calls;
  const auto pool = DirectoryPool::Open(path_, {.read_only = true}, calls);
  ASSERT_TRUE(pool.has_value()) << LastError();
  for (int64_t call = 0, calls_made = 1; call < calls_made; ++call) {
    SCOPED_TRACE("call " + std::to_string(call));
    calls.Heal();
    calls.AfterEach([&](const os::Call& made) {
      if (made.number != call) return;
      for (int times = 0; times < 3; ++times) checkpoint();
    });
    read(**pool, calls);
    calls_made = static_cast<int64_t>(calls.count());
  }
  EXPECT_GT(value, 20u) << "he was overtaken";
}

TEST_F(DirectorySharingTest, WhatIsWrittenWhileItIsCheckedIsNotDamaged) {
  OvertakeAtEachCall([](impl::Pool& pool, os::SystemCalls&) {
    const auto report = [&](const Finding& found) {
      ADD_FAILURE() << found.subject << ": " << found.message;
    };
    EXPECT_TRUE(pool.Check(report).ok()) << LastError();
  });
}

TEST_F(DirectorySharingTest, WhatIsWrittenWhileItIsExportedIsExportedWhole) {
  const std::string image = scratch_.At("image");
  const Result<os::Directory> to = os::Directory::Open(os::KernelCalls(), scratch_.path());
  ASSERT_TRUE(to.has_value());
  for (const auto codec : {image::Codec::kNone, image::Codec::kLz4}) {
    fs::remove_all(path_);
    OvertakeAtEachCall([&](impl::Pool& pool, os::SystemCalls&) {
      EXPECT_TRUE(pool.Export("a", *to, "image", {.codec = codec}).ok()) << LastError();
      const auto report = [](const char* message) { ADD_FAILURE() << message; };
      EXPECT_TRUE(VerifyImage(os::KernelCalls(), image, report).ok()) << LastError();
      fs::remove(image);
    });
  }
}

TEST_F(DirectorySharingTest, WhatIsWrittenWhileItIsVerifiedOrSalvagedIsNotDamaged) {
  const auto report = [](const char* message) { ADD_FAILURE() << message; };
  OvertakeAtEachCall([&](impl::Pool&, os::SystemCalls& calls) {
    EXPECT_TRUE(VerifyImage(calls, path_ + "/a", report).ok()) << LastError();
  });
  fs::remove_all(path_);
  OvertakeAtEachCall([&](impl::Pool&, os::SystemCalls& calls) {
    EXPECT_TRUE(SalvageImage(calls, path_ + "/a", "", report).has_value()) << LastError();
  });
}

}  // namespace
}  // namespace morsel
