// Tests the explorer with a structure so small that a flag can plant each bug.
#include "sim/stores/explorer.h"

#include <gtest/gtest.h>

#include "sim/stores/recorder.h"

namespace morsel::sim {
namespace {

enum class Bug { kNone, kNoPersist, kWrongOrder, kTrustsTheVisible, kDies, kForgets };

/// A list in an array: nodes are written behind the last, then a head points to the newest one.
class List : public Target {
 public:
  enum Operation : uint32_t { kPush, kNothing };
  enum Note : uint32_t { kPushing, kPushed };

  explicit List(Bug bug) : bug_(bug) {}
  ~List() override { Recorder::Get().Watch({}); }

  std::string Name() const override { return "list"; }
  std::string NameOf(uint32_t operation) const override {
    return operation == kPush ? "push" : "nothing";
  }
  std::vector<Span> Memory() override { return {{memory_, sizeof memory_}}; }
  void Prepare() override {}
  Script GoOn(uint64_t) override { return {{kPush}}; }

  std::string Recover(Log& log) override {
    if (bug_ == Bug::kDies && *Head() != 0 && Node(*Head())[1] == 0) abort();
    if (bug_ != Bug::kTrustsTheVisible) persist_.Range(Head(), 8);
    uint64_t due = 0;
    bool pushing = false;
    for (const LogEntry& entry : log.entries()) {
      if (entry.kind != LogEntry::Kind::kNoted) continue;
      pushing = entry.what == kPushing;
      if (!pushing) due = entry.words[0];
    }
    const uint64_t found = *Head();
    if (found != due && !(pushing && found == due + 1)) {
      return "the head is " + std::to_string(found) + ", due is " + std::to_string(due);
    }
    for (uint64_t node = found; node != 0; node = Node(node)[0]) {
      if (Node(node)[1] != node * 100) return "node " + std::to_string(node) + " is not whole";
    }
    if (pushing) log.Note(kPushed, found);
    return {};
  }

  void Perform(uint32_t operation, Log& log) override {
    if (operation == kNothing) return;
    const uint64_t last = *Head();
    uint64_t* const node = Node(last + 1);
    log.Note(kPushing);
    if (bug_ == Bug::kWrongOrder) persist_.Publish(Head(), last + 1);
    node[0] = last;
    node[1] = (last + 1) * 100;
    if (bug_ != Bug::kNoPersist && bug_ != Bug::kDies) persist_.Range(node, 16);
    if (bug_ == Bug::kForgets) {
      *Head() = last + 1;
    } else {
      persist_.Publish(Head(), last + 1);
    }
    log.Note(kPushed, last + 1);
  }

  void Forget(bool) override {}
  std::string Answers() override { return std::to_string(*Head()); }

 private:
  uint64_t* Head() { return reinterpret_cast<uint64_t*>(memory_); }
  uint64_t* Node(uint64_t number) {
    return reinterpret_cast<uint64_t*>(memory_ + number % 63 * kLineBytes);
  }

  Bug bug_;
  pmem::Persist persist_ = Recorder::Get().persist();
  alignas(4096) char memory_[4096] = {};
};

std::optional<Failure> FailureOf(Bug bug, const Script& script) {
  List list(bug);
  Explorer explorer(list, {});
  EXPECT_EQ(explorer.Explore(script), bug == Bug::kNone);
  return explorer.failure();
}

TEST(ExplorerTest, FindsNothingInACorrectTarget) {
  List list(Bug::kNone);
  Explorer explorer(list, {});
  EXPECT_TRUE(explorer.ExploreSequences(2, 3));
  EXPECT_EQ(explorer.counts().scripts, 2u + 4 + 8);
  EXPECT_GT(explorer.counts().kills, 0u);
  EXPECT_GT(explorer.counts().later_crashes, 0u);
}

TEST(ExplorerTest, FindsAMissingPersistAndSaysWhichStoreWasLost) {
  const auto failure = FailureOf(Bug::kNoPersist, {{List::kNothing, List::kPush, List::kNothing}});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->message, "node 1 is not whole");
  EXPECT_EQ(failure->script, (Script{{List::kPush}}));
  ASSERT_EQ(failure->crashes.size(), 1u);
  ASSERT_EQ(failure->crashes[0].lost.size(), 1u);
  EXPECT_EQ(failure->crashes[0].lost[0].words.find("0x64 at"), 0u);
  EXPECT_NE(failure->text.find("sim/stores/explorer_test.cc:"), std::string::npos);
  EXPECT_NE(failure->text.find("MORSEL_SEED=1"), std::string::npos);
}

TEST(ExplorerTest, FindsTwoPersistsInTheWrongOrder) {
  EXPECT_TRUE(FailureOf(Bug::kWrongOrder, {{List::kPush}}));
}

TEST(ExplorerTest, FindsABrokenPromise) {
  const auto failure = FailureOf(Bug::kForgets, {{List::kPush}});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->message, "the head is 0, due is 1");
}

TEST(ExplorerTest, FindsWhatOnlyAKillBeforeThePowerCutShows) {
  const auto failure = FailureOf(Bug::kTrustsTheVisible, {{List::kPush}});
  ASSERT_TRUE(failure);
  ASSERT_EQ(failure->crashes.size(), 2u);
  EXPECT_TRUE(failure->crashes[0].kill);
  EXPECT_FALSE(failure->crashes[1].kill);
}

TEST(ExplorerTest, ReportsACrashOfRecoveryItself) {
  const auto failure = FailureOf(Bug::kDies, {{List::kPush}});
  ASSERT_TRUE(failure);
  EXPECT_NE(failure->message.find("died"), std::string::npos);
}

TEST(ExplorerTest, TheSameSeedGivesTheSameRun) {
  Counts counts[2];
  for (Counts& of : counts) {
    List list(Bug::kNone);
    Explorer explorer(list,
                      {.seed = 7, .effort = {.later_images_max = 2, .crash_again_one_in = 2}});
    EXPECT_TRUE(explorer.ExploreSequences(1, 3));
    of = explorer.counts();
  }
  EXPECT_EQ(counts[0].incarnations, counts[1].incarnations);
  EXPECT_EQ(counts[0].events, counts[1].events);
}

}  // namespace
}  // namespace morsel::sim
