#include "morsel/open/process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <optional>
#include <utility>

#include "base/units.h"
#include "os/memory/huge_watch.h"
#include "pmem/media/media.h"

namespace morsel {
namespace {

OpenMorsel* Morsel(uint64_t n) { return reinterpret_cast<OpenMorsel*>(n * 64); }
void* At(uint64_t address) { return reinterpret_cast<void*>(address); }

constexpr uint64_t kBase = 0x7000'0000'0000 - 40 * kGiB;

TEST(Process, FindsTheMorselOfAnAddress) {
  RememberRange(kBase, 3 * kGiB + 2 * kMiB, Morsel(1));
  RememberRange(kBase + 3 * kGiB + 2 * kMiB, 4 * kMiB, Morsel(2));
  EXPECT_EQ(MorselAt(At(kBase - 1)), nullptr);
  EXPECT_EQ(MorselAt(At(kBase)), Morsel(1));
  EXPECT_EQ(MorselAt(At(kBase + 3 * kGiB - 1)), Morsel(1));
  EXPECT_EQ(MorselAt(At(kBase + 3 * kGiB + 2 * kMiB - 1)), Morsel(1));
  EXPECT_EQ(MorselAt(At(kBase + 3 * kGiB + 2 * kMiB)), Morsel(2));
  EXPECT_EQ(MorselAt(At(kBase + 3 * kGiB + 6 * kMiB)), nullptr);
  ForgetRange(kBase, 3 * kGiB + 2 * kMiB);
  EXPECT_EQ(MorselAt(At(kBase + kGiB)), nullptr);
  EXPECT_EQ(MorselAt(At(kBase + 3 * kGiB)), nullptr);
  EXPECT_EQ(MorselAt(At(kBase + 3 * kGiB + 2 * kMiB)), Morsel(2));
  // A range that had several small morsels can hold one large morsel afterwards.
  ForgetRange(kBase + 3 * kGiB + 2 * kMiB, 4 * kMiB);
  RememberRange(kBase, 8 * kGiB, Morsel(3));
  EXPECT_EQ(MorselAt(At(kBase + 3 * kGiB + 5 * kMiB)), Morsel(3));
  EXPECT_EQ(MorselAt(At(kBase + 8 * kGiB - 1)), Morsel(3));
  ForgetRange(kBase, 8 * kGiB);
}

TEST(Process, NoMorselIsFoundAtAnAddressBeyondTheTable) {
  EXPECT_EQ(MorselAt(nullptr), nullptr);
  EXPECT_EQ(MorselAt(At(~uint64_t{0})), nullptr);
  EXPECT_EQ(MorselAt(At(uint64_t{1} << 47)), nullptr);
}

class DescriptorPool final : public impl::Pool {
 public:
  explicit DescriptorPool(int descriptor) : impl::Pool("p", false), descriptor_(descriptor) {}
  FileIdentity place() const override { return {}; }
  const pmem::Medium& medium() const override { return pmem::kStandIn; }
  Result<PoolFacts> Facts() override { return PoolFacts(); }
  uint32_t granularity_bytes(Contract) const override { return 1; }
  Status Supports(Contract, bool) const override { return Code::kOk; }
  Result<CatalogRecord> Find(const std::string&) override { return Code::kNotFound; }
  Result<std::vector<CatalogRecord>> List() override { return std::vector<CatalogRecord>(); }
  Result<std::unique_ptr<Backing>> Create(const CatalogRecord&, const Formatter&,
                                          const image::Progress&) override {
    return Code::kUnsupported;
  }
  Result<std::unique_ptr<Backing>> Open(const std::string&, bool, const image::Progress&) override {
    return Code::kNotFound;
  }
  Status Remove(const std::string&) override { return Code::kNotFound; }
  Status Rename(const std::string&, const std::string&) override { return Code::kNotFound; }
  Status CheckNotWritten(const std::string&) override { return Code::kOk; }
  Status CheckNotAnothers(const CatalogRecord&) override { return Code::kOk; }
  Status Export(const std::string&, const os::Directory&, const std::string&,
                const ExportRequest&) override {
    return Code::kUnsupported;
  }
  Status Import(const std::string&, const image::ImageFile&, bool) override {
    return Code::kUnsupported;
  }
  Result<std::unique_ptr<MorselBytes>> BytesOf(const std::string&, bool) override {
    return Code::kNotFound;
  }
  Status MakeWhole(const MakingWhole&) override { return Code::kUnsupported; }
  void CloseAfterFork() override { close(descriptor_); }
  Status Check(const std::function<void(const Finding&)>&) override { return Code::kOk; }

 private:
  int descriptor_;
};

TEST(Process, AForkedChildHasNeitherRangesNorDescriptors) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  DescriptorPool pool(ends[1]);
  RememberPool(&pool);
  RememberRange(kBase, kGiB, Morsel(1));
  const uint32_t before = ForkCount();
  const pid_t child = fork();
  if (child == 0) {
    const bool gone =
        ForkCount() != before && MorselAt(At(kBase)) == nullptr && write(ends[1], "x", 1) == -1;
    _exit(gone ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(ForkCount(), before);
  EXPECT_EQ(MorselAt(At(kBase)), Morsel(1));
  ForgetRange(kBase, kGiB);
  ForgetPool(&pool);
  close(ends[0]);
  close(ends[1]);
}

// What is looked at forever.
class Unchanging final : public os::HugeWatched {
 public:
  Unchanging() {
    os::HugeThread::OfProcess().Add(*this);
    os::HugeThread::OfProcess().Wake(*this, os::HugeThread::kBytesMin);
    os::HugeThread::OfProcess().Begin();
  }
  bool Look() override { return false; }
};
uint64_t Threads() {
  return static_cast<uint64_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

TEST(Process, AForkedChildHasNoThreadThatLooksUntilItNeedsOne) {
  (void)KeepFromForking();
  const uint64_t before = Threads();
  const os::Frames frames = *os::Frames::Open(false);
  std::optional<os::HugeWatch> watch(std::in_place, frames);
  Unchanging watched;
  EXPECT_EQ(Threads(), before + 1);
  const pid_t child = fork();
  if (child == 0) {
    watch.reset();  // is not the child's
    Unchanging of_child;
    const bool has_one = Threads() == 2;
    os::HugeThread::OfProcess().Remove(of_child);
    _exit(has_one && Threads() == 1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(Threads(), before + 1);
  os::HugeThread::OfProcess().Remove(watched);
  EXPECT_EQ(Threads(), before + 1) << "there is another one to be looked at";
  watch.reset();
  EXPECT_EQ(Threads(), before);
}

}  // namespace
}  // namespace morsel
