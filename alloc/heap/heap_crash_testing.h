// Incarnations of a heap, for crash tests. Each one opens the heap, works, and ends in a
// crash, at a fence or between operations. The next one opens what the crash may have
// left. It may crash, too, also while it recovers, and so on.
//
// The oracle: the heap opens; Validate() reports nothing; every block whose persist()
// had returned is live and has its bytes; no byte has two owners.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "sim/model/crash_recorder_testing.h"

namespace morsel::alloc {

/// A thread that does what another thread tells it, while that one waits.
class Worker {
 public:
  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  /// Runs `work` in the worker's thread, and returns when it is done.
  void Do(const std::function<void()>& work);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  bool ended_ = false;
  std::thread thread_;
};

struct CrashOwner {
  uint64_t size_bytes = 0;
  uint64_t usable_bytes = 0;
  uint64_t tag = 0;
  uint64_t filled_begin = 0;  ///< the test has written the bytes from here on
  uint64_t filled_end = 0;
  bool live_durable = false;   ///< the block must survive
  bool bytes_durable = false;  ///< and so must the bytes that were written
};
using CrashOwners = std::map<char*, CrashOwner>;

/// The memory that all incarnations share, and how much is explored.
struct CrashWorld {
  CrashWorld(uint64_t size, uint64_t capacity) : size_bytes(size), memory(capacity) {
    spans = {{memory.base(), capacity}};
  }

  uint64_t size_bytes;  ///< of the range, as the pool has it durably
  HeapMemory memory;
  std::vector<pmem::CrashRecorder::Span> spans;
  bool crashes = true;  ///< false: Crash() does nothing
  bool may_resize = false;
  bool fills = true;  ///< blocks are filled, and their bytes are checked
  /// At most this many incarnations follow each other.
  int lives_max = 3;
  /// How many images of a power cut are tried at each crash point of the first incarnation. In
  /// later ones, the power is cut at one of so many crash points.
  uint64_t images = 6;
  uint64_t later_points = 12;
  /// One of so many crash points is tried as a kill, too: in the first incarnation, and in later
  /// ones.
  uint64_t kill_points = 4;
  uint64_t later_kill_points = 24;
  uint64_t operations_later = 5;
  std::vector<uint64_t> sizes = {16, 48, 64, 320, 1000, 4000, 30'000, 66'000, 140'000, 400'000};
  /// At its end, an incarnation allocates all that is free, in blocks of one of these sizes.
  std::vector<uint64_t> fill_sizes = {3000, 16'000, 65'000, 70'000};

  uint64_t lives = 0;
  uint64_t tags = 0;
  std::vector<std::string> log;  ///< what the incarnations up to now have done
  std::string Log() const;       ///< the end of it, for the message of a failure
};

/// One incarnation.
class CrashIncarnation {
 public:
  /// `owners`: the blocks that are known to the test; those with live_durable must be there.
  /// `number`: 0 for the first incarnation.
  CrashIncarnation(CrashWorld& world, pmem::CrashRecorder* recorder, CrashOwners owners, int number,
                   uint64_t seed);
  ~CrashIncarnation();

  /// Opens the heap and checks it against the oracle.
  void Open();
  /// Opens the heap, works a little, crashes, and then allocates all that is free.
  void LiveAndFill();

  void Operate();  ///< one operation, which the seed chooses
  char* Allocate(uint64_t size_bytes);
  void Free(char* block);
  void Flush(char* block);
  void Fence();
  void Persist(char* block) {
    Flush(block);
    Fence();
  }
  void Reallocate(char* block, uint64_t size_bytes);
  void FlushFrees();
  void CloseAndOpen();
  void Close();
  void Resize(uint64_t size_bytes);
  void TakeAllFree();
  void CheckOwners();

  /// Crashes here, in all ways that the world asks for. Afterwards this incarnation goes on.
  void Crash();
  void PowerCut(uint64_t images);
  void Kill();

  /// From now on one of the workers does each operation; nullptr: the calling thread.
  void UseWorkers(std::vector<std::unique_ptr<Worker>>* workers) { workers_ = workers; }

  Heap& heap() { return *heap_; }
  CrashOwners& owners() { return owners_; }
  std::mt19937_64& random() { return random_; }
  char* Any() {
    return std::next(owners_.begin(), static_cast<ptrdiff_t>(random_() % owners_.size()))->first;
  }

 private:
  void Note(const std::string& what);
  bool Failed() const;
  bool is_last() const { return number_ + 1 >= world_.lives_max; }
  void Next(pmem::CrashRecorder* recorder, CrashOwners owners);
  void Adopt(char* block, uint64_t size_bytes);
  void OperateHere();

  CrashWorld& world_;
  pmem::CrashRecorder* recorder_;  ///< the last incarnation needs none
  CrashOwners owners_;
  int number_;
  std::mt19937_64 random_;
  std::unique_ptr<Heap> heap_;
  size_t log_begin_;
  bool crashing_ = false;
  bool filling_ = false;
  /// For each thread, the blocks that it has flushed and not fenced.
  std::map<std::thread::id, std::vector<char*>> flushed_;
  std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
};

}  // namespace morsel::alloc
