// What one allocator takes for what it is asked: a million small objects, churns
// of random sizes at a constant live size, and a medium filled to the last byte
// again and again. Built once for each allocator.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "bench/place.h"
#include "bench/random.h"
#include "bench/space_options.h"
#include BENCH_ADAPTER

namespace bench {
namespace {

constexpr uint64_t kPageBytes = 4096;

struct Object {
  char* block;
  uint64_t size_bytes;
  uint64_t owner;
};

// Every page of it, so that what is resident is what is used; and whose it is at both ends.
Object Own(void* block, uint64_t size_bytes, uint64_t owner) {
  char* const bytes = static_cast<char*>(block);
  for (uint64_t offset = 0; offset < size_bytes; offset += kPageBytes) bytes[offset] = 1;
  std::memcpy(bytes, &owner, sizeof owner);
  std::memcpy(bytes + size_bytes - sizeof owner, &owner, sizeof owner);
  return {bytes, size_bytes, owner};
}

void MustBeWhole(const Object& object) {
  if (std::memcmp(object.block, &object.owner, sizeof object.owner) != 0 ||
      std::memcmp(object.block + object.size_bytes - sizeof object.owner, &object.owner,
                  sizeof object.owner) != 0) {
    Fail("checking an object", "another object's bytes are in it");
  }
}

/// Objects of random sizes.
class Population {
 public:
  Population(Adapter& adapter, const SpaceOptions& options)
      : thread_(adapter), random_(options.seed) {
    // What the list of them takes is not the objects'.
    objects_.resize(2 * options.live_bytes / ((kSizeMinBytes + kSizeMaxBytes) / 2));
    objects_.clear();
  }

  /// Allocates so many times, and frees random ones to have no more than live_max_bytes.
  void Churn(uint64_t allocations, uint64_t live_max_bytes) {
    for (uint64_t i = 0; i < allocations; ++i) {
      const uint64_t size_bytes = RandomSize();
      while (live_bytes_ + size_bytes > live_max_bytes) Drop();
      if (!Add(size_bytes)) Fail("allocating a block", "out of memory");
    }
  }
  /// Allocates until there is no room.
  void Fill() {
    while (Add(RandomSize())) {
    }
  }
  /// Frees random ones until they have no more than so many bytes.
  void Shrink(uint64_t live_max_bytes) {
    while (live_bytes_ > live_max_bytes) Drop();
  }
  uint64_t live_bytes() const { return live_bytes_; }

 private:
  uint64_t RandomSize() { return random_.Between(kSizeMinBytes, kSizeMaxBytes); }
  bool Add(uint64_t size_bytes) {
    void* const block = thread_.Allocate(size_bytes);
    if (block == nullptr) return false;
    objects_.push_back(Own(block, size_bytes, ++owner_));
    live_bytes_ += size_bytes;
    return true;
  }
  void Drop() {
    Object& object = objects_[random_.Below(objects_.size())];
    MustBeWhole(object);
    thread_.Free(object.block);
    live_bytes_ -= object.size_bytes;
    object = objects_.back();
    objects_.pop_back();
  }

  Adapter::Thread thread_;
  uint64_t live_bytes_ = 0;
  uint64_t owner_ = 0;
  Random random_;
  std::vector<Object> objects_;
};

void Print(const char* stage, uint64_t asked_bytes, uint64_t taken_bytes) {
  std::printf("{\"stage\": \"%s\", \"asked_bytes\": %" PRIu64 ", \"taken_bytes\": %" PRIu64 "}\n",
              stage, asked_bytes, taken_bytes);
}

void Equal(Adapter& adapter, const SpaceOptions& options) {
  Adapter::Thread thread(adapter);
  std::vector<Object> objects(options.objects);
  adapter.StartTaking();
  constexpr uint64_t kBytes = 64;
  for (uint64_t i = 0; i < objects.size(); ++i) {
    void* const block = thread.Allocate(kBytes);
    if (block == nullptr) Fail("allocating a block", "out of memory");
    objects[i] = Own(block, kBytes, i);
  }
  Print("objects of 64 bytes", options.objects * kBytes, adapter.TakenBytes());
  for (const Object& object : objects) {
    MustBeWhole(object);
    thread.Free(object.block);
  }
}

void Churns(Adapter& adapter, const SpaceOptions& options) {
  Population population(adapter, options);
  adapter.StartTaking();
  for (uint64_t churn = 1; churn <= options.churns; ++churn) {
    population.Churn(options.objects, options.live_bytes);
    Print(("churn " + std::to_string(churn)).c_str(), population.live_bytes(),
          adapter.TakenBytes());
  }
  population.Shrink(0);
  Print("all freed", 0, adapter.TakenBytes());
}

// Of an allocator whose memory ends where its file does.
void Full(Adapter& adapter, const SpaceOptions& options) {
  Population population(adapter, options);
  for (uint64_t churn = 1; churn <= options.churns; ++churn) {
    population.Fill();
    Print(("full " + std::to_string(churn)).c_str(), population.live_bytes(),
          options.place.size_bytes);
    population.Shrink(population.live_bytes() / 2);
  }
  population.Shrink(0);
}

void Main(const SpaceOptions& options) {
  Adapter adapter(options.place);
  if (options.workload == "equal") {
    Equal(adapter, options);
  } else if (options.workload == "churn") {
    Churns(adapter, options);
  } else {
    Full(adapter, options);
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { bench::Main(bench::ParseSpaceOptions(argc, argv)); }
