// Damaged bytes on the medium. Calls name them and leave them unchanged.
#include <unistd.h>

#include <cstring>

#include "base/checksum.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

class DamageTest : public TroubleTest {
 protected:
  // Opens the pool for reading and for writing; both fail so, and nothing changes.
  void ExpectPoolFails(const std::string& path, morsel_code code,
                       const std::vector<std::string>& words) {
    const Bytes before = AllBytes(folder_);
    for (const uint32_t flags : {0u, unsigned{MORSEL_READ_ONLY}, unsigned{MORSEL_CREATE}}) {
      ExpectFailure(TryPool(path, flags), code, words);
    }
    EXPECT_TRUE(AllBytes(folder_) == before);
  }
  // The same of a morsel; all others still open.
  void ExpectMorselFails(const std::string& path, const std::string& name, morsel_code code,
                         const std::vector<std::string>& words) {
    const Bytes before = AllBytes(folder_);
    for (const uint32_t flags : {0u, unsigned{MORSEL_READ_ONLY}}) {
      morsel_pool_t* const pool = OpenPool(path, flags);
      ExpectFailure(Try(pool, name, flags), code, words);
      morsel_t* const other = Open(pool, "other", MORSEL_READ_ONLY);
      EXPECT_EQ(TextOf(other), "as it was");
      EXPECT_EQ(morsel_close(other), MORSEL_OK);
      EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
    }
    EXPECT_TRUE(AllBytes(folder_) == before);
  }
};

TEST_F(DamageTest, OpenNamesADamagedFileOfADirectoryPool) {
  Make(directory_, 0, {"a"});
  const std::string file = directory_ + "/.morsel-pool";
  const std::string whole = os::BytesOf(file);

  FlipBit(file, 70);
  ExpectPoolFails(directory_, MORSEL_CORRUPT, {"'" + file + "'", "checksum"});
  WriteFile(file, whole);
  Overwrite(file, 16, std::string("\x63\0\0\0", 4));
  ExpectPoolFails(directory_, MORSEL_VERSION, {"'" + file + "'", "version 99", "newer"});
  for (const size_t length : {size_t{0}, size_t{10}, whole.size() - 1}) {
    WriteFile(file, whole.substr(0, length));
    ExpectPoolFails(directory_, MORSEL_CORRUPT, {"'" + file + "'", "truncated"});
  }
  WriteFile(file, std::string(4096, 'x'));
  ExpectPoolFails(directory_, MORSEL_CORRUPT, {"'" + file + "'"});
  WriteFile(file, whole);
  morsel_pool_t* const pool = OpenPool(directory_);
  EXPECT_EQ(TextOf(Open(pool, "a")), "as it was");
}

TEST_F(DamageTest, OpenNamesADamagedImage) {
  Make(directory_, 0, {"a", "other"});
  const std::string file = directory_ + "/a";
  const std::string whole = os::BytesOf(file);

  FlipBit(file, whole.rfind("as it was"));
  ExpectMorselFails(directory_, "a", MORSEL_CORRUPT, {"'" + file + "'", "0x", "checksum", "copy"});
  WriteFile(file, whole);
  // Both copies of the root table, which a superblock names.
  for (const size_t field : {128, 136}) {
    uint64_t offset;
    std::memcpy(&offset, whole.data() + field, sizeof offset);
    FlipBit(file, offset);
  }
  ExpectMorselFails(directory_, "a", MORSEL_CORRUPT, {"'" + file + "'", "root table", "copy"});
  WriteFile(file, whole);
  for (const uint64_t superblock : {0, 1 << 20}) Overwrite(file, superblock + 16, "\x63");
  ExpectMorselFails(directory_, "a", MORSEL_VERSION, {"'" + file + "'", "version"});
  for (const size_t length : {size_t{100}, size_t{8192}, whole.size() / 2}) {
    WriteFile(file, whole.substr(0, length));
    ExpectMorselFails(directory_, "a", MORSEL_CORRUPT, {"'" + file + "'"});
  }
  for (const std::string& foreign : {std::string(), std::string(20000, 'x')}) {
    WriteFile(file, foreign);
    ExpectMorselFails(directory_, "a", MORSEL_CORRUPT, {"'" + file + "'"});
    morsel_pool_t* const pool = OpenPool(directory_);
    ExpectFailure(morsel_remove(pool, "a"), MORSEL_CORRUPT, {"'" + file + "'", "not a morsel's"});
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
    EXPECT_TRUE(os::BytesOf(file) == foreign);
  }
}

// Puts a good checksum into a superblock whose version has been changed.
void SetVersion(const std::string& path, uint64_t offset, char version) {
  std::string superblock = os::BytesOf(path).substr(offset, 4096);
  superblock[8] = version;
  superblock.replace(16, 8, std::string(8, '\0'));
  const uint64_t checksum = Checksum64(superblock.data(), superblock.size());
  std::memcpy(&superblock[16], &checksum, sizeof checksum);
  Overwrite(path, offset, superblock);
}

TEST_F(DamageTest, OpenNamesADamagedCarvedPool) {
  Make(carved_, MORSEL_CARVED, {"a"});
  const std::string whole = os::BytesOf(carved_);
  const std::string name = "'" + carved_ + "'";

  FlipBit(carved_, 100);
  FlipBit(carved_, 4096 + 100);
  ExpectPoolFails(carved_, MORSEL_CORRUPT, {name, "superblocks", "copy"});
  WriteFile(carved_, whole);
  SetVersion(carved_, 0, 99);
  ExpectPoolFails(carved_, MORSEL_VERSION, {name, "version 99", "newer"});
  for (const size_t length : {size_t{0}, size_t{4096}, size_t{1} << 20, whole.size() / 2}) {
    WriteFile(carved_, whole.substr(0, length));
    ExpectPoolFails(carved_, MORSEL_CORRUPT, {name, "truncated"});
  }
  WriteFile(carved_, std::string(whole.size(), 'x'));
  ExpectPoolFails(carved_, MORSEL_CORRUPT, {name, "no morsel pool"});
  WriteFile(carved_, whole);
  morsel_pool_t* const pool = OpenPool(carved_);
  EXPECT_EQ(TextOf(Open(pool, "a")), "as it was");
}

TEST_F(DamageTest, OpenNamesADamagedHeapInACarvedPool) {
  Make(carved_, MORSEL_CARVED, {"a"});
  const size_t heap = os::BytesOf(carved_).find("mrslHeap");
  ASSERT_NE(heap, std::string::npos);
  Make(carved_, MORSEL_CARVED, {"other"});
  const std::string whole = os::BytesOf(carved_);

  FlipBit(carved_, heap);
  ExpectMorselFails(carved_, "a", MORSEL_CORRUPT, {"heap", "magic", "copy"});
  WriteFile(carved_, whole);
  FlipBit(carved_, heap + 40);
  ExpectMorselFails(carved_, "a", MORSEL_CORRUPT, {"heap", "copy"});
  WriteFile(carved_, whole);
  Overwrite(carved_, heap + 8, "\x63");
  ExpectMorselFails(carved_, "a", MORSEL_VERSION, {"heap", "version 99", "newer"});
}

}  // namespace
}  // namespace morsel::trouble
