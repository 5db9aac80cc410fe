#include "os/testing/other_user_testing.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

namespace morsel::os {
namespace {

bool Become(const User& user) {
  return setgroups(user.other_group == 0 ? 0 : 1, &user.other_group) == 0 &&
         setresgid(user.group, user.group, user.group) == 0 &&
         setresuid(user.user, user.user, user.user) == 0;
}

[[noreturn]] void RunAs(const User& user, const std::function<void()>& body) {
  if (Become(user)) {
    body();
  } else {
    ADD_FAILURE() << "this process cannot become user " << user.user
                  << ": run the test as root, and not in a sandbox (tag no-sandbox)";
  }
  std::fflush(stdout);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

}  // namespace

void ExpectAs(const User& user, const std::function<void()>& body) {
  std::fflush(stdout);
  const pid_t child = fork();
  ASSERT_GE(child, 0) << "fork";
  if (child == 0) RunAs(user, body);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "user " << user.user << " ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "as user " << user.user;
}

}  // namespace morsel::os
