#include "morsel/open/open_morsel.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "base/error.h"
#include "morsel/pool/address_window.h"
#include "morsel/roots/roots.h"
#include "os/memory/frames.h"
#include "os/testing/seed_testing.h"
#include "sim/model/crash_recorder_testing.h"

namespace morsel {
namespace {

constexpr uint64_t kBytes = 2 * kSubtreeBytes;
constexpr uint64_t kLargeBytes = 64 * kKiB;

// The memory of a fine morsel. The recorder knows what a crash may leave of it.
class RecordedBacking final : public Backing {
 public:
  explicit RecordedBacking(const CatalogRecord& record) : Backing(record, false) {
    const Result<Window> window = WindowFromEnvironment();
    record_.base = window->begin + 64 * kGiB;
    auto range = os::AddressRange::Reserve(record_.base, RangeBytes(kBytes), "a test");
    EXPECT_TRUE(range) << LastError();
    range_ = std::move(*range);
    frames_.emplace(std::move(*os::Frames::Open(false)));
    EXPECT_TRUE(frames_->Resize(range_, kBytes).ok()) << LastError();
    EXPECT_TRUE(os::PlaceProcessPage(range_, kBytes).ok()) << LastError();
    recorder_ = std::make_unique<pmem::CrashRecorder>(
        std::vector<pmem::CrashRecorder::Span>{{range_.at(0), kBytes}});
  }
  pmem::Persist persist() const override { return recorder_->persist(); }
  uint32_t granularity_bytes() const override { return 64; }
  Status Resize(uint64_t) override { return Code::kNoSpace; }
  Status Checkpoint(uint64_t, const Copied&) override { return Code::kOk; }
  Status Export(const os::Directory&, const std::string&, const ExportRequest&) override {
    return Code::kUnsupported;
  }
  pmem::CrashRecorder& recorder() { return *recorder_; }

 private:
  std::optional<os::Frames> frames_;
  std::unique_ptr<pmem::CrashRecorder> recorder_;
};

struct OpenMorselTest : testing::Test {
  void SetUp() override {
    CatalogRecord record;
    record.name = "m";
    record.contract = Contract::kFine;
    record.capacity_bytes = record.size_bytes = kBytes;
    auto made = std::make_unique<RecordedBacking>(record);
    recorder = &made->recorder();
    OpenMorsel::Format(made->record(), made->persist());
    auto opened = OpenMorsel::Make(std::move(made), "a test", nullptr);
    ASSERT_TRUE(opened) << LastError();
    morsel = std::move(*opened);
  }

  // Calls `check` for every image that a crash may leave, with its root "r" and its heap.
  void ForEachImage(const std::function<void(void* root, alloc::Heap& heap)>& check) {
    const CatalogRecord record = morsel->record();
    recorder->Observe();
    recorder->ForEachImage(256, random, [&] {
      const alloc::HeapPlace place{morsel->base(), kBytes, kBytes, record.id};
      auto heap = alloc::Heap::Open(place, pmem::VolatilePersist(), /*fine=*/true, false);
      ASSERT_TRUE(heap) << LastError();
      check(Roots(**heap).Find("r", {})->object, **heap);
    });
  }

  // Makes the object the root "r". In every image of a crash meanwhile the root is live, if there
  // is one; afterwards it is the object.
  void SetRootAndCrash(void* object) {
    int images = 0;
    recorder->set_before_fence([&] {
      ForEachImage([&](void* root, alloc::Heap& heap) {
        ++images;
        if (root != nullptr) {
          EXPECT_TRUE(*heap.IsLive(root)) << root;
        }
      });
    });
    ASSERT_TRUE(morsel->SetRoot("r", object).ok()) << LastError();
    EXPECT_GT(images, 0);
    recorder->set_before_fence(nullptr);
    ForEachImage([&](void* root, alloc::Heap& heap) {
      EXPECT_EQ(root, object);
      EXPECT_TRUE(*heap.IsLive(object));
    });
  }

  std::mt19937_64 random{TestSeed(1)};
  pmem::CrashRecorder* recorder = nullptr;
  std::unique_ptr<OpenMorsel> morsel;
};

TEST_F(OpenMorselTest, ARootedObjectIsLiveAfterACrash) {
  // Every other object is an extent, the others lie in slabs.
  for (int i = 0; i < 6; ++i) {
    SetRootAndCrash(*morsel->heap().Allocate(i % 2 == 0 ? 64 : 2 * kLargeBytes, 16));
  }
}

// The thread has noted as many lines as it can for its next fence, so that those of the root are
// flushed at once. The root has its name already: a new name's fence would be one more.
TEST_F(OpenMorselTest, ARootedObjectIsLiveAfterACrashWhereManyFlushesWaitForAFence) {
  std::vector<void*> extents(16);
  for (void*& extent : extents) extent = *morsel->heap().Allocate(2 * kLargeBytes, 16);
  ASSERT_TRUE(morsel->SetRoot("r", extents[0]).ok()) << LastError();
  for (int i = 0; i < 10; ++i) {
    for (void* const extent : extents) ASSERT_TRUE(morsel->heap().Flush(extent, 0).ok());
  }
  SetRootAndCrash(*morsel->heap().Allocate(2 * kLargeBytes, 16));
}

TEST_F(OpenMorselTest, FlushedAndFencedBytesSurviveACrash) {
  auto* const word = static_cast<uint64_t*>(*morsel->heap().Allocate(64, 16));
  *word = 4711;
  ASSERT_TRUE(morsel->Flush(word, sizeof *word).ok());
  ASSERT_TRUE(morsel->Fence().ok());
  ForEachImage([&](void*, alloc::Heap& heap) {
    EXPECT_TRUE(*heap.IsLive(word));
    EXPECT_EQ(*word, 4711u);
  });
}

TEST_F(OpenMorselTest, CopiedAndFencedBytesSurviveACrash) {
  std::vector<char> from(5000);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<char>(i % 251);
  char* const block = static_cast<char*>(*morsel->heap().Allocate(from.size() + 1, 16));
  ASSERT_TRUE(morsel->Copy(block + 1, from.data(), from.size()).ok());
  ASSERT_TRUE(morsel->Fence().ok());
  ForEachImage([&](void*, alloc::Heap& heap) {
    EXPECT_TRUE(*heap.IsLive(block));
    EXPECT_EQ(std::memcmp(block + 1, from.data(), from.size()), 0);
  });
}

TEST_F(OpenMorselTest, ARootMustBeALiveBlockOfTheMorsel) {
  int elsewhere = 0;
  EXPECT_EQ(morsel->SetRoot("r", &elsewhere).code(), Code::kInvalidArgument);
  EXPECT_EQ(morsel->SetRoot("r", morsel->base()).code(), Code::kInvalidArgument);
  void* const freed = *morsel->heap().Allocate(64, 16);
  morsel->heap().Free(freed);
  EXPECT_EQ(morsel->SetRoot("r", freed).code(), Code::kInvalidArgument);
}

TEST_F(OpenMorselTest, FlushAndCopyRefuseARangeOutsideOfTheMorsel) {
  char* const base = static_cast<char*>(morsel->base());
  EXPECT_TRUE(morsel->Flush(base, kBytes).ok());
  EXPECT_EQ(morsel->Flush(base, kBytes + 1).code(), Code::kInvalidArgument);
  EXPECT_EQ(morsel->Flush(base - 64, 64).code(), Code::kInvalidArgument);
  EXPECT_EQ(morsel->Flush(base + 64, ~uint64_t{0}).code(), Code::kInvalidArgument);
  const char bytes[64] = {1};
  EXPECT_EQ(morsel->Copy(base + kBytes - 63, bytes, 64).code(), Code::kInvalidArgument);
  EXPECT_EQ(morsel->Copy(base - 64, bytes, 64).code(), Code::kInvalidArgument);
  EXPECT_EQ(base[kBytes - 63], 0);
  EXPECT_TRUE(morsel->Copy(base + kBytes, bytes, 0).ok());
}

// Closing the gate takes a time by what other threads do.
TEST_F(OpenMorselTest, CallsCloseTheGateOnceAtMost) {
  void* const object = morsel->heap().Allocate(64, 16).value();
  const auto gates = [this] { return morsel->heap().work().gates_closed; };
  uint64_t before = gates();
  ASSERT_TRUE(morsel->SetRoot("r", object).ok()) << LastError();
  EXPECT_EQ(gates(), before) << "set_root of an object of the calling thread";
  ASSERT_TRUE(morsel->Checkpoint().ok()) << LastError();
  EXPECT_EQ(gates(), before + 1) << "checkpoint";
  before = gates();
  morsel_info info;
  ASSERT_TRUE(morsel->Fill(&info).ok());
  EXPECT_EQ(gates(), before + 1) << "stat";
  EXPECT_EQ(info.live_bytes, 128u) << "the object, and what the root takes";
  before = gates();
  ASSERT_TRUE(morsel->Close().ok()) << LastError();
  EXPECT_EQ(gates(), before + 1) << "close";
}

}  // namespace
}  // namespace morsel
