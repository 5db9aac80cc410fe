// morselctl export, import, verify and salvage, and info of an image.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/cli/tool_testing.h"

namespace morsel::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class TransferTest : public ToolTest {
 protected:
  void SetUp() override {
    ToolTest::SetUp();
    other_ = folder_ + "/other";
    image_ = folder_ + "/m.image";
  }

  std::string other_;
  std::string image_;
};

TEST_F(TransferTest, ASnapshotMorselMovesToAnotherDirectoryPool) {
  Succeeds({"create", pool_});
  Succeeds({"create", other_});
  const json m = RunJson({"create", pool_, "m", "--size", "4M", "--mode", "0640"});
  EXPECT_EQ(RunJson({"export", pool_, "m", image_}),
            json({{"pool", pool_}, {"name", "m"}, {"file", image_}}));
  const json imported = RunJson({"import", other_, image_, "--as", "m"});
  EXPECT_EQ(imported, m);
  EXPECT_EQ(RunJson({"info", other_, "m"}), m);
  EXPECT_EQ(RunJson({"check", other_})["clean"], true);
  // Without --as the morsel gets the name that it had, or, where the image says none, the file's.
  Succeeds({"rm", other_, "m", "--yes"});
  EXPECT_EQ(RunJson({"import", other_, image_})["name"], "m");
  Succeeds({"rm", other_, "m", "--yes"});
  fs::copy_file(pool_ + "/m", folder_ + "/file");
  EXPECT_EQ(RunJson({"import", other_, folder_ + "/file"})["name"], "file");
  Fails({"export", pool_, "m", image_}, 14, {image_, "exists", "remove it"});
  Fails({"export", pool_, "m", "/dev/full"}, 14, {"a device", "choose another name"});
  Fails({"export", pool_, "m", folder_}, 14, {"a directory", "choose another name"});
  Fails({"export", pool_, "n", image_ + "2"}, 13, {"'n'"});
  Fails({"export", pool_, "m", image_ + "2", "--salvage"}, 21, {"morselctl salvage"});
  Fails({"import", other_, image_, "--as", "file"}, 14, {"'file'", "already", "--replace"});
  Fails({"import", other_, image_, "--as", "n"}, 16, {"'file'", m["base"], "--rebase"});
  Fails({"import", other_, image_, "--as", ""}, 2, {"cannot name a morsel"});
  Fails({"import", other_, image_ + "2"}, 13, {image_ + "2"});
}

// The library removes what has such a name, and a pool would take one for its own.
TEST_F(TransferTest, NoFileGetsANameOfTheLibrarysOwnFiles) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "m"});
  Succeeds({"export", pool_, "m", image_});
  for (const std::string name : {".morsel-tmp-0123456789abcdef0123456789abcdef", ".morsel-lock"}) {
    const std::string path = folder_ + "/" + name;
    Fails({"export", pool_, "m", path}, 2, {path, "the library's own", "another name"});
    Fails({"export", pool_, "m", path, "--codec", "lz4"}, 2, {path, "the library's own"});
    Fails({"salvage", image_, "--to", path}, 2, {path, "the library's own", "another name"});
    Fails({"create", path, "--carved", "--size", "8M"}, 2, {path, "the library's own"});
    EXPECT_FALSE(fs::exists(path));
  }
}

// As names of morsels are.
TEST_F(TransferTest, PathsThatDifferInBytesAreWrittenDifferently) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "m"});
  std::set<std::string> written;
  for (const std::string end : {"\xfe", "\xff", "\\xff", "\x1b"}) {
    const json report = RunJson({"export", pool_, "m", image_ + end});
    written.insert(report["file"].get<std::string>());
    EXPECT_TRUE(fs::exists(image_ + end));
  }
  EXPECT_EQ(written.size(), 4u);
}

TEST_F(TransferTest, ExportUsesTheCodecAskedForElseTheMorselsOwn) {
  Succeeds({"create", pool_});
  Succeeds({"create", other_});
  json m = RunJson({"create", pool_, "m", "--codec", "zstd"});
  Succeeds({"export", pool_, "m", image_ + ".own"});
  EXPECT_EQ(RunJson({"verify", image_ + ".own"})["morsel"]["codec"], "zstd");
  Succeeds({"export", pool_, "m", image_, "--codec", "lz4"});
  EXPECT_EQ(RunJson({"verify", image_})["clean"], true);
  m["codec"] = "lz4";
  EXPECT_EQ(RunJson({"import", other_, image_, "--as", "m"}), m);
  EXPECT_EQ(RunJson({"info", pool_, "m"})["codec"], "zstd");
  Fails({"export", pool_, "m", image_ + "2", "--codec", "rar"}, 2, {"'rar' is no codec"});
  EXPECT_FALSE(fs::exists(image_ + "2"));
}

TEST_F(TransferTest, AFineMorselMovesToAnotherCarvedPool) {
  Succeeds({"create", carved_, "--carved", "--size", "32M"});
  Succeeds({"create", other_, "--carved", "--size", "16M"});
  const json m = RunJson({"create", carved_, "m", "--fine", "--size", "4M"});
  Succeeds({"export", carved_, "m", image_});
  EXPECT_EQ(RunJson({"export", carved_, "m", image_ + "2", "--salvage"})["findings"],
            json::array());
  const json imported = RunJson({"import", other_, image_, "--as", "m"});
  for (const char* const what : {"id", "base", "size_bytes", "capacity_bytes", "contract"}) {
    EXPECT_EQ(imported[what], m[what]) << what;
  }
  EXPECT_EQ(RunJson({"check", other_})["clean"], true);
  Succeeds({"create", pool_});
  setenv("PMEM2_FORCE_GRANULARITY", "PAGE", 1);  // as on a disk
  Fails({"import", pool_, image_}, 21, {pool_, "not DAX"});
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  EXPECT_EQ(RunJson({"import", pool_, image_, "--as", "m"})["base"], m["base"]);
}

TEST_F(TransferTest, RebaseGivesAMorselAnotherAddressAndCapacity) {
  Succeeds({"create", pool_});
  const json m = RunJson({"create", pool_, "m", "--capacity", "1G"});
  const auto before = AllBytes(pool_);
  const json dry = RunJson({"rebase", pool_, "m", "--dry-run"});
  EXPECT_EQ(dry["base_before"], m["base"]);
  EXPECT_EQ(dry["base"], "");
  EXPECT_EQ(dry["dry_run"], true);
  EXPECT_EQ(AllBytes(pool_), before);
  const json moved = RunJson({"rebase", pool_, "m", "--capacity", "3G"});
  EXPECT_EQ(moved["base_before"], m["base"]);
  EXPECT_EQ(moved["words"], 0);
  EXPECT_EQ(moved["doubtful"], json::array());
  const json now = RunJson({"info", pool_, "m"});
  EXPECT_EQ(now["base"], moved["base"]);
  EXPECT_NE(now["base"], m["base"]);
  EXPECT_EQ(now["id"], m["id"]);
  EXPECT_EQ(now["capacity_bytes"], uint64_t{3} << 30);
  const std::string text = Run({"rebase", pool_, "m", "--to", m["base"].get<std::string>()}).out;
  EXPECT_NE(text.find("is at " + m["base"].get<std::string>() + " now, before"), std::string::npos)
      << text;
  Fails({"rebase", pool_, "m", "--to", "here"}, 2, {"'here'", "hexadecimal"});
  Fails({"rebase", pool_, "m", "--to", "0x1000"}, 2, {"0x1000", "1 GiB"});
  // The kernel maps nothing at the last page of the addresses.
  const std::vector<std::string> to_the_end = {"rebase",         pool_,        "m", "--to",
                                               "0x7fffffc00000", "--capacity", "2M"};
  Fails(to_the_end, 2, {"0x7fffffc00000", "behind the addresses"});
  Fails({"rebase", pool_, "n"}, 13, {"'n'"});
  EXPECT_EQ(RunJson({"check", pool_})["clean"], true);
}

TEST_F(TransferTest, CopiesAndImportsGetAnAddressOfTheirOwn) {
  Succeeds({"create", pool_});
  const json m = RunJson({"create", pool_, "m", "--capacity", "1G"});
  const json copy = RunJson({"copy", pool_, "m", "copy"});
  EXPECT_EQ(copy["name"], "copy");
  EXPECT_NE(copy["base"], m["base"]);
  EXPECT_NE(copy["id"], m["id"]);
  Fails({"copy", pool_, "m", "copy"}, 14, {"copy' exists already"});
  Succeeds({"export", pool_, "m", image_});
  const json again = RunJson({"import", pool_, image_, "--as", "again", "--rebase"});
  EXPECT_NE(again["base"], m["base"]);
  EXPECT_EQ(RunJson({"import", pool_, image_, "--replace"})["base"], m["base"]);
  EXPECT_EQ(
      RunJson({"import", pool_, image_, "--as", "third", "--capacity", "2G"})["capacity_bytes"],
      uint64_t{2} << 30);
  EXPECT_EQ(RunJson({"list", pool_})["morsels"].size(), 4u);
  Succeeds({"remove", pool_, "copy", "again", "third", "--yes"});
  EXPECT_EQ(RunJson({"ls", pool_})["morsels"], json::array({m}));
  EXPECT_EQ(Run({"help", "list"}).out, Run({"ls", "--help"}).out);
}

TEST_F(TransferTest, InfoDescribesAnImage) {
  Succeeds({"create", pool_});
  json m = RunJson({"create", pool_, "m", "--size", "4M", "--capacity", "1G", "--codec", "lz4"});
  Succeeds({"export", pool_, "m", image_});
  const json info = RunJson({"info", image_});
  EXPECT_EQ(info["file"], image_);
  EXPECT_EQ(info["file_bytes"], fs::file_size(image_));
  EXPECT_LE(info["allocated_bytes"], info["file_bytes"]);
  m.erase("granularity_bytes");
  m["name"] = image_;
  EXPECT_EQ(info["morsel"], m);
  const std::string text = Run({"info", image_}).out;
  for (const std::string& line :
       {"image:       " + image_, std::string("capacity:    1 GiB (1073741824 bytes)"),
        std::string("codec:       lz4"), std::string("import POOL FILE")}) {
    EXPECT_NE(text.find(line), std::string::npos) << text;
  }
  // Commands that need a pool say that this is an image.
  for (const char* const command : {"ls", "check"}) {
    Fails({command, image_}, 2, {image_, "the image of a morsel", "morselctl import"});
  }
  Fails({"info", image_, "m"}, 2, {"the image of a morsel"});
  Fails({"resize", image_, "m", "4M"}, 2, {"the image of a morsel"});
}

TEST_F(TransferTest, VerifyNamesWhatIsDamaged) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "m", "--capacity", "1G"});
  Succeeds({"export", pool_, "m", image_});
  const json clean = RunJson({"verify", image_});
  EXPECT_EQ(clean["clean"], true);
  EXPECT_EQ(clean["morsel"]["id"], RunJson({"info", pool_, "m"})["id"]);
  EXPECT_NE(Run({"verify", image_}).out.find("clean: "), std::string::npos);
  EXPECT_EQ(RunJson({"verify", pool_ + "/m"})["clean"], true);
  {
    std::fstream file(image_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(fs::file_size(image_) / 2));  // in the only leaf
    file.put('x');
  }
  const Ran found = Run({"verify", image_});
  EXPECT_EQ(found.exit_code, 1);
  EXPECT_EQ(found.error, "");
  EXPECT_NE(found.out.find("subtree 0 (0x"), std::string::npos) << found.out;
  const Ran as_json = Run({"verify", image_, "--json"});
  EXPECT_EQ(as_json.exit_code, 1);
  EXPECT_EQ(json::parse(as_json.out)["findings"].size(), 1u);
  fs::resize_file(image_, 10'000);
  EXPECT_EQ(Run({"verify", image_}).exit_code, 1);
  EXPECT_NE(Run({"verify", image_}).out.find("truncated"), std::string::npos);
  fs::resize_file(image_, 0);
  Fails({"verify", image_}, 2, {"'" + image_ + "' does not begin as the image"});
  Fails({"verify", image_ + "2"}, 13, {image_ + "2"});
  Fails({"verify", pool_}, 2, {"not a regular file"});
}

TEST_F(TransferTest, SalvageWritesAnImageOfWhatIsIntact) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "m", "--capacity", "1G"});
  Succeeds({"export", pool_, "m", image_});
  EXPECT_EQ(RunJson({"salvage", image_})["clean"], true);
  {
    std::fstream file(image_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(fs::file_size(image_) / 2));
    file.put('x');
  }
  const auto before = AllBytes(image_);
  const Ran found = Run({"salvage", image_, "--to", image_ + "2", "--json"});
  EXPECT_EQ(found.exit_code, 1);
  const json report = json::parse(found.out);
  EXPECT_EQ(report["findings"].size(), 1u);
  EXPECT_EQ(report["intact_bytes"], 0) << "there is one subtree";
  EXPECT_EQ(report["to"], image_ + "2");
  EXPECT_TRUE(AllBytes(image_) == before);
  EXPECT_EQ(RunJson({"verify", image_ + "2"})["clean"], true);
  Fails({"salvage", image_, "--to", image_ + "2"}, 14, {"exists"});
  fs::resize_file(image_, 0);
  Fails({"salvage", image_}, 2, {"does not begin as the image"});
}

TEST_F(TransferTest, HelpNamesTheCommandsOfImages) {
  for (const std::string command : {"export", "import", "verify", "salvage"}) {
    const Ran help = Run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_NE(help.out.find("FILE"), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("--json"), std::string::npos) << help.out;
    EXPECT_NE(Run({"--help"}).out.find("  " + command + " "), std::string::npos);
  }
}

}  // namespace
}  // namespace morsel::cli
