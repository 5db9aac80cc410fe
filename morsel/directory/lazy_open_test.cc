// Morsels that are mapped and not loaded: what readers see, whatever writers do later.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "image/codecs/codecs.h"
#include "morsel/directory/directory_pool_testing.h"
#include "morsel/directory/lazy_reader_testing.h"
#include "os/file/file_lock.h"
#include "os/file/files_of_this_process.h"
#include "os/memory/mappings.h"
#include "os/testing/scripted_calls_testing.h"
#include "os/testing/seed_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPagesPerSubtree = kSubtreeBytes / kPageBytes;

class LazyOpenTest : public DirectoryPoolFixture {
 protected:
  LazyOpenTest() : DirectoryPoolFixture(os::Scratch::OnDisk) {}
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);  // of a reader that has failed
    ASSERT_EQ(setenv("MORSEL_LOG", "always", 1), 0);
    OpenPool({.create = true}, os::KernelCalls());
  }
  void TearDown() override { unsetenv("MORSEL_LOG"); }

  // Makes the morsel "a", of which some subtrees are in use, and closes it.
  void Make(image::Codec codec = image::Codec::kNone, uint64_t subtrees = 8) {
    CatalogRecord wanted = Wanted("a", subtrees * kSubtreeBytes);
    wanted.codec = codec;
    std::unique_ptr<Backing> writer = Create(wanted);
    for (const uint64_t subtree : {0, 1, 2, 4, 6}) Fill(*writer, subtree);
    // Compressible, in part.
    std::memset(AddressOf(*writer, 5 * kPagesPerSubtree), 'c', kSubtreeBytes);
    Checkpoint(*writer);
  }
  static char* AddressOf(const Backing& backing, uint64_t page) {
    return reinterpret_cast<char*>(backing.record().base) + page * kPageBytes;
  }
  void Fill(const Backing& writer, uint64_t subtree) {
    auto* const words = reinterpret_cast<uint64_t*>(AddressOf(writer, subtree * kPagesPerSubtree));
    for (uint64_t i = 0; i < kSubtreeBytes / sizeof *words; ++i) words[i] = random_();
  }
  void ChangePages(const Backing& writer, uint64_t count) {
    const uint64_t pages = writer.record().size_bytes / kPageBytes;
    for (uint64_t i = 0; i < count; ++i) *AddressOf(writer, random_() % pages) += 1;
  }
  // Keeps the sum of the state.
  void Checkpoint(Backing& writer) {
    ASSERT_TRUE(writer.Checkpoint(0).ok()) << LastError();
    sums_.push_back(SumOf(writer));
  }
  bool WasState(uint64_t sum) const {
    return std::find(sums_.begin(), sums_.end(), sum) != sums_.end();
  }
  uint64_t FileBytes() const { return fs::file_size(path_ + "/a"); }
  // What anybody tells to have mapped.
  std::vector<os::ByteSpan> Mapped() const {
    const auto file = os::File::Open(os::KernelCalls(), AT_FDCWD, path_ + "/a", O_RDONLY, 0, "a");
    return os::MappedByOthers(*file, FileBytes());
  }
  void OneOfManySteps(std::unique_ptr<Backing>& writer);

  std::mt19937_64 random_{FreshSeed()};
  std::vector<uint64_t> sums_;
};

TEST_F(LazyOpenTest, WhatIsRawIsMappedAndAllIsAsStored) {
  Make();
  const Reader reader(path_);
  EXPECT_EQ(reader.first().sum, sums_.back());
  EXPECT_EQ(reader.first().mapped_bytes, 6 * kSubtreeBytes);
  EXPECT_FALSE(Mapped().empty());
}

TEST_F(LazyOpenTest, WhatIsCompressedIsLoaded) {
  for (const image::CodecRow& codec : image::AllCodecs()) {
    if (codec.id == image::Codec::kNone) continue;
    SCOPED_TRACE(codec.name);
    ASSERT_NO_FATAL_FAILURE(Make(codec.id));
    {
      Reader reader(path_);
      EXPECT_EQ(reader.first().sum, sums_.back());
      EXPECT_EQ(reader.first().mapped_bytes, 5 * kSubtreeBytes);
      std::unique_ptr<Backing> writer = OpenMorsel("a");
      *AddressOf(*writer, 5 * kPagesPerSubtree + 7) += 1;
      Checkpoint(*writer);
      ASSERT_TRUE(writer->Settle().ok()) << LastError();
      EXPECT_EQ(reader.Again().sum, reader.first().sum);
    }
    const Reader after(path_);
    EXPECT_EQ(after.first().sum, sums_.back());
    EXPECT_GE(after.first().mapped_bytes, 5 * kSubtreeBytes);
    ASSERT_TRUE(pool_->Remove("a").ok()) << LastError();
  }
}

// A morsel that is not in use has nothing to map.
TEST_F(LazyOpenTest, AnImageWithoutRawLeavesIsLoaded) {
  CatalogRecord wanted = Wanted("a");
  wanted.codec = image::AllCodecs()[1].id;
  sums_.push_back(SumOf(*Create(wanted)));
  const Reader reader(path_);
  EXPECT_EQ(reader.first().sum, sums_.back());
  EXPECT_EQ(reader.first().mapped_bytes, 0U);
}

TEST_F(LazyOpenTest, PagesOfTheLogAreThoseOfTheLog) {
  Make();
  {
    const std::unique_ptr<Backing> writer = OpenMorsel("a");
    for (int commit = 0; commit < 5; ++commit) {
      ChangePages(*writer, 20);
      Checkpoint(*writer);
    }
  }
  auto file = os::File::Open(os::KernelCalls(), AT_FDCWD, path_ + "/a", O_RDONLY, 0, "a");
  const auto image = image::ImageFile::Open(std::move(*file), /*read_only=*/true);
  EXPECT_FALSE(image->unsettled().empty());
  const Reader reader(path_);
  EXPECT_EQ(reader.first().sum, sums_.back());
  EXPECT_GE(reader.first().mapped_bytes, 6 * kSubtreeBytes);
}

// A settle was cut off: what the log has lies torn in its places.
TEST_F(LazyOpenTest, WhatASettleHasTornIsReadFromTheLog) {
  Make();
  {
    const std::unique_ptr<Backing> writer = OpenMorsel("a");
    ChangePages(*writer, 40);
    Checkpoint(*writer);
  }
  auto file = os::File::Open(os::KernelCalls(), AT_FDCWD, path_ + "/a", O_RDWR, 0, "a");
  const auto image = image::ImageFile::Open(std::move(*file), /*read_only=*/true);
  const std::string torn(kPageBytes, '!');
  uint64_t count = 0;
  for (const auto& [page, place] : image->unsettled()) {
    const image::Entry leaf = image->tree().leaf(SubtreePosition(page / kPagesPerSubtree));
    if (!image::IsPresent(leaf)) continue;
    const uint64_t offset = leaf.offset + page % kPagesPerSubtree * kPageBytes;
    ASSERT_TRUE(image->file().WriteAll(torn.data(), torn.size(), offset).ok()) << LastError();
    ++count;
  }
  ASSERT_GT(count, 10U);
  const Reader reader(path_);
  EXPECT_EQ(reader.first().sum, sums_.back());
  EXPECT_GT(reader.first().mapped_bytes, 0U);
}

// Makes mappings until a morsel may map so many runs only: every other page of one is readable.
void TakeMappingsBut(size_t runs) {
  constexpr uint64_t kPages = 1 << 20;
  char* const memory = static_cast<char*>(mmap(nullptr, kPages * kPageBytes, PROT_NONE,
                                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  for (uint64_t page = 0; page < kPages;) {
    const size_t left = os::MappingsLeft() / 8;
    if (left <= runs) return;
    // Each takes two mappings, and a run eight.
    for (uint64_t end = page + 2 * std::max<uint64_t>(1, 3 * (left - runs)); page < end;
         page += 2) {
      if (mprotect(memory + page * kPageBytes, kPageBytes, PROT_READ) != 0) _exit(1);
    }
  }
}

TEST_F(LazyOpenTest, WhereMappingsAreFewTheRestIsLoaded) {
  {
    const std::unique_ptr<Backing> writer = Create(Wanted("a", 16 * kSubtreeBytes));
    for (uint64_t subtree = 0; subtree < 16; subtree += 2) Fill(*writer, subtree);
    Checkpoint(*writer);
  }
  const Reader many(path_);
  EXPECT_EQ(many.first().mapped_bytes, 8 * kSubtreeBytes);
  const Reader few(path_, [](os::ScriptedCalls&) { TakeMappingsBut(4); });
  EXPECT_EQ(few.first().sum, sums_.back());
  EXPECT_GT(few.first().mapped_bytes, 0U);
  EXPECT_LE(few.first().mapped_bytes, 4 * kSubtreeBytes);
}

// Who writes it may write what a mapping would show.
TEST_F(LazyOpenTest, BesideAWriterItIsLoaded) {
  Make();
  const std::unique_ptr<Backing> writer = OpenMorsel("a");
  Reader reader(path_);
  EXPECT_EQ(reader.first().sum, sums_.back());
  EXPECT_EQ(reader.first().mapped_bytes, 0U);
  EXPECT_TRUE(Mapped().empty());
  ChangePages(*writer, 20);
  Checkpoint(*writer);
  ASSERT_TRUE(writer->Settle().ok()) << LastError();
  EXPECT_EQ(reader.Again().sum, reader.first().sum);
}

// One thing that a writer does, or one that it ends with.
void LazyOpenTest::OneOfManySteps(std::unique_ptr<Backing>& writer) {
  if (writer == nullptr) writer = OpenMorsel("a");
  ASSERT_NE(writer, nullptr);
  const uint64_t subtrees = writer->record().size_bytes / kSubtreeBytes;
  const uint64_t step = random_() % 8;
  if (step < 2) ChangePages(*writer, 1 + random_() % 30);
  if (step == 2) ChangePages(*writer, 1000);
  if (step == 3) Fill(*writer, random_() % subtrees);
  if (step == 4) {
    ASSERT_TRUE(writer->Resize((2 + random_() % 12) * kSubtreeBytes).ok()) << LastError();
  }
  if (step == 5) std::memset(AddressOf(*writer, kPagesPerSubtree), 0, kSubtreeBytes);
  ASSERT_NO_FATAL_FAILURE(Checkpoint(*writer));
  if (step != 6) return;
  ASSERT_TRUE(random_() % 2 == 0 || writer->Settle().ok()) << LastError();
  writer.reset();
}

// Each of the readers came when nobody was writing.
TEST_F(LazyOpenTest, WhatAReaderHasMappedNoWriterChanges) {
  Make();
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    std::vector<std::unique_ptr<Reader>> readers;
    std::unique_ptr<Backing> writer;
    for (int step = 0; step < 20; ++step) {
      if (writer == nullptr && readers.size() < 3) {
        readers.push_back(std::make_unique<Reader>(path_));
        ASSERT_EQ(readers.back()->first().sum, sums_.back()) << "step " << step;
        ASSERT_GT(readers.back()->first().mapped_bytes, 0U);
      }
      ASSERT_NO_FATAL_FAILURE(OneOfManySteps(writer));
      for (const auto& reader : readers) {
        ASSERT_EQ(reader->Again().sum, reader->first().sum) << "step " << step;
      }
      if (!readers.empty() && random_() % 16 == 0) readers.erase(readers.begin());
    }
  }
  const Reader last(path_);
  EXPECT_EQ(last.first().sum, sums_.back());
}

// What a reader keeps is free again when it has gone, also for a writer that came before.
TEST_F(LazyOpenTest, WhatAReaderHasKeptIsUsedAgain) {
  Make();
  const uint64_t before = FileBytes();
  auto reader = std::make_unique<Reader>(path_);
  std::unique_ptr<Backing> writer = OpenMorsel("a");
  const auto settle = [&] {
    ChangePages(*writer, 100);
    Checkpoint(*writer);
    ChangePages(*writer, 1000);  // too many for a log
    Checkpoint(*writer);
  };
  settle();
  EXPECT_EQ(reader->Again().sum, reader->first().sum);
  const uint64_t with_reader = FileBytes();
  EXPECT_GE(with_reader, before + 5 * kSubtreeBytes);
  for (int times = 0; times < 5; ++times) settle();
  EXPECT_LE(FileBytes(), with_reader + 2 * kSubtreeBytes) << "each leaf moves once";
  reader.reset();
  for (const uint64_t subtree : {0, 1, 2, 4, 6}) Fill(*writer, subtree);
  Checkpoint(*writer);
  EXPECT_LE(FileBytes(), with_reader + 2 * kSubtreeBytes) << "the old places serve again";
  writer.reset();
  const Reader last(path_);
  EXPECT_EQ(last.first().sum, sums_.back());
}

// It writes at once and goes, or stays, or writes only when the reader has opened the morsel.
enum class Comes { kAndGoes, kAndStays, kAndWaits };

TEST_F(LazyOpenTest, AWriterThatComesMeanwhileIsSeenOrSees) {
  Make();
  for (const Comes comes : {Comes::kAndGoes, Comes::kAndStays, Comes::kAndWaits}) {
    bool was_made = true;
    int mapped = 0;
    for (int64_t call = 0; was_made; ++call) {
      SCOPED_TRACE(std::to_string(call) + ", " + std::to_string(static_cast<int>(comes)));
      {
        const std::unique_ptr<Backing> writer = OpenMorsel("a");
        ChangePages(*writer, 10);
        Checkpoint(*writer);
      }
      std::unique_ptr<Backing> writer;
      const auto write = [&] {
        ChangePages(*writer, 10);
        Checkpoint(*writer);
        ASSERT_TRUE(writer->Settle().ok()) << LastError();
        ChangePages(*writer, 10);
        Checkpoint(*writer);
      };
      Interrupted opened(path_, call, [&] {
        writer = OpenMorsel("a");
        if (comes != Comes::kAndWaits) write();
        if (comes == Comes::kAndGoes) writer.reset();
      });
      was_made = opened.was_made();
      const Found first = opened.reader().first();
      ASSERT_TRUE(WasState(first.sum));
      mapped += first.mapped_bytes > 0 ? 1 : 0;
      if (writer == nullptr) writer = OpenMorsel("a");
      write();
      ASSERT_TRUE(writer->Settle().ok()) << LastError();
      ASSERT_EQ(opened.reader().Again().sum, first.sum);
    }
    EXPECT_GT(mapped, 0);
  }
}

// The mapping has the file's description, and with it the locks.
TEST_F(LazyOpenTest, AReaderThatClosesAllDescriptorsKeepsWhatItHas) {
  Make();
  Reader reader(path_, {}, [&] {
    const std::string file = fs::canonical(path_ + "/a");
    for (int number = 3; number < 100; ++number) {
      std::error_code error;
      if (fs::read_symlink("/proc/self/fd/" + std::to_string(number), error) == file) {
        close(number);
      }
    }
  });
  EXPECT_GT(reader.first().mapped_bytes, 0U);
  EXPECT_FALSE(Mapped().empty());
  const std::unique_ptr<Backing> writer = OpenMorsel("a");
  ChangePages(*writer, 100);
  Checkpoint(*writer);
  ASSERT_TRUE(writer->Settle().ok()) << LastError();
  EXPECT_EQ(reader.Again().sum, reader.first().sum);
}

// A child has neither the memory nor the locks.
TEST_F(LazyOpenTest, WhatAReaderHasForkedKeepsNothing) {
  Make();
  int end[2];
  ASSERT_EQ(pipe2(end, O_CLOEXEC), 0);
  {
    const Reader reader(path_, {}, [&] {
      os::FilesBeforeFork();
      const pid_t child = fork();
      os::FilesAfterFork(child == 0);
      if (child != 0) return;
      close(end[1]);
      char byte = 0;
      (void)!read(end[0], &byte, 1);
      _exit(0);
    });
    EXPECT_FALSE(Mapped().empty());
  }
  EXPECT_TRUE(Mapped().empty());
  close(end[0]);
  close(end[1]);
}

TEST_F(LazyOpenTest, ARemovedMorselStaysWithItsReader) {
  Make();
  Reader reader(path_);
  ASSERT_TRUE(pool_->Remove("a").ok()) << LastError();
  EXPECT_EQ(reader.Again().sum, reader.first().sum);
}

}  // namespace
}  // namespace morsel
