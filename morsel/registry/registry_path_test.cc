#include "morsel/registry/registry_path.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "morsel/registry/address_registry.h"
#include "os/testing/other_user_testing.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

class RegistryPathTest : public testing::Test {
 protected:
  RegistryPathTest() {
    unsetenv("MORSEL_ADDRESSES");
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", scratch_.path().c_str(), 1);
  }
  os::Scratch scratch_ = os::Scratch::InMemory();  // where other users come, too
  std::string shared_ = scratch_.At("var/addresses");
};

TEST_F(RegistryPathTest, TheEnvironmentComesFirst) {
  setenv("MORSEL_ADDRESSES", "/a/path", 1);
  EXPECT_EQ(FindRegistry(shared_)->path, "/a/path");
  setenv("MORSEL_ADDRESSES", "", 1);
  EXPECT_FALSE(FindRegistry(shared_).has_value());
}

TEST_F(RegistryPathTest, ThenTheHomeIfItIsTheUsersOwn) {
  EXPECT_EQ(FindRegistry(shared_)->path, scratch_.At(".local/state/morsel/addresses"));
  setenv("XDG_STATE_HOME", scratch_.At(".local").c_str(), 1);
  EXPECT_EQ(FindRegistry(shared_)->path, scratch_.At(".local/morsel/addresses"));
  setenv("XDG_STATE_HOME", "relative", 1);
  EXPECT_FALSE(FindRegistry(shared_).has_value());
  unsetenv("XDG_STATE_HOME");
  setenv("HOME", "/nowhere", 1);
  EXPECT_FALSE(FindRegistry(shared_).has_value());
  unsetenv("HOME");
  EXPECT_FALSE(FindRegistry(shared_).has_value());
  setenv("HOME", scratch_.path().c_str(), 1);
  fs::permissions(scratch_.path(), fs::perms(0755));
  os::ExpectAs(os::kAlice, [&] { EXPECT_FALSE(FindRegistry(shared_).has_value()); });
}

TEST_F(RegistryPathTest, RootPartsTheAddresses) {
  const Result<RegistryPlace> own = MakeRegistryFor(0, kDefaultWindow, shared_);
  ASSERT_TRUE(own.has_value()) << LastError();
  const std::optional<RegistryPlace> found = FindRegistry(shared_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->path, shared_ + "/0");
  ASSERT_TRUE(found->window.has_value());

  std::vector<Window> windows = {*own->window};
  for (uid_t user = 1000; user < 1020; ++user) {
    const Result<RegistryPlace> place = MakeRegistryFor(user, kDefaultWindow, shared_);
    ASSERT_TRUE(place.has_value()) << LastError();
    struct stat status;
    ASSERT_EQ(stat(place->path.c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, user);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    for (const Window& other : windows) {
      EXPECT_TRUE(other.end <= place->window->begin || place->window->end <= other.begin);
    }
    windows.push_back(*place->window);
    const Result<RegistryPlace> again = MakeRegistryFor(user, kDefaultWindow, shared_);
    EXPECT_EQ(again->window->begin, place->window->begin);
  }
  const Result<RegistryPlace> of_alice = MakeRegistryFor(os::kAlice.user, kDefaultWindow, shared_);
  ASSERT_TRUE(of_alice.has_value()) << LastError();
  fs::permissions(scratch_.path(), fs::perms(0755));
  os::ExpectAs(os::kAlice, [&] {
    const std::optional<RegistryPlace> her = FindRegistry(shared_);
    ASSERT_TRUE(her.has_value());
    EXPECT_EQ(her->path, of_alice->path);
    EXPECT_EQ(her->window->begin, of_alice->window->begin);
    EXPECT_TRUE(RegistryFile::OpenLocked(os::KernelCalls(), her->path).has_value()) << LastError();
    EXPECT_FALSE(RegistryFile::OpenLocked(os::KernelCalls(), own->path).has_value());
  });
  std::ofstream(shared_ + "/windows", std::ios::app) << "nonsense\n";
  EXPECT_EQ(MakeRegistryFor(2000, kDefaultWindow, shared_).error(), Code::kCorrupt);
}

// The second call finds the line of one that was killed before it could sync it.
TEST_F(RegistryPathTest, TheLineIsDurableBeforeTheRegistryIsMade) {
  os::ScriptedCalls calls;
  for (const bool has_line : {false, true}) {
    bool line_is_durable = false;
    bool file_is_durable = false;
    bool is_made = false;
    calls.Play([&](const os::Call& call) {
      if (call.kind == os::Call::kWrite && !is_made) line_is_durable = file_is_durable = false;
      if (call.kind == os::Call::kDataSync && !is_made) line_is_durable = true;
      if (call.kind == os::Call::kSync) file_is_durable = true;
      if (std::string(call.kind == os::Call::kOpen ? call.name : call.to) == "1000") {
        is_made = true;
        EXPECT_TRUE(line_is_durable && file_is_durable);
        if (!has_line) return EIO;
      }
      return 0;
    });
    EXPECT_EQ(MakeRegistryFor(1000, kDefaultWindow, shared_, calls).has_value(), has_line);
    EXPECT_TRUE(is_made);
    std::ifstream windows(shared_ + "/windows");
    std::string line;
    ASSERT_TRUE(std::getline(windows, line));
    EXPECT_EQ(line.substr(0, 5), "1000 ");
    EXPECT_FALSE(std::getline(windows, line));
  }
  for (const os::Call::Kind kind : {os::Call::kDataSync, os::Call::kSync}) {
    calls.Play(os::FailEach(kind, EIO));
    EXPECT_FALSE(MakeRegistryFor(1001, kDefaultWindow, shared_, calls).has_value());
    EXPECT_FALSE(fs::exists(shared_ + "/1001"));
  }
}

}  // namespace
}  // namespace morsel
