#include "tests/crash/image/library.h"

#include <algorithm>

namespace morsel::crash {
namespace {

constexpr uint64_t kKeys = 400;
constexpr uint64_t kRawsMax = 24;
constexpr uint64_t kRawBytesMax = 120 * 1024;

uint64_t Mixed(uint64_t sum, uint64_t value) {
  sum = (sum ^ value) * 0x9e3779b97f4a7c15;
  return sum ^ (sum >> 29);
}

// Lengths of strings leave out what others' blocks are for.
uint64_t LengthOf(Random& random) {
  const uint64_t length = random.Logarithmic(1, 4000);
  return length + 1 > 80 && length + 1 <= kOthersBlockBytes ? 200 : length;
}

char LetterOf(uint64_t key) { return static_cast<char>('a' + key % 26); }

}  // namespace

LibraryPartition::LibraryPartition(morsel_t* morsel, uint64_t number)
    : number_(number),
      strings_(Strings::allocator_type(morsel)),
      sequences_(Sequences::allocator_type(morsel)),
      raws_(Allocator<Raw>(morsel)) {}

bool LibraryPartition::Change(Random& random) {
  switch (random.Below(3)) {
    case 0:
      ChangeString(random);
      return true;
    case 1:
      ChangeSequence(random);
      return true;
    default:
      return ChangeRaw(random);
  }
}

void LibraryPartition::ChangeString(Random& random) {
  const uint64_t key = random.Below(kKeys);
  if (random.OneIn(3)) {
    strings_.erase(key);
    return;
  }
  const Allocator<char> allocator(strings_.get_allocator());
  strings_.insert_or_assign(key, String(LengthOf(random), LetterOf(key), allocator));
}

void LibraryPartition::ChangeSequence(Random& random) {
  const uint64_t key = random.Below(kKeys);
  if (random.OneIn(8)) {
    sequences_.erase(key);
    return;
  }
  const Allocator<uint64_t> allocator(sequences_.get_allocator());
  Numbers& numbers = sequences_.try_emplace(key, allocator).first->second;
  for (uint64_t i = random.Between(1, 20); i > 0; --i) numbers.push_back(key * numbers.size());
}

bool LibraryPartition::PutRaw(Random& random) {
  const Object object = {.serial = ++last_serial_,
                         .owner = number_,
                         .size_bytes = random.Logarithmic(200, kRawBytesMax),
                         .seed = random.Any()};
  morsel_t* const morsel = morsel_of(raws_.get_allocator().base());
  void* const block = random.OneIn(2) ? morsel_malloc(morsel, object.size_bytes)
                                      : morsel_aligned_alloc(morsel, 4096, object.size_bytes);
  if (block == nullptr) return false;
  WriteObject(block, object);
  raws_.push_back({block, object});
  return true;
}

bool LibraryPartition::ChangeRaw(Random& random) {
  if (raws_.empty() || (raws_.size() < kRawsMax && random.OneIn(2))) return PutRaw(random);
  morsel_t* const morsel = morsel_of(raws_.get_allocator().base());
  Raw& raw = raws_[random.Below(raws_.size())];
  if (random.OneIn(2)) {
    morsel_free(morsel, raw.block);
    raw = raws_.back();
    raws_.pop_back();
    return true;
  }
  const uint64_t size_bytes = random.Logarithmic(200, kRawBytesMax);
  void* const block = morsel_realloc(morsel, raw.block, size_bytes);
  if (block == nullptr) return false;
  raw.block = block;
  raw.object.size_bytes = size_bytes;
  raw.object.serial = ++last_serial_;
  WriteObject(block, raw.object);
  return true;
}

std::string LibraryPartition::Difference() const {
  for (const auto& [key, string] : strings_) {
    const auto wrong = string.find_first_not_of(LetterOf(key));
    if (wrong != String::npos) return "string " + std::to_string(key) + " has another letter";
  }
  for (const auto& [key, numbers] : sequences_) {
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] != key * i) return "sequence " + std::to_string(key) + " has another number";
    }
  }
  for (const Raw& raw : raws_) {
    std::string difference = crash::Difference(raw.block, raw.object);
    if (!difference.empty()) return difference;
  }
  return {};
}

uint64_t LibraryPartition::Sum() const {
  uint64_t sum = Mixed(number_, last_serial_);
  for (const auto& [key, string] : strings_) sum = Mixed(Mixed(sum, key), string.size());
  for (const auto& [key, numbers] : sequences_) sum = Mixed(Mixed(sum, key), numbers.size());
  for (const Raw& raw : raws_) {
    sum = Mixed(Mixed(sum, raw.object.serial), reinterpret_cast<uint64_t>(raw.block));
  }
  return sum;
}

std::string Library::Difference() const {
  for (const LibraryPartition& partition : partitions) {
    std::string difference = partition.Difference();
    if (!difference.empty()) return difference;
  }
  return {};
}

uint64_t Library::Sum() const {
  uint64_t sum = 0;
  for (const LibraryPartition& partition : partitions) sum = Mixed(sum, partition.Sum());
  return sum;
}

}  // namespace morsel::crash
