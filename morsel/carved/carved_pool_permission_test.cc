#include "morsel/carved/carved_pool_permission.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "base/error.h"

namespace morsel {
namespace {

TEST(CarvedPoolPermissionTest, OwnerGroupAndOthersAreJudgedAsByAFileSystem) {
  CatalogRecord record;
  record.user = 7;
  record.group = 8;
  const Identity owner = {.user = 7, .groups = {1}};
  const Identity member = {.user = 9, .groups = {1, 8}};
  const Identity other = {.user = 9, .groups = {1}};
  const Identity root = {.user = 0, .groups = {0}};
  struct Case {
    uint32_t mode;
    const Identity& who;
    bool reads;
    bool writes;
    bool removes;
  };
  for (const Case& c :
       {Case{0600, owner, true, true, true}, Case{0600, member, false, false, false},
        Case{0600, other, false, false, false}, Case{0640, member, true, false, false},
        Case{0660, member, true, true, true}, Case{0666, other, true, true, true},
        Case{0602, other, false, false, true}, Case{0060, owner, false, false, true},
        Case{0606, member, false, false, false}, Case{0000, root, true, true, true}}) {
    record.mode = c.mode;
    EXPECT_EQ(MayOpen(c.who, record, true, "it").ok(), c.reads) << c.mode << " " << c.who.user;
    EXPECT_EQ(MayOpen(c.who, record, false, "it").ok(), c.writes) << c.mode << " " << c.who.user;
    EXPECT_EQ(MayRemove(c.who, record, "it", "removed").ok(), c.removes)
        << c.mode << " " << c.who.user;
  }
  record.mode = 0600;
  EXPECT_EQ(MayOpen(other, record, true, "morsel 'a'").code(), Code::kPermission);
  EXPECT_NE(std::string(LastError()).find("morsel 'a' belongs to user 7"), std::string::npos);
}

TEST(CarvedPoolPermissionTest, OfProcessHasTheEffectiveIds) {
  EXPECT_EQ(Identity::OfProcess().user, geteuid());
  EXPECT_EQ(Identity::OfProcess().groups[0], getegid());
}

}  // namespace
}  // namespace morsel
