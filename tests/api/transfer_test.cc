// Morsels that are exported from one pool to a file and imported into another, with the same
// addresses and bytes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "image/codecs/codecs.h"
#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"
#include "os/testing/variable_testing.h"

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = uint64_t{1} << 20;

/// A list whose nodes know what they are.
struct Node {
  Node* next;
  uint64_t number;
  uint64_t padding[30];
};

class TransferTest : public testing::Test {
 protected:
  void SetUp() override { setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1); }

  morsel::Pool Open(const std::string& name, bool carved, uint32_t flags = MORSEL_CREATE) {
    const bool makes_it = carved && !fs::exists(scratch_.At(name));
    auto pool = morsel::Pool::open(scratch_.At(name),
                                   {.flags = flags | (makes_it ? uint32_t{MORSEL_CARVED} : 0),
                                    .size_bytes = makes_it ? 64 * kMiB : 0});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }
  static morsel::Morsel OpenMorsel(morsel::Pool& pool, const std::string& name, bool fine) {
    auto opened = morsel::Morsel::open(
        pool, name,
        {.flags = MORSEL_CREATE | (fine ? uint32_t{MORSEL_FINE} : 0), .capacity_bytes = 64 * kMiB});
    EXPECT_TRUE(opened) << morsel::last_error();
    return std::move(*opened);
  }
  // Links `count` more nodes before the first.
  static void Lengthen(morsel::Morsel& m, uint64_t count, bool fine) {
    Node* first = m.root<Node>("list");
    for (uint64_t i = 0; i < count; ++i) {
      Node* const node = m.make<Node>();
      ASSERT_NE(node, nullptr) << morsel::last_error();
      *node = {first, first == nullptr ? 1 : first->number + 1, {}};
      std::memset(node->padding, static_cast<int>(node->number), sizeof node->padding);
      ASSERT_TRUE(!fine || m.persist(node, sizeof *node).ok()) << morsel::last_error();
      ASSERT_TRUE(m.set_root("list", node).ok()) << morsel::last_error();
      first = node;
    }
  }
  // How many there are, all as they were made.
  static uint64_t LengthOf(morsel::Morsel& m) {
    const Node* node = m.root<Node>("list");
    const uint64_t length = node == nullptr ? 0 : node->number;
    for (uint64_t due = length; node != nullptr; node = node->next, --due) {
      EXPECT_EQ(node->number, due);
      EXPECT_EQ(node->padding[29] & 0xff, due & 0xff);
    }
    return length;
  }
  static std::string BytesOf(const morsel::Morsel& m) {
    return std::string(static_cast<const char*>(m.base()), m.size());
  }
  static std::string IdOf(const morsel::Morsel& m) {
    const auto info = m.stat();
    EXPECT_TRUE(info) << morsel::last_error();
    return std::string(reinterpret_cast<const char*>(info->id), sizeof info->id);
  }
  void ExpectNoTemporaries() const {
    for (const auto& entry : fs::recursive_directory_iterator(scratch_.path())) {
      EXPECT_NE(entry.path().filename().string().rfind(".morsel-tmp-", 0), 0u) << entry.path();
    }
  }
  static bool Says(const std::string& words) {
    return std::string(morsel::last_error()).find(words) != std::string::npos;
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  std::string file_ = scratch_.At("m.image");
};

// Under /dev/shm a directory stands in for one on a DAX file system, too.
enum class Kind { kSnapshot, kCarved, kFile };
std::string NameOf(Kind kind) {
  return kind == Kind::kSnapshot ? "Snapshot" : kind == Kind::kCarved ? "Carved" : "File";
}

class AllKinds : public TransferTest, public testing::WithParamInterface<Kind> {
 protected:
  static bool fine() { return GetParam() != Kind::kSnapshot; }
  static bool carved() { return GetParam() == Kind::kCarved; }
};
INSTANTIATE_TEST_SUITE_P(All, AllKinds,
                         testing::Values(Kind::kSnapshot, Kind::kCarved, Kind::kFile),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(AllKinds, ImportsInAnotherPoolUnchanged) {
  void* base = nullptr;
  std::string id;
  {
    morsel::Pool pool = Open("one", carved());
    {
      morsel::Morsel m = OpenMorsel(pool, "m", fine());
      Lengthen(m, 20'000, fine());  // several subtrees
      base = m.base();
      id = IdOf(m);
      EXPECT_GT(m.size(), 4 * kMiB);
    }
    ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
    EXPECT_TRUE(morsel::verify(file_).ok()) << morsel::last_error();
    EXPECT_EQ(pool.export_to("m", file_).code(), morsel::Code::kExists);
  }
  morsel::Pool other = Open("other", carved());
  ASSERT_TRUE(other.import_from(file_, "n").ok()) << morsel::last_error();
  fs::remove(file_);
  morsel::Morsel n = OpenMorsel(other, "n", fine());
  EXPECT_EQ(n.base(), base);
  EXPECT_EQ(IdOf(n), id);
  EXPECT_EQ(LengthOf(n), 20'000u);
  Lengthen(n, 1, fine());
  EXPECT_EQ(LengthOf(n), 20'001u);
  ExpectNoTemporaries();
}

// What grows goes on growing, and what was freed is used again.
TEST_P(AllKinds, GrowsAndReusesFreedBlocksAfterImport) {
  {
    morsel::Pool pool = Open("one", carved());
    morsel::Morsel m = OpenMorsel(pool, "m", fine());
    Lengthen(m, 100, fine());
    ASSERT_TRUE(m.close().ok());
    ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
    ASSERT_EQ(chmod(file_.c_str(), 04640), 0);
    ASSERT_TRUE(pool.remove("m").ok());
    // The same pool again.
    ASSERT_TRUE(pool.import_from(file_).ok()) << morsel::last_error();
    EXPECT_EQ(pool.import_from(file_).code(), morsel::Code::kExists);
  }
  morsel::Pool pool = Open("one", carved());
  morsel::Morsel m = OpenMorsel(pool, "m", fine());
  EXPECT_EQ(m.stat()->mode, 0640u);
  const uint64_t before = m.size();
  Lengthen(m, 20'000, fine());
  EXPECT_EQ(LengthOf(m), 20'100u);
  EXPECT_GT(m.size(), before);
}

TEST_P(AllKinds, ExportsWhileOpen) {
  {
    morsel::Pool pool = Open("one", carved());
    morsel::Morsel m = OpenMorsel(pool, "m", fine());
    Lengthen(m, 1000, fine());
    ASSERT_TRUE(m.checkpoint().ok());
    Lengthen(m, 1000, fine());
    ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
    Lengthen(m, 1000, fine());
    EXPECT_EQ(LengthOf(m), 3000u);
    // A snapshot's export is through a checkpoint.
    ASSERT_TRUE(m.discard().ok());
    morsel::Morsel again = OpenMorsel(pool, "m", fine());
    EXPECT_EQ(LengthOf(again), fine() ? 3000u : 2000u);
    // The range is in use in this process, which does not matter.
    morsel::Pool other = Open("other", carved());
    ASSERT_TRUE(other.import_from(file_).ok()) << morsel::last_error();
  }
  morsel::Pool other = Open("other", carved());
  morsel::Morsel n = OpenMorsel(other, "m", fine());
  EXPECT_EQ(LengthOf(n), 2000u);
  Lengthen(n, 1000, fine());
  EXPECT_EQ(LengthOf(n), 3000u);
}

TEST_P(AllKinds, ExportsFromAPoolOpenForReading) {
  {
    morsel::Pool pool = Open("one", carved());
    morsel::Morsel m = OpenMorsel(pool, "m", fine());
    Lengthen(m, 10, fine());
  }
  morsel::Pool reader = Open("one", carved(), MORSEL_READ_ONLY);
  ASSERT_TRUE(reader.export_to("m", file_).ok()) << morsel::last_error();
  {
    auto m = morsel::Morsel::open(reader, "m");
    ASSERT_TRUE(m) << morsel::last_error();
    ASSERT_TRUE(reader.export_to("m", file_ + "2").ok()) << morsel::last_error();
  }
  EXPECT_EQ(reader.import_from(file_).code(), morsel::Code::kPermission);
  morsel::Pool other = Open("other", carved());
  ASSERT_TRUE(other.import_from(file_ + "2", "m").ok()) << morsel::last_error();
  morsel::Morsel n = OpenMorsel(other, "m", fine());
  EXPECT_EQ(LengthOf(n), 10u);
}

// From each to each: what is exported, and what comes of it, is the same memory.
TEST_P(AllKinds, ConvertsAnyCodecToAnyOther) {
  constexpr uint64_t kNodes = 3000;
  constexpr uint32_t kCodecs = morsel::image::kCodecCount;
  for (uint32_t own = 0; own < (fine() ? 1 : kCodecs); ++own) {
    morsel::Pool pool = Open("one" + std::to_string(own), carved());
    std::string id;
    std::string bytes;
    {
      auto m = morsel::Morsel::open(pool, "m",
                                    {.flags = MORSEL_CREATE | (fine() ? uint32_t{MORSEL_FINE} : 0),
                                     .capacity_bytes = 64 * kMiB,
                                     .codec = own});
      ASSERT_TRUE(m) << morsel::last_error();
      Lengthen(*m, kNodes, fine());
      id = IdOf(*m);
      bytes = BytesOf(*m);
    }
    for (uint32_t codec = 0; codec < kCodecs; ++codec) {
      SCOPED_TRACE(std::to_string(own) + " to " + std::to_string(codec));
      ASSERT_TRUE(pool.export_to("m", file_, codec).ok()) << morsel::last_error();
      EXPECT_EQ(pool.export_to("m", file_, codec).code(), morsel::Code::kExists);
      EXPECT_TRUE(morsel::verify(file_).ok()) << morsel::last_error();
      morsel::Pool other = Open("other", carved());
      ASSERT_TRUE(other.import_from(file_, "n").ok()) << morsel::last_error();
      fs::remove(file_);
      {
        auto n = morsel::Morsel::open(other, "n", {.flags = MORSEL_READ_ONLY});
        ASSERT_TRUE(n) << morsel::last_error();
        EXPECT_EQ(n->stat()->codec, fine() ? uint32_t{MORSEL_CODEC_NONE} : codec);
        EXPECT_EQ(IdOf(*n), id);
        EXPECT_EQ(LengthOf(*n), kNodes);
        // Closing a fine one changes its heap's header.
        EXPECT_TRUE(fine() || BytesOf(*n) == bytes);
      }
      ASSERT_TRUE(other.remove("n").ok()) << morsel::last_error();
    }
  }
  ExpectNoTemporaries();
}

// What of the memory is no checkpoint yet becomes one.
TEST_P(AllKinds, ExportsByAnotherCodecWhileOpen) {
  {
    morsel::Pool pool = Open("one", carved());
    morsel::Morsel m = OpenMorsel(pool, "m", fine());
    Lengthen(m, 1000, fine());
    ASSERT_TRUE(pool.export_to("m", file_, MORSEL_CODEC_LZ4).ok()) << morsel::last_error();
    Lengthen(m, 1000, fine());
    ASSERT_TRUE(m.discard().ok());
    morsel::Morsel again = OpenMorsel(pool, "m", fine());
    EXPECT_EQ(LengthOf(again), fine() ? 2000u : 1000u);
  }
  morsel::Pool other = Open("other", carved());
  ASSERT_TRUE(other.import_from(file_, "n").ok()) << morsel::last_error();
  morsel::Morsel n = OpenMorsel(other, "n", fine());
  EXPECT_EQ(LengthOf(n), 1000u);
  Lengthen(n, 1000, fine());
  EXPECT_EQ(LengthOf(n), 2000u);
}

TEST_F(TransferTest, ExportByAnotherCodecOfADamagedMorselLeavesNothing) {
  const std::string damaged = scratch_.At("other/m");
  morsel::Pool other = Open("other", false);
  {
    morsel::Pool pool = Open("one", false);
    morsel::Morsel m = OpenMorsel(pool, "m", false);
    Lengthen(m, 100, false);
    ASSERT_TRUE(pool.export_to("m", damaged).ok()) << morsel::last_error();
  }
  {
    std::fstream file(damaged, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp((4 << 20) - 100);  // in the only leaf, in a page that nobody has changed since
    file.put('\x5a').put('\xa5');
  }
  EXPECT_EQ(other.export_to("m", file_, MORSEL_CODEC_ZSTD).code(), morsel::Code::kCorrupt);
  EXPECT_TRUE(Says("subtree")) << morsel::last_error();
  EXPECT_FALSE(fs::exists(file_));
  ExpectNoTemporaries();
}

// As it stands: what it lacks for order it is given where it is opened.
TEST_F(TransferTest, ExportsAFineMorselAfterAKillWhole) {
  const pid_t child = fork();
  if (child == 0) {
    morsel::Pool pool = Open("one", true);
    morsel::Morsel m = OpenMorsel(pool, "m", true);
    Lengthen(m, 5000, true);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  {
    morsel::Pool pool = Open("one", true, MORSEL_READ_ONLY);
    ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
  }
  morsel::Pool other = Open("other", true);
  ASSERT_TRUE(other.import_from(file_, "m").ok()) << morsel::last_error();
  morsel::Morsel n = OpenMorsel(other, "m", true);
  EXPECT_EQ(LengthOf(n), 5000u);
  Lengthen(n, 5000, true);
  EXPECT_EQ(LengthOf(n), 10'000u);
}

TEST_F(TransferTest, ImportFailsWhereThePoolCannotServeTheContract) {
  morsel::Pool directory = Open("directory", false);
  morsel::Pool carved = Open("carved", true);
  { morsel::Morsel m = OpenMorsel(directory, "m", false); }
  { morsel::Morsel m = OpenMorsel(carved, "m", true); }
  ASSERT_TRUE(directory.export_to("m", file_).ok()) << morsel::last_error();
  ASSERT_TRUE(carved.export_to("m", file_ + "2").ok()) << morsel::last_error();
  EXPECT_EQ(carved.import_from(file_).code(), morsel::Code::kUnsupported);
  EXPECT_TRUE(Says("carved")) << morsel::last_error();
  setenv("PMEM2_FORCE_GRANULARITY", "PAGE", 1);  // as on a disk
  EXPECT_EQ(directory.import_from(file_ + "2").code(), morsel::Code::kUnsupported);
  EXPECT_TRUE(Says("not DAX")) << morsel::last_error();
}

// It is no morsel there, and whole all the same.
TEST_F(TransferTest, ExportsAFineImageInADirectoryByAnotherCodec) {
  morsel::Pool carved = Open("carved", true);
  {
    morsel::Morsel m = OpenMorsel(carved, "m", true);
    Lengthen(m, 1000, true);
  }
  morsel::Pool directory = Open("directory", false);
  ASSERT_TRUE(carved.export_to("m", scratch_.At("directory/m")).ok()) << morsel::last_error();
  EXPECT_EQ(morsel::Morsel::open(directory, "m").error(), morsel::Code::kUnsupported);
  EXPECT_TRUE(Says("an image of a fine morsel")) << morsel::last_error();
  ASSERT_TRUE(directory.export_to("m", file_, MORSEL_CODEC_ZSTD).ok()) << morsel::last_error();
  EXPECT_LT(fs::file_size(file_), fs::file_size(scratch_.At("directory/m")));
  ASSERT_TRUE(carved.remove("m").ok()) << morsel::last_error();
  ASSERT_TRUE(carved.import_from(file_, "m").ok()) << morsel::last_error();
  morsel::Morsel m = OpenMorsel(carved, "m", true);
  EXPECT_EQ(LengthOf(m), 1000u);
}

TEST_F(TransferTest, MovesFineMorselsBetweenCarvedPoolsAndDirectories) {
  void* base = nullptr;
  {
    morsel::Pool carved = Open("carved", true);
    {
      morsel::Morsel m = OpenMorsel(carved, "m", true);
      Lengthen(m, 20'000, true);
      base = m.base();
    }
    ASSERT_TRUE(carved.export_to("m", file_).ok()) << morsel::last_error();
  }
  {
    morsel::Pool directory = Open("directory", false);
    ASSERT_TRUE(directory.import_from(file_, "n").ok()) << morsel::last_error();
    {
      morsel::Morsel n = OpenMorsel(directory, "n", true);
      EXPECT_EQ(n.base(), base);
      EXPECT_EQ(LengthOf(n), 20'000u);
      Lengthen(n, 1000, true);
    }
    ASSERT_TRUE(directory.export_to("n", file_ + "2").ok()) << morsel::last_error();
  }
  morsel::Pool other = Open("other", true);
  ASSERT_TRUE(other.import_from(file_ + "2", "o").ok()) << morsel::last_error();
  morsel::Morsel o = OpenMorsel(other, "o", true);
  EXPECT_EQ(o.base(), base);
  EXPECT_EQ(LengthOf(o), 21'000u);
  ExpectNoTemporaries();
}

TEST_P(AllKinds, ImportNamesTheMorselThatHasTheRange) {
  morsel::Pool pool = Open("one", carved());
  { morsel::Morsel m = OpenMorsel(pool, "holder", fine()); }
  ASSERT_TRUE(pool.export_to("holder", file_).ok()) << morsel::last_error();
  EXPECT_EQ(pool.import_from(file_, "n").code(), morsel::Code::kAddressTaken);
  EXPECT_TRUE(Says("morsel 'holder'") && Says("the same morsel")) << morsel::last_error();
  EXPECT_FALSE(morsel::Morsel::open(pool, "n"));
}

TEST_P(AllKinds, ImportOfADamagedImageLeavesNothing) {
  {
    morsel::Pool pool = Open("one", carved());
    morsel::Morsel m = OpenMorsel(pool, "m", fine());
    Lengthen(m, 20'000, fine());
    ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
  }
  const uint64_t size_bytes = fs::file_size(file_);
  {
    std::fstream file(file_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(size_bytes / 2));
    file.put('\x5a').put('\xa5');
  }
  morsel::Pool other = Open("other", carved());
  const auto refused = [&](const char* words, morsel::Code code = morsel::Code::kCorrupt) {
    EXPECT_EQ(other.import_from(file_, "n").code(), code);
    EXPECT_TRUE(Says(words)) << morsel::last_error();
    EXPECT_EQ(morsel::Morsel::open(other, "n").error(), morsel::Code::kNotFound);
    ExpectNoTemporaries();
  };
  refused("subtree");
  std::vector<std::string> damages;
  EXPECT_EQ(morsel::verify(file_, &damages).code(), morsel::Code::kCorrupt);
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_NE(damages[0].find("subtree"), std::string::npos) << damages[0];
  fs::resize_file(file_, size_bytes / 2);
  refused("truncated");
  fs::resize_file(file_, 0);
  refused("does not begin as the image", morsel::Code::kInvalidArgument);
  // All of the pool's space is there for another.
  morsel::Morsel n = OpenMorsel(other, "n", fine());
  Lengthen(n, 20'000, fine());
}

TEST_F(TransferTest, InvalidArgumentsFail) {
  morsel::Pool pool = Open("one", false);
  { morsel::Morsel m = OpenMorsel(pool, "m", false); }
  using morsel::Code;
  EXPECT_EQ(pool.export_to("n", file_).code(), Code::kNotFound);
  EXPECT_EQ(pool.export_to("m", scratch_.At("nowhere/f")).code(), Code::kNotFound);
  EXPECT_EQ(pool.export_to("m", scratch_.path() + "/").code(), Code::kInvalidArgument);
  EXPECT_EQ(pool.export_to("a/b", file_).code(), Code::kInvalidArgument);
  EXPECT_EQ(pool.import_from(file_).code(), Code::kNotFound);
  EXPECT_EQ(pool.import_from(scratch_.At("one"), "n").code(), Code::kInvalidArgument);
  EXPECT_EQ(pool.import_from("/dev/null", "n").code(), Code::kInvalidArgument);
  ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
  EXPECT_EQ(pool.import_from(file_, ".morsel-x").code(), Code::kInvalidArgument);
  EXPECT_EQ(morsel_export(nullptr, "m", "x"), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_export(pool.handle(), nullptr, "x"), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_export(pool.handle(), "m", nullptr), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_export_coded(nullptr, "m", "x", 0), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_export_coded(pool.handle(), nullptr, "x", 0), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_export_coded(pool.handle(), "m", nullptr, 0), MORSEL_INVALID_ARGUMENT);
  const auto unknown = static_cast<uint32_t>(morsel::image::kCodecCount);
  EXPECT_EQ(pool.export_to("m", file_ + "2", unknown).code(), Code::kInvalidArgument);
  EXPECT_TRUE(Says("codec " + std::to_string(unknown))) << morsel::last_error();
  EXPECT_EQ(morsel_import(pool.handle(), nullptr, "m"), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_verify(nullptr, nullptr, nullptr), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_verify(file_.c_str(), nullptr, nullptr), MORSEL_OK);
}

// Its range is what the pool's catalog would not believe.
TEST_F(TransferTest, ImportFailsInACarvedPoolOfAnotherWindow) {
  {
    morsel::Pool pool = Open("one", true);
    { morsel::Morsel m = OpenMorsel(pool, "m", true); }
    ASSERT_TRUE(pool.export_to("m", file_).ok()) << morsel::last_error();
  }
  const morsel::os::Variable window("MORSEL_WINDOW", "0x40000000-0x80000000");
  morsel::Pool other = Open("other", true);
  EXPECT_EQ(other.import_from(file_).code(), morsel::Code::kUnsupported);
  EXPECT_TRUE(Says("window")) << morsel::last_error();
}

}  // namespace
