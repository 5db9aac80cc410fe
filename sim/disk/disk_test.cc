// The model of a disk: what a sync makes durable, and what a power cut may leave.
#include "sim/disk/disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "sim/disk/disk_choices.h"
#include "sim/disk/disk_cover.h"
#include "sim/disk/simulated_files.h"

namespace morsel::sim {
namespace {

const std::string kOne(kSectorBytes, '1');
const std::string kTwo(kSectorBytes, '2');

std::string BytesOf(const NodeState& state) {
  std::string bytes;
  for (uint64_t at = 0; at < state.content.size_bytes(); at += kSectorBytes) {
    const Content::Page* const page = state.content.page(at / Content::kPageBytes);
    bytes += page == nullptr ? '0' : page->bytes[at % Content::kPageBytes];
  }
  for (char& byte : bytes) byte = byte == '\0' ? '0' : byte;
  return bytes;
}

struct DiskTest : testing::Test {
  DiskTest() : files(sandbox, Disk(), Fault{}, false) {}

  int Make(const std::string& name) {
    return files.OpenAt(AT_FDCWD, (sandbox.root() + "/" + name).c_str(), O_RDWR | O_CREAT | O_EXCL,
                        0600);
  }
  int Root() { return files.OpenAt(AT_FDCWD, sandbox.root().c_str(), O_RDONLY | O_DIRECTORY, 0); }
  void Write(int file, const std::string& bytes, int64_t offset) {
    ASSERT_EQ(files.PWrite(file, bytes.data(), bytes.size(), offset),
              static_cast<ssize_t>(bytes.size()));
  }
  // What a power cut may leave: each name with its sectors.
  std::set<std::string> Left() {
    std::mt19937_64 random(1);
    std::set<std::string> left;
    const std::vector<Question> questions = QuestionsOf(files.disk(), {}, 8, random);
    ForEachAnswers(questions, 4096, random, [&](const Answers& answers) {
      const Disk disk = DiskAfter(files.disk(), questions, answers);
      std::string words;
      for (const auto& [name, node] : disk.node(kRootNode).durable.names) {
        words += name + "=" + BytesOf(disk.node(node).durable) + " ";
      }
      left.insert(words);
      return true;
    });
    return left;
  }
  using Words = std::set<std::string>;

  Sandbox sandbox;
  SimulatedFiles files;
};

TEST_F(DiskTest, ANameIsDurableWithItsDirectoryAndDataWithItsFile) {
  const int root = Root();
  const int file = Make("a");
  EXPECT_EQ(Left(), (Words{"", "a= "}));
  EXPECT_EQ(files.FSync(root), 0);
  EXPECT_EQ(Left(), (Words{"a= "}));
  Write(file, kOne + kTwo, 0);
  EXPECT_EQ(Left(), (Words{"a= ", "a=00 ", "a=10 ", "a=02 ", "a=12 "}));
  EXPECT_EQ(files.FDataSync(file), 0);
  EXPECT_EQ(Left(), (Words{"a=12 "}));
}

TEST_F(DiskTest, WritesOfOneSectorAreLeftInAnyOrder) {
  const int root = Root();
  const int file = Make("a");
  Write(file, kOne, 0);
  files.FSync(file);
  files.FSync(root);
  Write(file, kTwo, 0);
  Write(file, std::string(kSectorBytes, '3'), 0);
  EXPECT_EQ(Left(), (Words{"a=1 ", "a=2 ", "a=3 "}));
}

TEST_F(DiskTest, ARenameIsLostOrKeptAsAWhole) {
  const int root = Root();
  Make("a");
  files.FSync(root);
  EXPECT_EQ(files.RenameAt2(root, "a", "b", RENAME_NOREPLACE), 0);
  EXPECT_EQ(Left(), (Words{"a= ", "b= "}));
  EXPECT_EQ(files.UnlinkAt(root, "b", 0), 0);
  EXPECT_EQ(Left(), (Words{"", "a= ", "b= "}));
  files.FSync(root);
  EXPECT_EQ(Left(), (Words{""}));
}

TEST_F(DiskTest, TruncatedAndPunchedBytesMayComeBack) {
  const int root = Root();
  const int file = Make("a");
  Write(file, kOne + kTwo, 0);
  files.FSync(file);
  files.FSync(root);
  EXPECT_EQ(files.FAllocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kSectorBytes), 0);
  EXPECT_EQ(Left(), (Words{"a=12 ", "a=02 "}));
  files.FDataSync(file);
  EXPECT_EQ(files.FTruncate(file, kSectorBytes), 0);
  EXPECT_TRUE(Left().count("a=02 ") == 1 && Left().count("a=0 ") == 1);
}

TEST(FailingSyncTest, ALaterGoodSyncDoesNotProveWhatAFailedOneLost) {
  Sandbox sandbox;
  // open, open, write, fsync of the directory, then the one that fails.
  SimulatedFiles files(sandbox, Disk(), Fault{.call = 4, .error = EIO, .lasts = false}, false);
  const int root = files.OpenAt(AT_FDCWD, sandbox.root().c_str(), O_RDONLY | O_DIRECTORY, 0);
  const int file = files.OpenAt(root, "a", O_RDWR | O_CREAT | O_EXCL, 0600);
  EXPECT_EQ(files.PWrite(file, kOne.data(), kOne.size(), 0), 512);
  EXPECT_EQ(files.FSync(root), 0);
  EXPECT_EQ(files.FDataSync(file), -1);
  EXPECT_EQ(files.FDataSync(file), 0);
  const Node& doubtful = files.disk().node(1);
  EXPECT_EQ(doubtful.undecided.size(), 2u);
  EXPECT_EQ(BytesOf(doubtful.visible), "1");
  // The same bytes again, and all is well.
  EXPECT_EQ(files.FTruncate(file, 0), 0);
  EXPECT_EQ(files.PWrite(file, kOne.data(), kOne.size(), 0), 512);
  EXPECT_EQ(files.FDataSync(file), 0);
  EXPECT_TRUE(files.disk().node(1).undecided.empty());
  EXPECT_EQ(BytesOf(files.disk().node(1).durable), "1");
}

TEST(FailingSyncTest, ADirectoryKeepsItsNamesForALaterSync) {
  Sandbox sandbox;
  // open, open, then the one that fails.
  SimulatedFiles files(sandbox, Disk(), Fault{.call = 2, .error = EIO, .lasts = false}, false);
  const int root = files.OpenAt(AT_FDCWD, sandbox.root().c_str(), O_RDONLY | O_DIRECTORY, 0);
  ASSERT_GE(files.OpenAt(root, "a", O_RDWR | O_CREAT | O_EXCL, 0600), 0);
  EXPECT_EQ(files.FSync(root), -1);
  EXPECT_TRUE(files.disk().node(kRootNode).durable.names.empty());
  EXPECT_EQ(files.disk().node(kRootNode).undecided.size(), 1u);
  EXPECT_EQ(files.FSync(root), 0);
  EXPECT_EQ(files.disk().node(kRootNode).durable.names.count("a"), 1u);
  EXPECT_TRUE(files.disk().node(kRootNode).undecided.empty());
}

TEST(SandboxTest, ShowsWhatIsVisible) {
  Sandbox sandbox;
  Disk disk;
  {
    SimulatedFiles files(sandbox, disk, Fault{}, false);
    const int root = files.OpenAt(AT_FDCWD, sandbox.root().c_str(), O_RDONLY | O_DIRECTORY, 0);
    ASSERT_EQ(files.MkDirAt(AT_FDCWD, (sandbox.root() + "/d").c_str(), 0750), 0);
    const int file = files.OpenAt(root, "d/a", O_RDWR | O_CREAT | O_EXCL, 0600);
    ASSERT_GE(file, 0);
    EXPECT_EQ(files.PWrite(file, kOne.data(), kOne.size(), 512), 512);
    EXPECT_EQ(files.FChMod(file, 0640), 0);
    disk = files.disk();
  }
  sandbox.Show(Disk());
  EXPECT_FALSE(sandbox.NodeAt(AT_FDCWD, sandbox.root() + "/d").has_value());
  sandbox.Show(disk);
  struct stat status;
  ASSERT_EQ(stat((sandbox.root() + "/d/a").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 1024);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

// Recovery reads the first sector, and the second one if the first is new. There are 2^3 disks and
// two sizes.
TEST_F(DiskTest, TriesOnlyDisksThatDifferInSectorsThatAreRead) {
  const int root = Root();
  const int file = Make("a");
  ASSERT_EQ(files.FSync(root), 0);
  Write(file, std::string(3 * kSectorBytes, '0'), 0);
  ASSERT_EQ(files.FSync(file), 0);
  Write(file, kOne + kOne + kOne, 0);
  const NodeId node = *sandbox.NodeOf(file);
  std::multiset<std::string> found;
  std::mt19937_64 random(1);
  const auto recover = [&](const Disk& disk) -> std::optional<SectorsRead> {
    const std::string bytes = BytesOf(disk.node(node).durable);
    const bool is_new = bytes[0] == '1';
    found.insert(bytes.substr(0, is_new ? 2 : 1));
    return SectorsRead{{node, {true, is_new, false}}};
  };
  const Cover cover = CoverDisks(files.disk(), 100, random, recover);
  EXPECT_TRUE(cover.is_whole);
  EXPECT_EQ(found, (std::multiset<std::string>{"0", "10", "11"}));
  EXPECT_EQ(cover.images_log2, 3);
  EXPECT_FALSE(CoverDisks(files.disk(), 2, random, recover).is_whole);
  // Whatever their order, one of them is the last.
  Write(file, kTwo, 0);
  EXPECT_TRUE(CoverDisks(files.disk(), 100, random, recover).is_whole);
  Write(file, kTwo.substr(0, 100), 0);
  EXPECT_FALSE(CoverDisks(files.disk(), 100, random, recover).is_whole) << "in which order?";
}

// Each recovery that is killed writes again what it found, as it must before it syncs it. Writes of
// the same bytes are no more disks, however often they come.
TEST_F(DiskTest, TriesWhatASectorMayHoldOnce) {
  const int root = Root();
  const int file = Make("a");
  ASSERT_EQ(files.FSync(root), 0);
  Write(file, std::string(3 * kSectorBytes, '0'), 0);
  ASSERT_EQ(files.FSync(file), 0);
  for (int kills = 0; kills < 6; ++kills) {
    Write(file, kOne + kOne, 0);
    Write(file, kills == 5 ? std::string(kSectorBytes, '0') : kTwo, 0);
  }
  const NodeId node = *sandbox.NodeOf(file);
  std::multiset<std::string> found;
  std::mt19937_64 random(1);
  const Cover cover = CoverDisks(files.disk(), 100, random, [&](const Disk& disk) {
    found.insert(BytesOf(disk.node(node).durable));
    return std::optional<SectorsRead>({{node, {true, true, true}}});
  });
  EXPECT_TRUE(cover.is_whole);
  EXPECT_EQ(found, (std::multiset<std::string>{"000", "010", "100", "110", "200", "210"}));
  EXPECT_EQ(cover.images_log2, std::log2(6));
}

// They are asked for by calls that nobody records.
TEST_F(DiskTest, TriesEachSizeAndName) {
  const int root = Root();
  const int file = Make("a");
  ASSERT_EQ(files.FSync(root), 0);
  ASSERT_EQ(files.FTruncate(file, 512), 0);
  ASSERT_EQ(files.FTruncate(file, 1024), 0);
  Make("b");
  const NodeId node = *sandbox.NodeOf(file);
  std::multiset<std::string> found;
  std::mt19937_64 random(1);
  const Cover cover = CoverDisks(files.disk(), 100, random, [&](const Disk& disk) {
    const NodeState& names = disk.node(kRootNode).durable;
    found.insert(BytesOf(disk.node(node).durable) + (names.names.contains("b") ? "b" : ""));
    return std::optional<SectorsRead>(std::in_place);
  });
  EXPECT_TRUE(cover.is_whole);
  EXPECT_EQ(found, (std::multiset<std::string>{"", "0", "00", "00b", "0b", "b"}));
}

// Other incarnations remove the file and write to it. The next one that begins with the first disk
// must see the bytes of that disk.
TEST(SandboxTest, ShowsTheDurableBytesOfAFileAfterAnIncarnationWithoutIt) {
  Sandbox sandbox;
  const auto run = [&](const Disk& disk, const std::function<void(SimulatedFiles&, int)>& act) {
    SimulatedFiles files(sandbox, disk, Fault{}, false);
    const int root = files.OpenAt(AT_FDCWD, sandbox.root().c_str(), O_RDONLY | O_DIRECTORY, 0);
    act(files, root);
    close(root);
    return files.disk();
  };
  const Disk there = run(Disk(), [](SimulatedFiles& files, int root) {
    const int file = files.OpenAt(root, "a", O_RDWR | O_CREAT | O_EXCL, 0600);
    EXPECT_EQ(files.PWrite(file, kOne.data(), kOne.size(), 0), 512);
  });
  const Disk gone = run(
      there, [](SimulatedFiles& files, int root) { EXPECT_EQ(files.UnlinkAt(root, "a", 0), 0); });
  run(there, [](SimulatedFiles& files, int root) {
    const int file = files.OpenAt(root, "a", O_RDWR, 0);
    EXPECT_EQ(files.PWrite(file, kTwo.data(), kTwo.size(), 0), 512);
  });
  run(gone, [](SimulatedFiles&, int) {});
  run(there, [](SimulatedFiles& files, int root) {
    std::string bytes(kSectorBytes, '?');
    const int file = files.OpenAt(root, "a", O_RDONLY, 0);
    EXPECT_EQ(files.PRead(file, bytes.data(), bytes.size(), 0), 512);
    EXPECT_EQ(bytes, kOne);
  });
}

}  // namespace
}  // namespace morsel::sim
