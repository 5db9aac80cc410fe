#include "morsel/directory/directory_pool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"
#include "morsel/directory/directory_pool_testing.h"
#include "os/testing/scripted_calls_testing.h"
#include "pmem/media/media.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

class DirectoryPoolTest : public DirectoryPoolFixture {
 protected:
  DirectoryPoolTest() : DirectoryPoolFixture(os::Scratch::OnDisk) {}
  void Open(const DirectoryPoolOptions& options = {.create = true}) {
    OpenPool(options, os::KernelCalls());
  }
  void OpenReadOnly() { Open({.read_only = true}); }
  // Expects that a new pool's directory is synced in its parent before the pool's file is made.
  void ExpectSyncsInOrder() {
    os::ScriptedCalls calls;
    calls.Log({os::Call::kMakeDirectory, os::Call::kSync});
    ASSERT_TRUE(DirectoryPool::Open(path_, {.create = true}, calls).has_value()) << LastError();
    const std::string parent = fs::path(scratch_.path()).filename();
    EXPECT_EQ(calls.log(),
              (std::vector<std::string>{"make p", "sync directory " + parent, "sync file",
                                        "sync directory p", "sync directory p"}));
  }
};

bool Says(const char* words) { return std::strstr(LastError(), words) != nullptr; }

TEST_F(DirectoryPoolTest, ThePoolsOwnDirectoryIsSyncedInItsParent) { ExpectSyncsInOrder(); }

// Whoever made the directory may have been killed before its name was durable.
TEST_F(DirectoryPoolTest, TheDirectorysNameIsDurableBeforeThePoolsFile) {
  ASSERT_TRUE(fs::create_directory(path_));
  ExpectSyncsInOrder();
}

TEST_F(DirectoryPoolTest, APoolCanBeMadeWhereTheParentCannotBeRead) {
  os::ScriptedCalls calls(
      [](const os::Call& call) { return fs::path(call.name).filename() == ".." ? EACCES : 0; });
  ASSERT_TRUE(fs::create_directory(path_));
  EXPECT_TRUE(DirectoryPool::Open(path_, {.create = true}, calls).has_value()) << LastError();
  // A directory that the pool makes itself could be lost, so here the parent must be synced.
  EXPECT_EQ(DirectoryPool::Open(path_ + "2", {.create = true}, calls).error(), Code::kPermission);
  EXPECT_FALSE(fs::exists(path_ + "2"));
}

// A kill may have left names in a cache only, and so may a copy of a morsel's file.
TEST_F(DirectoryPoolTest, OpenForWritingSyncsTheNamesThatItFinds) {
  Open();
  Create(Wanted("a"));
  pool_.reset();
  os::ScriptedCalls calls;
  calls.Log({os::Call::kMakeDirectory, os::Call::kSync});
  Result<std::unique_ptr<impl::Pool>> pool = DirectoryPool::Open(path_, {}, calls);
  ASSERT_TRUE(pool.has_value()) << LastError();
  EXPECT_EQ(calls.log(), std::vector<std::string>{"sync directory p"});
  fs::copy_file(path_ + "/a", path_ + "/b");
  calls.Log({os::Call::kMakeDirectory, os::Call::kSync});
  ASSERT_TRUE((*pool)->Open("b", /*read_only=*/true).has_value()) << LastError();
  EXPECT_TRUE(calls.log().empty());
  ASSERT_TRUE((*pool)->Open("b", /*read_only=*/false).has_value()) << LastError();
  EXPECT_EQ(calls.log(), std::vector<std::string>{"sync directory p"});
}

TEST_F(DirectoryPoolTest, AMorselWhoseNameCannotBeMadeDurableDoesNotOpen) {
  Open();
  Create(Wanted("a"));
  pool_.reset();
  os::ScriptedCalls calls;
  Result<std::unique_ptr<impl::Pool>> pool = DirectoryPool::Open(path_, {}, calls);
  ASSERT_TRUE(pool.has_value()) << LastError();
  calls.Play(os::FailEach(os::Call::kSync, EIO));
  EXPECT_EQ((*pool)->Open("a", /*read_only=*/false).error(), Code::kIo);
  EXPECT_TRUE((*pool)->Open("a", /*read_only=*/true).has_value()) << LastError();
}

TEST_F(DirectoryPoolTest, AMorselIsAtItsAddressWithItsBytesAfterEveryCheckpoint) {
  Open();
  uint64_t base = 0;
  {
    std::unique_ptr<Backing> morsel = Create(Wanted("a"));
    base = morsel->record().base;
    EXPECT_EQ(morsel->record().generation, 1u);
    *static_cast<uint64_t*>(morsel->process_page()) = 7;
    ASSERT_TRUE(morsel->Resize(3 * kSubtreeBytes).ok());
    WordsOf(*morsel)[2 * kSubtreeBytes / 8] = 99;
    ASSERT_TRUE(morsel->Checkpoint(1234).ok()) << LastError();
    WordsOf(*morsel)[1] = 5;  // after the last checkpoint: lost
  }
  Open();
  std::unique_ptr<Backing> morsel = OpenMorsel("a");
  EXPECT_EQ(morsel->record().base, base);
  EXPECT_EQ(morsel->record().size_bytes, 3 * kSubtreeBytes);
  EXPECT_EQ(morsel->record().live_bytes, 1234u);
  EXPECT_EQ(morsel->record().generation, 2u);
  EXPECT_EQ(WordsOf(*morsel)[0], base);
  EXPECT_EQ(WordsOf(*morsel)[1], 0u);
  EXPECT_EQ(WordsOf(*morsel)[2 * kSubtreeBytes / 8], 99u);
  EXPECT_EQ(*static_cast<uint64_t*>(morsel->process_page()), 0u);
}

TEST_F(DirectoryPoolTest, MemoryThatIsCutOffIsZeroWhenItComesBack) {
  Open();
  std::unique_ptr<Backing> morsel = Create(Wanted("a", 2 * kSubtreeBytes));
  WordsOf(*morsel)[kSubtreeBytes / 8] = 1;
  ASSERT_TRUE(morsel->Checkpoint(0).ok());
  ASSERT_TRUE(morsel->Resize(kSubtreeBytes).ok());
  ASSERT_TRUE(morsel->Checkpoint(0).ok());
  ASSERT_TRUE(morsel->Resize(2 * kSubtreeBytes).ok());
  EXPECT_EQ(WordsOf(*morsel)[kSubtreeBytes / 8], 0u);
  ASSERT_TRUE(morsel->Checkpoint(0).ok());
  morsel.reset();
  morsel = OpenMorsel("a");
  EXPECT_EQ(WordsOf(*morsel)[kSubtreeBytes / 8], 0u);
}

TEST_F(DirectoryPoolTest, ListReturnsImagesSortedByNameAndSkipsOtherFiles) {
  fs::create_directory(path_);
  std::ofstream(path_ + "/a-stranger") << "hello";
  fs::create_directory(path_ + "/a-directory");
  ASSERT_EQ(mkfifo((path_ + "/a-pipe").c_str(), 0600), 0);
  fs::create_symlink("/etc/passwd", path_ + "/a-link");
  Open();
  CatalogRecord wanted = Wanted("b");
  wanted.mode = 0640;
  wanted.grows = true;
  const Id id = Create(wanted)->record().id;
  Create(Wanted("a"));
  const Result<std::vector<CatalogRecord>> list = pool_->List();
  ASSERT_TRUE(list.has_value()) << LastError();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].name, "a");
  EXPECT_EQ((*list)[1].name, "b");
  EXPECT_EQ((*list)[1].id, id);
  EXPECT_EQ((*list)[1].mode, 0640u);
  EXPECT_TRUE((*list)[1].grows);
  EXPECT_FALSE((*list)[0].grows);
  EXPECT_EQ((*list)[0].user, geteuid());
  EXPECT_EQ(pool_->Find("b")->id, id);
  EXPECT_EQ(pool_->Find("c").error(), Code::kNotFound);
  EXPECT_EQ(pool_->Find("a-stranger").error(), Code::kCorrupt);
  EXPECT_EQ(pool_->Find("a-directory").error(), Code::kInvalidArgument);
  EXPECT_EQ(pool_->Find("a-pipe").error(), Code::kInvalidArgument);
  EXPECT_EQ(pool_->Find("a-link").error(), Code::kUnsupported);
  EXPECT_EQ(pool_->Remove("a-stranger").code(), Code::kCorrupt);
  EXPECT_TRUE(fs::exists(path_ + "/a-stranger"));
  EXPECT_EQ(pool_->Create(Wanted("a"), [](auto&, auto) {}).error(), Code::kExists);
  EXPECT_EQ(pool_->Create(Wanted("a-link"), [](auto&, auto) {}).error(), Code::kExists);
  EXPECT_TRUE(Check().empty());
}

TEST_F(DirectoryPoolTest, CheckpointFailsIfTheFileWasRenamedOrReplaced) {
  Open();
  std::unique_ptr<Backing> morsel = Create(Wanted("a"));
  fs::rename(path_ + "/a", path_ + "/elsewhere");
  EXPECT_EQ(morsel->Checkpoint(0).code(), Code::kNotFound);
  EXPECT_TRUE(Says("removed or renamed while open") && Says("save what matters")) << LastError();
  fs::copy_file(path_ + "/elsewhere", path_ + "/a");
  EXPECT_EQ(morsel->Checkpoint(0).code(), Code::kNotFound);
  EXPECT_TRUE(Says("replaced while open")) << LastError();
  fs::rename(path_ + "/elsewhere", path_ + "/a");
  WordsOf(*morsel)[1] = 5;
  EXPECT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
  morsel.reset();
  EXPECT_EQ(WordsOf(*OpenMorsel("a"))[1], 5u);
}

TEST_F(DirectoryPoolTest, ARemovedMorselIsNotFound) {
  Open();
  Create(Wanted("a"));
  ASSERT_TRUE(pool_->Remove("a").ok()) << LastError();
  EXPECT_EQ(pool_->Find("a").error(), Code::kNotFound);
  EXPECT_EQ(pool_->Remove("a").code(), Code::kNotFound);
  EXPECT_EQ(pool_->Open("a", false).error(), Code::kNotFound);
  EXPECT_TRUE(Says("has no morsel 'a'")) << LastError();
}

TEST_F(DirectoryPoolTest, OpenTellsAMissingPathFromADirectoryThatIsNoPool) {
  EXPECT_EQ(TryOpen(path_, {}).error(), Code::kNotFound);
  EXPECT_EQ(TryOpen(path_ + "/x/y", {.create = true}).error(), Code::kNotFound);
  fs::create_directory(path_);
  EXPECT_EQ(TryOpen(path_, {}).error(), Code::kNotFound);
  EXPECT_TRUE(Says("is not a pool")) << LastError();
  EXPECT_EQ(TryOpen(path_, {.create = true, .read_only = true}).error(), Code::kNotFound);
  EXPECT_TRUE(fs::is_empty(path_));
  EXPECT_TRUE(TryOpen(path_ + "//", {.create = true, .exclusive = true}).has_value());
  EXPECT_EQ(TryOpen(path_, {.create = true, .exclusive = true}).error(), Code::kExists);
  EXPECT_TRUE(TryOpen(path_, {.create = true}).has_value()) << LastError();
}

TEST_F(DirectoryPoolTest, ANewDirectoryHasTheModeAskedForWhateverTheUmask) {
  const mode_t before = umask(077);
  Open({.create = true, .mode = 0755});
  umask(before);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(path_ + "/.morsel-pool").permissions(), fs::perms(0644));
}

TEST_F(DirectoryPoolTest, ReadOnlyReadsAndChangesNothing) {
  Open();
  Create(Wanted("a"));
  pool_.reset();
  std::ofstream(path_ + "/.morsel-tmp-00") << "left by a crash";
  OpenReadOnly();
  EXPECT_TRUE(fs::exists(path_ + "/.morsel-tmp-00"));
  const fs::file_time_type before = fs::last_write_time(path_ + "/a");
  {
    std::unique_ptr<Backing> morsel = OpenMorsel("a", true);
    EXPECT_TRUE(morsel->read_only());
    EXPECT_EQ(WordsOf(*morsel)[0], morsel->record().base);
    const auto file =
        os::File::Open(os::KernelCalls(), AT_FDCWD, path_ + "/a", O_RDONLY, 0, path_ + "/a");
    EXPECT_EQ(&pool_->medium(), &pmem::MediumOf(*file, pmem::PoolPart::kDirectory));
  }
  EXPECT_EQ(fs::last_write_time(path_ + "/a"), before);
  Open();
  EXPECT_FALSE(fs::exists(path_ + "/.morsel-tmp-00"));
}

TEST_F(DirectoryPoolTest, ACopyOpensUnderItsNewNameUnlessTheOriginalIsOpen) {
  Open();
  std::unique_ptr<Backing> original = Create(Wanted("a"));
  fs::copy_file(path_ + "/a", path_ + "/b");
  EXPECT_EQ(pool_->Open("b", false).error(), Code::kAddressTaken);
  EXPECT_TRUE(Says(("morsel 'a' of pool '" + path_ + "'").c_str())) << LastError();
  const uint64_t base = original->record().base;
  original.reset();
  std::unique_ptr<Backing> copy = OpenMorsel("b");
  EXPECT_EQ(copy->record().base, base);
  EXPECT_EQ(copy->record().name, "b");
  const std::vector<Finding> findings = Check();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].subject, "morsel 'b'");
  EXPECT_NE(findings[0].message.find("copy of morsel 'a'"), std::string::npos);
}

TEST_F(DirectoryPoolTest, CheckNamesTheDamagedSubtree) {
  Open();
  {
    std::unique_ptr<Backing> morsel = Create(Wanted("a", 2 * kSubtreeBytes));
    WordsOf(*morsel)[kSubtreeBytes / 8 + 5] = 1;
    ASSERT_TRUE(morsel->Checkpoint(0).ok());
  }
  // The leaf of subtree 1 was written last, so its word lies in the later part of the file.
  std::fstream file(path_ + "/a", std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t at = bytes.find(std::string("\0\0\0\0\0\0\0\0\1\0\0\0", 12), 3 * kMiB / 2);
  ASSERT_NE(at, std::string::npos);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(1);
  file.close();
  const std::vector<Finding> findings = Check();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_NE(findings[0].message.find("subtree 1 (0x"), std::string::npos) << findings[0].message;
  EXPECT_EQ(pool_->Open("a", false).error(), Code::kCorrupt);
  EXPECT_TRUE(Says("subtree 1 (0x")) << LastError();
}

TEST_F(DirectoryPoolTest, RefusesFineGiantAndTooLargeMorsels) {
  Open();
  CatalogRecord fine = Wanted("a");
  fine.contract = Contract::kFine;
  EXPECT_EQ(pool_->Create(fine, [](auto&, auto) {}).error(), Code::kUnsupported);
  EXPECT_TRUE(Says("refuses MAP_SYNC")) << LastError();
  CatalogRecord giant = Wanted("a");
  giant.giant = true;
  EXPECT_EQ(pool_->Create(giant, [](auto&, auto) {}).error(), Code::kUnsupported);
  CatalogRecord wide = Wanted("a");
  wide.capacity_bytes = uint64_t{1} << 47;
  EXPECT_EQ(pool_->Create(wide, [](auto&, auto) {}).error(), Code::kAddressExhausted);
  EXPECT_TRUE(pool_->List()->empty());
}

// As in /proc, where root is told that the file which it makes is not there.
TEST_F(DirectoryPoolTest, WhereNoFileCanBeMadeTheAdviceIsAnotherDirectory) {
  fs::create_directory(path_);
  os::ScriptedCalls calls([](const os::Call& call) {
    return call.kind == os::Call::kOpen && (call.flags & O_CREAT) != 0 ? ENOENT : 0;
  });
  EXPECT_EQ(DirectoryPool::Open(path_, {.create = true}, calls).error(), Code::kNotFound);
  EXPECT_TRUE(Says("takes no files (/proc)")) << LastError();
  EXPECT_FALSE(Says("MORSEL_CREATE")) << LastError();
}

TEST_F(DirectoryPoolTest, CreateThatFailsLeavesNothingOrAPool) {
  for (const int error : {ENOSPC, EIO, EROFS, os::kShort}) {
    for (int call = 0;; ++call) {
      os::ScriptedCalls calls(os::FailOnce(call, error));
      const bool made = DirectoryPool::Open(path_, {.create = true}, calls).has_value();
      SCOPED_TRACE(testing::Message() << "error " << error << " at call " << call);
      if (fs::exists(path_)) {
        EXPECT_TRUE(TryOpen(path_, {}).has_value()) << LastError();
        for (const auto& entry : fs::directory_iterator(path_)) {
          const std::string name = entry.path().filename();
          EXPECT_TRUE(name == ".morsel-pool" || name == ".morsel-lock") << name;
        }
        fs::remove_all(path_);
      } else {
        EXPECT_FALSE(made);
      }
      if (calls.count() <= call) break;
    }
  }
}

// [P6] Whatever call fails, the checkpointed morsel is there afterwards, and no other one is left.
TEST_F(DirectoryPoolTest, AFailedCreateOpenOrRemoveChangesNoMorsel) {
  Open();
  Create(Wanted("a"));
  for (int call = 0;; ++call) {
    pool_.reset();
    os::ScriptedCalls calls;
    Result<std::unique_ptr<impl::Pool>> pool = DirectoryPool::Open(path_, {}, calls);
    ASSERT_TRUE(pool.has_value()) << LastError();
    calls.Play(os::FailOnce(call, EIO));
    (void)(*pool)->List();
    const bool opened = (*pool)->Open("a", false).has_value();
    const bool made = (*pool)->Create(Wanted("b"), [](auto&, auto) {}).has_value();
    const bool removed = made && (*pool)->Remove("b").ok();
    const bool was_last_call = calls.count() <= call;
    calls.Heal();
    SCOPED_TRACE(testing::Message() << "call " << call);
    pool->reset();
    Open();
    EXPECT_NE(OpenMorsel("a"), nullptr);
    const Code b = pool_->Find("b").error();
    EXPECT_TRUE((made && !removed) || b == Code::kNotFound);
    EXPECT_TRUE(b == Code::kNotFound || pool_->Remove("b").ok()) << LastError();
    if (was_last_call) {
      EXPECT_TRUE(opened && made && removed);
      break;
    }
  }
}

// A crash leaves no such file, as a name is given to what is whole. What begins with a dot is
// somebody else's.
TEST_F(DirectoryPoolTest, AMorselsFileThatWasCutToNothingIsDamage) {
  Open();
  Create(Wanted("a"));
  std::ofstream(path_ + "/.keep");
  EXPECT_TRUE(Check().empty());
  fs::resize_file(path_ + "/a", 0);
  const std::vector<Finding> findings = Check();
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].subject, "morsel 'a'");
  EXPECT_EQ(findings[0].code, Code::kCorrupt);
  EXPECT_NE(findings[0].message.find("is empty"), std::string::npos) << findings[0].message;
}

// With a good checksum, as if made to deceive.
TEST_F(DirectoryPoolTest, APoolFileWithAWindowThatNoProcessCanHaveIsRefused) {
  Open();
  pool_.reset();
  const std::string path = path_ + "/.morsel-pool";
  PoolFileLayout layout;
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&layout), sizeof layout);
  for (const Window& window : {Window{0, kGiantBytes},
                               {kGiantBytes, kAddressEnd + kGiantBytes},
                               {kAddressEnd, 2 * kAddressEnd},
                               {2 * kGiantBytes, kGiantBytes}}) {
    layout.window_begin = window.begin;
    layout.window_end = window.end;
    layout.checksum = 0;
    layout.checksum = Checksum64(&layout, sizeof layout);
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<char*>(&layout), sizeof layout);
    EXPECT_EQ(TryOpen(path_, {}).error(), Code::kCorrupt) << window.begin << "-" << window.end;
    EXPECT_NE(std::string(LastError()).find("window"), std::string::npos) << LastError();
  }
}

TEST_F(DirectoryPoolTest, ADamagedPoolFileIsRefused) {
  Open();
  pool_.reset();
  for (size_t at = 0; at < sizeof(PoolFileLayout); ++at) {
    std::fstream file(path_ + "/.morsel-pool", std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 0x10));
    file.close();
    const Code code = TryOpen(path_, {}).error();
    EXPECT_TRUE(code == Code::kCorrupt || code == Code::kVersion) << at << LastError();
    file.open(path_ + "/.morsel-pool", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte));
  }
  fs::resize_file(path_ + "/.morsel-pool", sizeof(PoolFileLayout) - 1);
  EXPECT_EQ(TryOpen(path_, {}).error(), Code::kCorrupt);
}

}  // namespace
}  // namespace morsel
