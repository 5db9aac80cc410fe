#include "sim/stores/recorder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace morsel::sim {
namespace {

struct Big {
  uint64_t words[32];
};

class RecorderTest : public testing::Test {
 protected:
  void SetUp() override { Recorder::Get().Watch({{memory_, sizeof memory_}}); }
  void TearDown() override { Recorder::Get().Watch({}); }

  template <class Code>
  Trace Record(Code code, bool strict = true) {
    Recorder::Get().Begin(strict);
    code();
    return Recorder::Get().End();
  }
  static std::vector<uint64_t> Values(const Trace& trace) {
    std::vector<uint64_t> values;
    for (const Event& event : trace) {
      if (event.kind == Event::Kind::kStore) values.push_back(event.value);
    }
    return values;
  }

  uint64_t* words() { return reinterpret_cast<uint64_t*>(memory_); }

  alignas(4096) char memory_[8192] = {};
};

TEST_F(RecorderTest, RecordsStoresOfEverySize) {
  char* const bytes = memory_;
  const Trace trace = Record([&] {
    *reinterpret_cast<volatile uint64_t*>(bytes) = 1;
    *reinterpret_cast<volatile uint32_t*>(bytes + 8) = 2;
    *reinterpret_cast<volatile uint16_t*>(bytes + 16) = 3;
    *reinterpret_cast<volatile uint8_t*>(bytes + 24) = 4;
  });
  EXPECT_EQ(Values(trace), (std::vector<uint64_t>{1, 2, 3, 4}));
  EXPECT_EQ(Recorder::Get().unseen(), "");
  for (const Event& event : trace) EXPECT_NE(event.pc, nullptr);
}

TEST_F(RecorderTest, RecordsAStoreToTwoWordsAsTwo) {
  const Trace trace = Record([&] {
    const uint64_t value = ~uint64_t{0};
    std::memcpy(memory_ + 4, &value, sizeof value);
  });
  EXPECT_EQ(Values(trace), (std::vector<uint64_t>{0xffffffff'00000000, 0xffffffff}));
}

TEST_F(RecorderTest, RecordsCopiesOfStructsAndLibraryCalls) {
  Big big;
  for (uint64_t i = 0; i < 32; ++i) big.words[i] = i + 1;
  const Trace trace = Record([&] {
    *reinterpret_cast<Big*>(memory_) = big;
    std::memmove(memory_ + 1024, memory_, sizeof big);
    std::memset(memory_ + 2048, 1, 8);
    *reinterpret_cast<Big*>(memory_) = Big{};
  });
  EXPECT_EQ(Values(trace).size(), 32u + 32 + 1 + 32);
  EXPECT_EQ(Recorder::Get().unseen(), "");
}

TEST_F(RecorderTest, RecordsAtomics) {
  const Trace trace = Record([&] {
    std::atomic_ref word(words()[0]);
    word.store(1);
    word.fetch_add(2);
    word.exchange(7);
    uint64_t expected = 7;
    word.compare_exchange_strong(expected, 8);
    word.compare_exchange_strong(expected, 9);  // fails: 7 is expected, 8 is there
    word.fetch_and(12);
    std::atomic_ref(*reinterpret_cast<uint8_t*>(words() + 1)).store(5);
  });
  EXPECT_EQ(Values(trace), (std::vector<uint64_t>{1, 3, 7, 8, 5}));
  EXPECT_EQ(words()[0], 8u);
}

TEST_F(RecorderTest, RecordsFlushesAndFencesInOrder) {
  const pmem::Persist persist = Recorder::Get().persist();
  const Trace trace = Record([&] {
    persist.Publish(words() + 8, 1);
    words()[9] = 2;
  });
  ASSERT_EQ(trace.size(), 4u);
  EXPECT_EQ(trace[0].kind, Event::Kind::kStore);
  EXPECT_EQ(trace[1].kind, Event::Kind::kFlush);
  EXPECT_EQ(trace[1].place, 1u);
  EXPECT_EQ(trace[1].value, 1u);
  EXPECT_EQ(trace[2].kind, Event::Kind::kFence);
  EXPECT_EQ(trace[3].place, 9u);
}

// A system call has no hooks.
TEST_F(RecorderTest, RecordsStoresWithoutHooks) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "unseen..", 8), 8);
  const auto code = [&] {
    ASSERT_EQ(read(ends[0], memory_, 8), 8);
    Recorder::Get().persist().Range(memory_, 8);
  };
  const Trace trace = Record(code, false);
  ASSERT_EQ(trace.size(), 3u);
  EXPECT_EQ(trace[0].kind, Event::Kind::kStore);
  EXPECT_EQ(trace[0].pc, nullptr);
  EXPECT_EQ(Recorder::Get().unseen(), "");
  ASSERT_EQ(write(ends[1], "again...", 8), 8);
  (void)Record(code, true);
  EXPECT_NE(Recorder::Get().unseen(), "");
  close(ends[0]);
  close(ends[1]);
}

TEST_F(RecorderTest, PutsAnImageAndRestoresTheMedium) {
  Line line{};
  line[3] = 5;
  Recorder::Get().Put({{2, line}});
  EXPECT_EQ(words()[19], 5u);
  (void)Record([&] { words()[100] = 6; });
  EXPECT_EQ(Recorder::Get().Visible().size(), 2u);
  Recorder::Get().Put({});
  EXPECT_EQ(words()[19], 0u);
  EXPECT_EQ(words()[100], 0u);
}

TEST_F(RecorderTest, RecordsStoresThroughAliases) {
  Recorder& recorder = Recorder::Get();
  recorder.Watch({{memory_, 4096}});
  uint64_t* const other = words() + 512;  // stands for a second mapping of the same bytes
  recorder.Alias(other, 4096, 0);
  const Trace trace = Record([&] {
    words()[1] = 4;
    recorder.persist().Flush(other + 1, 8);
  });
  ASSERT_EQ(trace.size(), 2u);
  EXPECT_EQ(trace[1].place, 0u);
  recorder.Forget(other, 4096);
  EXPECT_TRUE(Record([&] { recorder.persist().Flush(other, 8); }).empty());
}

}  // namespace
}  // namespace morsel::sim
