#include "morsel/check/check.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "alloc/heap/heap.h"
#include "base/bits.h"
#include "base/error.h"
#include "morsel/open/open_options.h"
#include "morsel/roots/roots.h"
#include "pmem/media/bad_ranges.h"
#include "pmem/persist/persist.h"

namespace morsel {
namespace {

using Report = std::function<void(const Finding&)>;
using Say = std::function<void(const std::string&)>;

std::string SubjectOf(const std::string& name) { return "morsel '" + name + "'"; }

// Whether the code means damage on the medium. Other codes mean that this process cannot check.
bool IsDamage(Code code) { return code == Code::kCorrupt || code == Code::kIo; }

// Opens the morsel's heap for reading and checks it.
// Errors  kIo: some of its memory cannot be read; those of Heap::Open() and
//         StoppedWorld::LiveBytes().
Status CheckHeap(const Backing& backing, const Say& say, CheckSummary& summary) {
  const CatalogRecord& record = backing.record();
  std::vector<pmem::ByteRange> unreadable;
  if (record.contract == Contract::kFine) {
    unreadable =
        pmem::UnreadableRanges(reinterpret_cast<const void*>(record.base), record.size_bytes);
  }
  if (!unreadable.empty()) {
    return Fail(Code::kIo,
                "offset 0x%" PRIx64
                " cannot be read: the medium is bad there, or is gone; the heap is not looked at: "
                "save what can be read (morselctl export --salvage), and restore the rest",
                unreadable.front().offset);
  }
  const alloc::HeapPlace place = {reinterpret_cast<void*>(record.base), record.size_bytes,
                                  record.capacity_bytes, record.id};
  Result<std::unique_ptr<alloc::Heap>> opened = alloc::Heap::Open(
      place, backing.persist(), record.contract == Contract::kFine, /*read_only=*/true);
  if (!opened) return opened.status();
  alloc::Heap& heap = **opened;
  heap.Validate(say);
  const Roots roots(heap);
  if (roots.CheckTable().ok()) {
    summary.roots += roots.Validate(say);
  } else {
    say(LastError());
  }
  const Result<uint64_t> live_bytes = heap.StopAndRelease().LiveBytes();
  if (!live_bytes) return live_bytes.status();
  summary.live_bytes += *live_bytes;
  ++summary.morsels;
  return Code::kOk;
}

class Check {
 public:
  Check(impl::Pool& pool, const std::string& only, const Report& report,
        const WhileClosed& while_closed)
      : pool_(pool), only_(only), report_(report), while_closed_(while_closed) {}

  Result<CheckSummary> Run() {
    if (!only_.empty() && !IsPossibleName(only_)) MORSEL_TRY(CheckMorselName(only_.c_str()));
    std::vector<std::string> names;
    if (only_.empty()) {
      const Result<std::vector<CatalogRecord>> records = pool_.List();
      if (!records) return records.status();
      for (const CatalogRecord& record : *records) names.push_back(record.name);
    } else {
      const Result<CatalogRecord> record = pool_.Find(only_);
      if (!record && record.error() == Code::kNotFound) return record.status();
      names.push_back(only_);
    }
    MORSEL_TRY(pool_.Check([this](const Finding& finding) { Pass(finding); }));
    for (const std::string& name : names) CheckMorsel(name);
    return summary_;
  }

 private:
  // Reports a finding of the pool's own check, unless it is about a morsel that was not asked for.
  void Pass(const Finding& finding) {
    const bool other =
        finding.subject.starts_with("morsel '") && finding.subject != SubjectOf(only_);
    if (!only_.empty() && other) return;
    report_(finding);
    if (IsDamage(finding.code)) {
      known_.insert(finding.subject);
      ++summary_.damages;
    } else if (finding.code != Code::kOk) {
      summary_.obstacle = finding.code;
    }
  }

  void CheckMorsel(const std::string& name) {
    const std::string subject = SubjectOf(name);
    const bool was_written = IsWritten(name);
    std::vector<std::string> said;
    const Say say = [&](const std::string& message) { said.push_back(message); };
    std::optional<CatalogRecord> looked_at;
    const auto look = [&]() -> Status {
      const Result<std::unique_ptr<Backing>> backing = pool_.Open(name, /*read_only=*/true);
      if (!backing) return backing.status();
      looked_at = (*backing)->record();
      return CheckHeap(**backing, say, summary_);
    };
    const Status status = while_closed_ ? while_closed_(name, look) : look();
    if (only_.empty() && status.code() == Code::kNotFound) return;  // it was removed meanwhile
    if (!status.ok() && !IsDamage(status.code())) return Obstacle(subject, status.code());
    // A finding of the pool's own check has said the same in more detail.
    if (!status.ok() && said.empty() && !known_.contains(subject)) say(LastError());
    if (said.empty()) return;
    if (looked_at && looked_at->contract == Contract::kFine &&
        (was_written || IsWritten(name) || IsAnother(*looked_at))) {
      return Obstacle(subject, Fail(Code::kBusy,
                                    "another process writes it, or has just written it, so that "
                                    "what does not fit together may be no damage: %s; check again "
                                    "when it is closed there",
                                    said.front().c_str())
                                   .code());
    }
    for (const std::string& message : said) report_({subject, message, Code::kCorrupt});
    summary_.damages += said.size();
  }

  // The morsel could not be checked; LastError() says why.
  void Obstacle(const std::string& subject, Code code) {
    summary_.obstacle = code;
    report_({subject, LastError(), code});
  }

  // Whether another process writes the morsel. The memory of a fine one changes while it is looked
  // at then.
  bool IsWritten(const std::string& name) {
    const KeepLastError keep;
    return pool_.CheckNotWritten(name).code() == Code::kBusy;
  }

  // Whether somebody has closed or replaced the morsel since.
  bool IsAnother(const CatalogRecord& then) {
    const KeepLastError keep;
    const Result<CatalogRecord> now = pool_.Find(then.name);
    return !now || now->id != then.id || now->generation != then.generation;
  }

  impl::Pool& pool_;
  const std::string& only_;
  const Report& report_;
  const WhileClosed& while_closed_;
  CheckSummary summary_;
  std::set<std::string> known_;  ///< subjects that the pool's own check has found damaged
};

}  // namespace

Result<CheckSummary> CheckPool(impl::Pool& pool, const std::string& only, const Report& report,
                               const WhileClosed& while_closed) {
  return Check(pool, only, report, while_closed).Run();
}

}  // namespace morsel
