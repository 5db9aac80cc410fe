// For tests: what an ordinary user may do, beside root and beside another user.
#pragma once

#include <sys/types.h>

#include <functional>

namespace morsel::os {

/// A user and the group of what the user makes.
struct User {
  uid_t user;
  gid_t group;
  gid_t other_group = 0;  ///< a second group that the user is in; 0: none
};

/// Two users, each in a group of the same number. No host is expected to have them by name.
inline constexpr User kAlice = {61001, 61001};
inline constexpr User kBob = {61002, 61002};

/// Runs `body` in a forked child that is `user` for good, without capabilities and other groups,
/// and expects it to end without a failure. Failures in `body` are printed, and count. A folder of
/// Scratch is root's own: a test opens it to others first. It is one of Scratch::InMemory(): those
/// OnDisk() may lie where only root gets to.
///
/// Only root can become another user, and not in Bazel's sandbox, which has one: such a test has
/// the tag "no-sandbox". Otherwise it fails, for it has tested nothing.
/// Threads  the child has only the thread that called.
void ExpectAs(const User& user, const std::function<void()>& body);

}  // namespace morsel::os
