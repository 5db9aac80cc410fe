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
namespace impl {

/// The places of the thread's last sections, by their morsels.
inline constexpr uint64_t kNeverRecent = 1;
struct RecentSection {
  const morsel_t* morsel = nullptr;
  morsel_section section = {nullptr, nullptr, &kNeverRecent, 0};
};
[[gnu::tls_model(
    "initial-exec")]] inline constinit thread_local RecentSection recent_sections_in[4];

/// As the library itself begins and ends them: see morsel/sections/sections.h of its sources for
/// the order of these steps.
inline const morsel_section& SectionOf(morsel_t* morsel) {
  RecentSection& recent = recent_sections_in[(reinterpret_cast<uintptr_t>(morsel) >> 6) % 4];
  const morsel_section& section = recent.section;
  if (recent.morsel != morsel ||
      __atomic_load_n(section.changes, __ATOMIC_ACQUIRE) != section.changes_then) [[unlikely]] {
    recent.morsel = morsel;
    morsel_section_of(morsel, &recent.section);
  }
  return section;
}

inline bool TryEndSection(morsel_t* morsel) {
  const morsel_section& section = SectionOf(morsel);
  if (section.depth == nullptr) return false;
  const uint32_t depth = __atomic_load_n(section.depth, __ATOMIC_RELAXED);
  if (depth == 0) return false;
  __atomic_store_n(section.depth, depth - 1, __ATOMIC_RELEASE);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (__atomic_load_n(section.closed, __ATOMIC_RELAXED) != 0) [[unlikely]]
    morsel_section_left(morsel);
  return true;
}

inline bool TryBeginSection(morsel_t* morsel) {
  const morsel_section& section = SectionOf(morsel);
  if (section.depth == nullptr) return false;
  const uint32_t depth = __atomic_load_n(section.depth, __ATOMIC_RELAXED);
  __atomic_store_n(section.depth, depth + 1, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (depth > 0 || __atomic_load_n(section.closed, __ATOMIC_ACQUIRE) == 0) [[likely]]
    return true;
  (void)TryEndSection(morsel);
  return false;
}

}  // namespace impl

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
/// Cost     begin and end some nanoseconds, without a call, where the thread has begun a section of
///          the morsel before.
class [[nodiscard]] Update {
 public:
  explicit Update(Morsel& morsel) : Update(morsel.handle()) {}
  explicit Update(morsel_t* morsel) : morsel_(morsel) {
    if (!impl::TryBeginSection(morsel)) [[unlikely]]
      begun_ = static_cast<Code>(morsel_begin(morsel));
  }
  Update(const Update&) = delete;
  Update& operator=(const Update&) = delete;
  ~Update() { (void)end(); }

  /// Whether the section was begun.
  Status status() const { return begun_; }
  /// After the first commit() or end() both do nothing, and return what that returned.
  Status commit() { return Finish(morsel_commit); }
  Status end() {
    if (begun_.ok() && morsel_ != nullptr && impl::TryEndSection(morsel_)) [[likely]] {
      morsel_ = nullptr;
      return ended_;
    }
    return Finish(morsel_end);
  }

 private:
  Status Finish(morsel_code (*finish)(morsel_t*)) {
    if (!begun_.ok()) return begun_;
    if (morsel_ != nullptr) ended_ = static_cast<Code>(finish(std::exchange(morsel_, nullptr)));
    return ended_;
  }

  morsel_t* morsel_;
  Status begun_{};
  Status ended_{};
};

}  // namespace morsel

#pragma pop_macro("Status")
