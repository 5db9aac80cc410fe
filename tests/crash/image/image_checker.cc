#include "tests/crash/image/image_checker.h"

#include <filesystem>
#include <set>

#include "tests/crash/blocks.h"
#include "tests/crash/image/image_pool.h"
#include "tests/crash/validate.h"

namespace morsel::crash {
namespace {

class Check {
 public:
  Check(const std::string& path, const ImageCheckOptions& options, ImageLog& log)
      : path_(path), options_(options), log_(log) {}

  Findings Run() {
    if (OpenPool(MORSEL_READ_ONLY)) {
      Newest();
      Close();
    }
    if (findings_.empty() && OpenPool(0)) {
      Fresh();
      SideMorsel();
      Close();
      Entries();
    }
    return std::move(findings_);
  }

 private:
  bool Good(const char* call, morsel_code code) {
    if (code != MORSEL_OK) Report(Message(call, code));
    return code == MORSEL_OK;
  }
  void Report(const std::string& message) { findings_.push_back(message); }

  bool OpenPool(uint32_t flags) {
    const morsel_pool_options options = {sizeof options, flags, 0, 0, 0};
    return Good("morsel_pool_open", morsel_pool_open(path_.c_str(), &options, &pool_));
  }
  void Close() { Good("morsel_pool_close", morsel_pool_close(pool_)); }

  void Newest();
  void Compare(morsel_t* morsel, uint64_t generation);
  void CompareCut(morsel_t* morsel, uint64_t generation);
  void Fresh();
  void SideMorsel();
  bool SideMayBe(Side found) const;
  void Entries();

  std::string path_;
  ImageCheckOptions options_;
  ImageLog& log_;
  morsel_pool_t* pool_ = nullptr;
  Findings findings_;
};

// Which of the two checkpoints the morsel is, and whether it is that one whole.
void Check::Newest() {
  morsel_t* morsel = nullptr;
  if (!Good("morsel_open", morsel_open(pool_, kImageName, nullptr, &morsel))) return;
  const uint64_t generation = GenerationOf(morsel, log_.failure);
  if (generation != log_.completed.load() && generation != log_.begun.load()) {
    Report("the morsel is of generation " + std::to_string(generation) +
           "; the last checkpoint is " + std::to_string(log_.completed.load()) +
           ", the one under way " + std::to_string(log_.begun.load()));
  } else {
    Compare(morsel, generation);
  }
  if (findings_.empty()) {
    log_.completed.store(generation);
    log_.begun.store(generation);
  }
  Good("morsel_close", morsel_close(morsel));
}

void Check::Compare(morsel_t* morsel, uint64_t generation) {
  const std::string which = "generation " + std::to_string(generation) + ": ";
  const LoggedCheckpoint& logged = log_.CheckpointOf(generation);
  Library* const library = LibraryOf(morsel);
  if (library == nullptr) return Report(which + "there is no library");
  const LoggedCheckpoint now = DescribeCheckpoint(morsel, /*quiet=*/true, log_.failure);
  if (logged.quiet) {
    if (now.size_bytes != logged.size_bytes) Report(which + "its size is another");
    if (now.live_bytes != logged.live_bytes) Report(which + "other bytes are allocated");
    if (!(now.bytes == logged.bytes)) Report(which + "its bytes are not what they were");
  }
  if (const std::string difference = library->Difference(); !difference.empty()) {
    Report(which + difference);
  } else if (now.library_sum != logged.library_sum) {
    Report(which + "the library is another");
  }
  if (!logged.quiet) CompareCut(morsel, generation);
}

void Check::CompareCut(morsel_t* morsel, uint64_t generation) {
  const std::vector<Block> allocated = AllocatedBlocks(morsel);
  for (uint64_t i = 0; i < kChurners; ++i) {
    ChurnCut& cut = log_.CheckpointOf(generation).cuts[i];
    // Of a checkpoint that the writer did not see the end of, the cut was not taken yet.
    if (generation != log_.completed.load()) TakeCut(log_.churn[i], &cut);
    const std::string why = WhyNoCut(cut, i, allocated);
    if (!why.empty()) Report("generation " + std::to_string(generation) + ": " + why);
  }
}

void Check::Fresh() {
  morsel_t* morsel = nullptr;
  if (!Good("morsel_open", morsel_open(pool_, kImageName, nullptr, &morsel))) return;
  std::vector<Owned> owned;
  for (const Block& block : AllocatedBlocks(morsel)) {
    owned.push_back({block, "a block of " + std::to_string(block.size_bytes) + " bytes"});
  }
  Random random(options_.seed);
  const std::vector<Block> fresh = AllocateFresh(morsel, options_.fresh_blocks, random);
  if (fresh.size() < options_.fresh_blocks) Report(std::string("fresh: ") + morsel_last_error());
  for (size_t i = 0; i < fresh.size(); ++i) {
    owned.push_back({fresh[i], "fresh block " + std::to_string(i)});
  }
  std::string wrong = FirstOverlap(std::move(owned));
  if (wrong.empty()) {
    for (const Block& block : fresh) {
      WriteObject(PointerTo(block), {.serial = 1,
                                     .owner = kLibraryPartitions,
                                     .size_bytes = block.size_bytes,
                                     .seed = random.Any()});
    }
    wrong = LibraryOf(morsel)->Difference();
  }
  if (!wrong.empty()) Report("with fresh blocks: " + wrong);
  Good("morsel_discard", morsel_discard(morsel));
}

bool Check::SideMayBe(Side found) const {
  switch (log_.side.load()) {
    case Side::kAbsent:
      return found == Side::kAbsent;
    case Side::kComing:
      return found == Side::kAbsent || found == Side::kEmpty;
    case Side::kEmpty:
      return found == Side::kEmpty;
    case Side::kFilling:
      return found == Side::kEmpty || found == Side::kFull;
    case Side::kFull:
      return found == Side::kFull;
    case Side::kGoing:
      return found == Side::kFull || found == Side::kAbsent;
  }
  return false;
}

void Check::SideMorsel() {
  static constexpr const char* kNames[] = {"absent", "coming", "empty", "filling", "full", "going"};
  Side found = Side::kAbsent;
  morsel_t* side = nullptr;
  const morsel_code code = morsel_open(pool_, kImageSideName, nullptr, &side);
  if (code != MORSEL_NOT_FOUND) {
    if (!Good("morsel_open of the side morsel", code)) return;
    const void* const object = morsel_root(side, kImageSideRoot);
    found = object == nullptr ? Side::kEmpty : Side::kFull;
    if (object != nullptr) {
      const std::string difference = Difference(object, kImageSideObject);
      if (!difference.empty()) Report("the side morsel: " + difference);
    }
    Good("morsel_discard of the side morsel", morsel_discard(side));
  }
  if (!SideMayBe(found)) {
    Report(std::string("the side morsel is ") + kNames[static_cast<uint64_t>(found)] + " and was " +
           kNames[static_cast<uint64_t>(log_.side.load())]);
  }
  log_.side.store(found);
}

// What a killed creation left was removed when the pool was opened for writing.
void Check::Entries() {
  std::set<std::string> due = {".morsel-pool", ".morsel-lock", kImageName};
  if (log_.side.load() != Side::kAbsent) due.insert(kImageSideName);
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    const std::string name = entry.path().filename();
    if (due.erase(name) == 0) Report("'" + name + "' is left in the pool");
  }
  for (const std::string& name : due) Report("'" + name + "' is missing in the pool");
}

}  // namespace

Findings CheckImage(const std::string& pool_path, const ImageCheckOptions& options, ImageLog& log) {
  if (Findings failed = WriterFailed(log.failure); !failed.empty()) return failed;
  if (Findings findings = Validate(pool_path); !findings.empty()) return findings;
  return Check(pool_path, options, log).Run();
}

}  // namespace morsel::crash
