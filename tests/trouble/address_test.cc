// Opening a morsel whose address range is in use.
#include <sys/mman.h>

#include <filesystem>

#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

class AddressTest : public TroubleTest, public testing::WithParamInterface<bool> {
 protected:
  const std::string& path() const { return GetParam() ? carved_ : directory_; }
  void MakeIt() { Make(path(), GetParam() ? unsigned{MORSEL_CARVED} : 0u, {"a"}); }
};
INSTANTIATE_TEST_SUITE_P(Kinds, AddressTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

int KeepBase(const morsel_info* info, void* base) {
  *static_cast<void**>(base) = info->base;
  return 0;
}

TEST_P(AddressTest, OpenNamesAMappingInTheWay) {
  MakeIt();
  const Bytes before = AllBytes(folder_);
  morsel_pool_t* const pool = OpenPool(path(), MORSEL_READ_ONLY);
  void* base = nullptr;
  ASSERT_EQ(morsel_list(pool, KeepBase, &base), MORSEL_OK);
  char* const in_the_way = static_cast<char*>(base) + (3 << 20);
  ASSERT_EQ(
      mmap(in_the_way, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
      in_the_way);
  char address[32];
  std::snprintf(address, sizeof address, "%lx-", reinterpret_cast<unsigned long>(in_the_way));
  ExpectFailure(Try(pool, "a", MORSEL_READ_ONLY), MORSEL_ADDRESS_TAKEN,
                {"morsel 'a'", "'" + path() + "'", "the mapping " + std::string(address)});
  EXPECT_EQ(munmap(in_the_way, 4096), 0);
  morsel_t* const morsel = Open(pool, "a", MORSEL_READ_ONLY);
  EXPECT_EQ(TextOf(morsel), "as it was");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  EXPECT_TRUE(AllBytes(folder_) == before);
}

TEST_F(TroubleTest, OpeningACopyNamesTheOpenOriginal) {
  Make(directory_, 0, {"original"});
  std::filesystem::copy_file(directory_ + "/original", directory_ + "/copy");
  morsel_pool_t* const pool = OpenPool(directory_);
  morsel_t* const original = Open(pool, "original");
  ExpectFailure(Try(pool, "copy"), MORSEL_ADDRESS_TAKEN,
                {"morsel 'copy'", "by morsel 'original' of pool '" + directory_ + "'", "close"});
  EXPECT_EQ(morsel_close(original), MORSEL_OK);
  morsel_t* const copy = Open(pool, "copy");
  EXPECT_EQ(TextOf(copy), "as it was");
  ExpectFailure(Try(pool, "original"), MORSEL_ADDRESS_TAKEN, {"by morsel 'copy'"});
  EXPECT_EQ(morsel_close(copy), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

}  // namespace
}  // namespace morsel::trouble
