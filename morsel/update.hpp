// A section of updates that ends with its scope. See updates.h for the rules.
#pragma once

#include <utility>

#include "base/result.h"
#include "morsel/handles.hpp"
#include "morsel/updates.h"

// X11, for one, makes this word a macro.
#pragma push_macro("Status")
#undef Status

namespace morsel {

/// The calling thread is in a section of a morsel until commit(), end() or the destructor, which
/// does what end() does. Nothing is rolled back: what an exception leaves half done is in the next
/// commit.
///
///   morsel::Update update(graph);
///   nodes->emplace_back(...);
///   if (auto status = update.commit(); !status.ok()) ...
///
/// Errors   of begin: status() has it, and the section was not begun. commit() returns it then.
/// Threads  the one that made the object.
class [[nodiscard]] Update {
 public:
  explicit Update(Morsel& morsel) : Update(morsel.handle()) {}
  explicit Update(morsel_t* morsel)
      : morsel_(morsel), begun_(static_cast<Code>(morsel_begin(morsel))) {}
  Update(const Update&) = delete;
  Update& operator=(const Update&) = delete;
  ~Update() { (void)end(); }

  /// Whether the section was begun.
  Status status() const { return begun_; }
  /// After the first commit() or end() both do nothing, and return what that returned.
  Status commit() { return Finish(morsel_commit); }
  Status end() { return Finish(morsel_end); }

 private:
  Status Finish(morsel_code (*finish)(morsel_t*)) {
    if (!begun_.ok()) return begun_;
    if (morsel_ != nullptr) ended_ = static_cast<Code>(finish(std::exchange(morsel_, nullptr)));
    return ended_;
  }

  morsel_t* morsel_;
  Status begun_;
  Status ended_{};
};

}  // namespace morsel

#pragma pop_macro("Status")
