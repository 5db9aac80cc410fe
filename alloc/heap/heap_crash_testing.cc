#include "alloc/heap/heap_crash_testing.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace morsel::alloc {
namespace {

char ByteOf(uint64_t tag, uint64_t i) {
  return static_cast<char>((tag * 31 + i) * 0x9e3779b97f4a7c15 >> 56);
}

}  // namespace

std::string CrashWorld::Log() const {
  std::string text;
  for (size_t i = log.size() > 60 ? log.size() - 60 : 0; i < log.size(); ++i) text += log[i] + "\n";
  return text;
}

Worker::Worker()
    : thread_([this] {
        std::unique_lock lock(mutex_);
        for (;;) {
          changed_.wait(lock, [this] { return work_ != nullptr || ended_; });
          if (ended_) return;
          (*work_)();
          work_ = nullptr;
          changed_.notify_all();
        }
      }) {}

Worker::~Worker() {
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Worker::Do(const std::function<void()>& work) {
  std::unique_lock lock(mutex_);
  work_ = &work;
  changed_.notify_all();
  changed_.wait(lock, [this] { return work_ == nullptr; });
}

CrashIncarnation::CrashIncarnation(CrashWorld& world, pmem::CrashRecorder* recorder,
                                   CrashOwners owners, int number, uint64_t seed)
    : world_(world),
      recorder_(recorder),
      owners_(std::move(owners)),
      number_(number),
      random_(seed),
      log_begin_(world.log.size()) {
  ++world_.lives;
  if (!is_last()) recorder_->set_before_fence([this] { Crash(); });
}

CrashIncarnation::~CrashIncarnation() {
  if (!is_last()) recorder_->set_before_fence(nullptr);
  world_.log.resize(log_begin_);
}

bool CrashIncarnation::Failed() const { return testing::Test::HasFailure(); }

void CrashIncarnation::Note(const std::string& what) {
  if (filling_) return;
  world_.log.push_back("life " + std::to_string(number_) + ": " + what);
}

void CrashIncarnation::Open() {
  Note("open");
  // Nobody looks at what the last incarnation leaves.
  const pmem::Persist persist = is_last() ? pmem::VolatilePersist() : recorder_->persist();
  Result<std::unique_ptr<Heap>> heap =
      Heap::Open(world_.memory.Place(world_.size_bytes), persist, true, false,
                 FreeBudget(FreeBudget::Extents::kWait));
  ASSERT_TRUE(heap) << LastError() << "\n" << world_.Log();
  heap_ = std::move(heap).value();
  const std::string findings = Findings(*heap_);
  ASSERT_EQ(findings, "") << world_.Log();
  CheckOwners();
}

void CrashIncarnation::CheckOwners() {
  for (const auto& [block, owner] : owners_) {
    if (owner.live_durable || number_ == 0) {
      ASSERT_TRUE(IsTrue(heap_->IsLive(block)))
          << static_cast<void*>(block) << ", " << owner.size_bytes << " bytes, is lost\n"
          << world_.Log();
      ASSERT_EQ(heap_->UsableBytes(block), owner.usable_bytes);
    }
    if (!owner.bytes_durable) continue;
    for (uint64_t i = owner.filled_begin; i < owner.filled_end; ++i) {
      ASSERT_EQ(block[i], ByteOf(owner.tag, i))
          << "byte " << i << " of " << static_cast<void*>(block) << ", " << owner.size_bytes
          << " bytes\n"
          << world_.Log();
    }
  }
}

void CrashIncarnation::LiveAndFill() {
  Open();
  for (uint64_t i = 0; i < world_.operations_later && !Failed(); ++i) Operate();
  if (!Failed()) Crash();
  if (!Failed()) TakeAllFree();
}

void CrashIncarnation::TakeAllFree() {
  const bool crashing = std::exchange(crashing_, true);  // do not crash meanwhile
  const uint64_t size_bytes = world_.fill_sizes[random_() % world_.fill_sizes.size()];
  Note("take all that is free in blocks of " + std::to_string(size_bytes));
  filling_ = true;
  while (!Failed() && Allocate(size_bytes) != nullptr) {
  }
  if (!Failed()) CheckOwners();
  const std::string findings = Findings(*heap_);
  EXPECT_EQ(findings, "") << world_.Log();
  crashing_ = crashing;
  filling_ = false;
}

void CrashIncarnation::Crash() {
  if (!world_.crashes || crashing_ || Failed() || is_last()) return;
  crashing_ = true;
  const bool first = number_ == 0;
  if (first) recorder_->Observe();
  if (first || random_() % world_.later_points == 0) PowerCut(first ? world_.images : 2);
  // In the last incarnation but one, a kill would show nothing, because no power cut follows.
  const uint64_t kill_points = first ? world_.kill_points : world_.later_kill_points;
  if (number_ + 2 < world_.lives_max && random_() % kill_points == 0) Kill();
  crashing_ = false;
}

void CrashIncarnation::PowerCut(uint64_t images) {
  CrashOwners kept;
  for (const auto& [block, owner] : owners_) {
    if (!owner.live_durable) continue;
    CrashOwner& left = kept[block] = owner;
    if (!owner.bytes_durable) left.filled_end = left.filled_begin;  // may be anything
  }
  Note("power cut");
  recorder_->ForEachImage(images, random_, [&] {
    if (Failed()) return;
    std::optional<pmem::CrashRecorder> recorder;
    if (number_ + 2 < world_.lives_max) recorder.emplace(world_.spans);
    Next(recorder ? &*recorder : nullptr, kept);
  });
  world_.log.pop_back();
}

void CrashIncarnation::Kill() {
  Note("kill");
  recorder_->WithMemory([&] {
    pmem::CrashRecorder recorder = recorder_->AfterKill();
    Next(&recorder, owners_);
  });
  world_.log.pop_back();
}

void CrashIncarnation::Next(pmem::CrashRecorder* recorder, CrashOwners owners) {
  const uint64_t size_bytes = world_.size_bytes;
  const uint64_t seed = random_();
  // Each incarnation has a thread of its own, because a process that died leaves no thread-local
  // memory.
  std::thread([&] {
    CrashIncarnation life(world_, recorder, std::move(owners), number_ + 1, seed);
    life.LiveAndFill();
  }).join();
  world_.size_bytes = size_bytes;
}

void CrashIncarnation::Adopt(char* block, uint64_t size_bytes) {
  CrashOwner owner;
  owner.size_bytes = size_bytes;
  owner.usable_bytes = heap_->UsableBytes(block);
  owner.tag = ++world_.tags;
  const auto after = owners_.lower_bound(block);
  ASSERT_TRUE(after == owners_.end() || block + owner.usable_bytes <= after->first)
      << static_cast<void*>(block) << ", " << size_bytes << " bytes, has a second owner\n"
      << world_.Log();
  ASSERT_TRUE(after == owners_.begin() ||
              std::prev(after)->first + std::prev(after)->second.usable_bytes <= block)
      << static_cast<void*>(block) << ", " << size_bytes << " bytes, has a second owner\n"
      << world_.Log();
  owner.filled_begin = size_bytes <= 512 ? 0 : random_() % (size_bytes - 256);
  owner.filled_end = size_bytes <= 512 ? size_bytes : owner.filled_begin + 1 + random_() % 256;
  if (!world_.fills) owner.filled_begin = owner.filled_end = 0;
  for (uint64_t i = owner.filled_begin; i < owner.filled_end; ++i) block[i] = ByteOf(owner.tag, i);
  owners_[block] = owner;
}

char* CrashIncarnation::Allocate(uint64_t size_bytes) {
  const Result<void*> block = heap_->Allocate(size_bytes, 16);
  if (!block) {
    EXPECT_EQ(block.error(), Code::kNoSpace) << world_.Log();
    return nullptr;
  }
  Note("allocate " + std::to_string(size_bytes) + " bytes at offset " +
       std::to_string(static_cast<char*>(*block) - world_.memory.base()));
  Adopt(static_cast<char*>(*block), size_bytes);
  Crash();
  return static_cast<char*>(*block);
}

void CrashIncarnation::Free(char* block) {
  Note("free the " + std::to_string(owners_[block].size_bytes) + " bytes at offset " +
       std::to_string(block - world_.memory.base()));
  owners_.erase(block);
  heap_->Free(block);
  Crash();
}

void CrashIncarnation::Flush(char* block) {
  const CrashOwner& owner = owners_[block];
  Note("flush the " + std::to_string(owner.size_bytes) + " bytes at offset " +
       std::to_string(block - world_.memory.base()));
  MORSEL_CHECK(
      heap_->Flush(block + owner.filled_begin, owner.filled_end - owner.filled_begin).ok());
  flushed_[std::this_thread::get_id()].push_back(block);
}

void CrashIncarnation::Fence() {
  Note("fence");
  heap_->Fence();
  for (char* const block : std::exchange(flushed_[std::this_thread::get_id()], {})) {
    const auto found = owners_.find(block);
    if (found == owners_.end()) continue;  // freed meanwhile
    found->second.live_durable = found->second.bytes_durable = true;
  }
  Crash();
}

void CrashIncarnation::Reallocate(char* block, uint64_t size_bytes) {
  Note("reallocate " + std::to_string(owners_[block].size_bytes) + " bytes at offset " +
       std::to_string(block - world_.memory.base()) + " to " + std::to_string(size_bytes));
  for (auto& [thread, flushed] : flushed_) std::erase(flushed, block);
  const CrashOwner before = owners_[block];
  owners_.erase(block);
  const Result<void*> moved = heap_->Reallocate(block, size_bytes);
  if (!moved) {
    EXPECT_EQ(moved.error(), Code::kNoSpace) << world_.Log();
    owners_[block] = before;
    owners_[block].live_durable = owners_[block].bytes_durable = false;
    return;
  }
  Adopt(static_cast<char*>(*moved), size_bytes);
  Crash();
}

void CrashIncarnation::FlushFrees() {
  Note("settle");
  heap_->StopTheWorld().FlushFrees();
  for (auto& [block, owner] : owners_) owner.live_durable = true;
  Crash();
}

void CrashIncarnation::Close() {
  Note("close");
  MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
  for (auto& [block, owner] : owners_) owner.live_durable = true;
  heap_.reset();
  flushed_.clear();
  Crash();
}

void CrashIncarnation::CloseAndOpen() {
  Close();
  if (!Failed()) Open();
}

void CrashIncarnation::Resize(uint64_t size_bytes) {
  Note("resize to " + std::to_string(size_bytes));
  {
    const auto stopped = heap_->StopTheWorld();
    if (size_bytes > world_.size_bytes) {
      world_.size_bytes = size_bytes;
      heap_->range().Grow(size_bytes);
    } else if (stopped.Shrink(size_bytes).ok()) {
      world_.size_bytes = size_bytes;
    }
  }
  Crash();
}

void CrashIncarnation::Operate() {
  if (workers_ == nullptr) {
    OperateHere();
  } else {
    (*workers_)[random_() % workers_->size()]->Do([this] { OperateHere(); });
  }
}

void CrashIncarnation::OperateHere() {
  const uint64_t kind = random_() % 100;
  if (kind < 40 || owners_.empty()) {
    char* const block = Allocate(world_.sizes[random_() % world_.sizes.size()]);
    if (block != nullptr && !Failed() && random_() % 2 == 0) Persist(block);
    return;
  }
  char* const block = Any();
  if (kind < 66) {
    for (auto& [thread, flushed] : flushed_) std::erase(flushed, block);
    Free(block);
  } else if (kind < 78) {
    Persist(block);
  } else if (kind < 84) {
    Flush(block);
    Crash();
  } else if (kind < 88) {
    Fence();
  } else if (kind < 93) {
    Reallocate(block, world_.sizes[random_() % world_.sizes.size()]);
  } else if (kind < 95) {
    FlushFrees();
  } else if (kind < 97) {
    CloseAndOpen();
  } else if (world_.may_resize) {
    Resize(world_.size_bytes > kSubtreeBytes ? kSubtreeBytes : 2 * kSubtreeBytes);
  }
}

}  // namespace morsel::alloc
