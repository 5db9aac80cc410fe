// Compares the tree of crashes with all crashes, one by one, of a recovery that is small enough for
// that.
#include "sim/disk/crash_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>
#include <string>
#include <tuple>

#include "sim/disk/disk_choices.h"

namespace morsel::sim {
namespace {

// A file of sectors that hold a letter each: sector 0 tells what was found last ("p": nobody knows
// it yet), sector 1 what there is, sector 2 a part of that, which is read only if sector 1 says so.
constexpr char kFile[] = "a";
constexpr int kLetters = 5;

class Recovery {
 public:
  explicit Recovery(bool syncs) : syncs_(syncs) {}

  /// What it found: letters and dots for what it did not read.
  const std::set<std::string>& found() const { return found_; }
  uint64_t incarnations() const { return incarnations_; }

  FileIncarnation RunIncarnation(const FilePast& past) {
    ++incarnations_;
    SimulatedFiles files(sandbox_, past.disk, past.fault, false);
    const int root = files.OpenAt(AT_FDCWD, sandbox_.root().c_str(), O_RDONLY | O_DIRECTORY, 0);
    const int file = files.OpenAt(root, kFile, O_RDWR, 0);
    std::string found(kLetters, '.');
    FileIncarnation incarnation;
    if (file >= 0) {
      Work(files, file, found);
      close(file);
    }
    files.Promise(past.promises, true);
    close(root);
    files.Stop();
    found_.insert(found);
    incarnation.calls = files.calls();
    incarnation.promises = files.promises();
    incarnation.read = files.sectors_read();
    return incarnation;
  }

 private:
  char Read(SimulatedFiles& files, int file, int sector, std::string& found) const {
    char letter = '?';
    (void)files.PRead(file, &letter, 1, sector * static_cast<int64_t>(kSectorBytes));
    found[static_cast<size_t>(sector)] = letter == 0 ? '0' : letter;
    return letter;
  }
  static void Write(SimulatedFiles& files, int file, int sector, char letter) {
    const std::string bytes(kSectorBytes, letter);
    (void)files.PWrite(file, bytes.data(), bytes.size(),
                       sector * static_cast<int64_t>(kSectorBytes));
  }

  // What it leaves undecided decides what it reads the next time, sectors 3 and 4 among that,
  // which the first recovery does not read.
  void Work(SimulatedFiles& files, int file, std::string& found) const {
    const char told = Read(files, file, 0, found);
    const char there = Read(files, file, 1, found);
    if (there == 'b') Read(files, file, 2, found);
    if (told == 'q') {
      Read(files, file, 3, found);
      Write(files, file, 4, 't');
    } else {
      Write(files, file, 2, 'r');
      Write(files, file, 0, there == 'b' ? 'q' : 's');
      if (syncs_) (void)files.FDataSync(file);
      Write(files, file, 1, 'b');
    }
    if (told == 's') Read(files, file, 4, found);
  }

  bool syncs_;
  Sandbox sandbox_;
  std::set<std::string> found_;
  uint64_t incarnations_ = 0;
};

// Two calls that leave each of the sectors changed, and a name that may be lost.
FileIncarnation Begin() {
  Sandbox sandbox;
  SimulatedFiles files(sandbox, Disk(), Fault{}, false);
  const int root = files.OpenAt(AT_FDCWD, sandbox.root().c_str(), O_RDONLY | O_DIRECTORY, 0);
  const int file = files.OpenAt(root, kFile, O_RDWR | O_CREAT | O_EXCL, 0600);
  const std::string first(kLetters * kSectorBytes, 'p');
  EXPECT_EQ(files.PWrite(file, first.data(), first.size(), 0), static_cast<ssize_t>(first.size()));
  EXPECT_EQ(files.FDataSync(file), 0);
  const std::string second(kLetters * kSectorBytes, 'b');
  EXPECT_EQ(files.PWrite(file, second.data(), second.size(), 0),
            static_cast<ssize_t>(second.size()));
  files.Promise({}, true);
  close(file);
  close(root);
  files.Stop();
  FileIncarnation incarnation;
  incarnation.calls = files.calls();
  incarnation.promises = files.promises();
  return incarnation;
}

// By disk_choices.h, which decides each part of each change.
void CrashInEveryWay(Recovery& recovery, const FilePoint& point, size_t crashes_left) {
  std::mt19937_64 random(1);
  const auto recover = [&](const Disk& disk) {
    const FilePast next{disk, point.promises, {}, {}};
    const FileIncarnation incarnation = recovery.RunIncarnation(next);
    if (crashes_left == 1) return;
    ForEachPoint(next, incarnation, 0, [&](const FilePoint& later) {
      CrashInEveryWay(recovery, later, crashes_left - 1);
      return true;
    });
  };
  const std::vector<Question> questions = QuestionsOf(point.disk, {}, kLetters, random);
  EXPECT_TRUE(ForEachAnswers(questions, 1 << 12, random, [&](const Answers& answers) {
    recover(DiskAfter(point.disk, questions, answers));
    return true;
  }));
  recover(point.disk);  // a kill
}

class CrashTreeTest : public testing::TestWithParam<std::tuple<bool, size_t>> {};

TEST_P(CrashTreeTest, FindsAllThatTryingEveryCrashFinds) {
  const auto [syncs, crashes] = GetParam();
  const FilePast begin{};
  const FileIncarnation incarnation = Begin();
  Recovery all(syncs);
  Recovery some(syncs);
  std::mt19937_64 random(1);
  CrashTree tree(crashes, 4096, random,
                 [&](const FilePast& past) { return some.RunIncarnation(past); });
  EXPECT_TRUE(ForEachPoint(begin, incarnation, 0, [&](const FilePoint& point) {
    CrashInEveryWay(all, point, crashes);
    return tree.Crash(point);
  }));
  EXPECT_EQ(some.found(), all.found());
  EXPECT_LT(some.incarnations() * 4, all.incarnations());
  for (const CoverCounts& of : tree.counts()) EXPECT_EQ(of.whole, of.points);
  EXPECT_EQ(tree.counts().size(), crashes);
}

INSTANTIATE_TEST_SUITE_P(Crashes, CrashTreeTest,
                         testing::Combine(testing::Bool(), testing::Values(1, 2)));

}  // namespace
}  // namespace morsel::sim
