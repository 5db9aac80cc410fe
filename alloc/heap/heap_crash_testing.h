// Lives of a heap: each opens it, works, and ends in a crash at any fence or
// between operations; what the crash may have left is opened by the next life,
// recovery included, and so on.
//
// The oracle: the heap opens; Validate() finds nothing; every block whose
// persist() had returned is live with its bytes; no byte has two owners.
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

/// One thread that does what it is told, while who tells it waits.
class Worker {
 public:
  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
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
  uint64_t filled_begin = 0;  ///< these bytes the test has written
  uint64_t filled_end = 0;
  bool live_durable = false;   ///< it must survive
  bool bytes_durable = false;  ///< with what was written
};
using CrashOwners = std::map<char*, CrashOwner>;

/// The memory that all lives share, and how much is explored.
struct CrashWorld {
  CrashWorld(uint64_t size, uint64_t capacity) : size_bytes(size), memory(capacity) {
    spans = {{memory.base(), capacity}};
  }

  uint64_t size_bytes;  ///< as the pool has it, durably
  HeapMemory memory;
  std::vector<pmem::CrashRecorder::Span> spans;
  bool crashes = true;
  bool may_resize = false;
  bool fills = true;  ///< what blocks hold is looked at
  /// So many lives follow each other at most.
  int lives_max = 3;
  /// Power cuts at each crash point of the first life, and of one in so many points of later ones.
  uint64_t images = 6;
  uint64_t later_points = 12;
  /// One crash point in so many is also taken for a kill, in the first life and in later ones.
  uint64_t kill_points = 4;
  uint64_t later_kill_points = 24;
  uint64_t operations_later = 5;
  std::vector<uint64_t> sizes = {16, 48, 64, 320, 1000, 4000, 30'000, 66'000, 140'000, 400'000};
  /// At the end of a life everything free is taken in blocks of one of these sizes.
  std::vector<uint64_t> fill_sizes = {3000, 16'000, 65'000, 70'000};

  uint64_t lives = 0;
  uint64_t tags = 0;
  std::vector<std::string> log;  ///< of the lives up to now
  std::string Log() const;       ///< its end, for a failure
};

class CrashIncarnation {
 public:
  /// `owners`: what must be there, and what else the memory shows. `number`: 0 for the first.
  CrashIncarnation(CrashWorld& world, pmem::CrashRecorder* recorder, CrashOwners owners, int number,
                   uint64_t seed);
  ~CrashIncarnation();

  /// Opens the heap and holds it against the oracle.
  void Open();
  /// Opens, works a little, and takes all that is free.
  void LiveAndFill();

  void Operate();  ///< one operation, as the seed decides
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

  /// Crashes here, in all ways that the world asks for.
  void Crash();
  void PowerCut(uint64_t images);
  void Kill();

  /// Each operation is done by one of the workers.
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
  pmem::CrashRecorder* recorder_;  ///< the last life needs none
  CrashOwners owners_;
  int number_;
  std::mt19937_64 random_;
  std::unique_ptr<Heap> heap_;
  size_t log_begin_;
  bool crashing_ = false;
  bool filling_ = false;
  /// By thread: what it has flushed and not fenced.
  std::map<std::thread::id, std::vector<char*>> flushed_;
  std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
};

}  // namespace morsel::alloc
