#include "morsel/roots/roots.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <set>

#include "base/bits.h"
#include "base/error.h"
#include "morsel/roots/beside_writer.h"
#include "morsel/roots/root_table.h"
#include "morsel/roots/root_trie.h"

namespace morsel {
namespace {

// Makes a heap of kHeapVersionOfTables one of kHeapVersion, durably.
void LeaveTables(alloc::Heap& heap) {
  alloc::HeapHeader& header = *heap.facts().header;
  if (header.version == alloc::kHeapVersion) return;
  const auto version = alloc::kHeapVersion;
  static_assert(sizeof version == sizeof header.version);
  uint64_t word = 0;
  std::memcpy(&word, &header.version, sizeof word);
  std::memcpy(&word, &version, sizeof version);
  // The word has unit_bytes, too, which stay.
  heap.facts().persist.Publish(reinterpret_cast<uint64_t*>(&header.version), word);
}

Status CheckName(std::string_view name) {
  if (!name.empty() && name.size() <= kRootNameBytesMax) return Code::kOk;
  return Fail(Code::kInvalidArgument,
              "a root's name has 1 to %" PRIu64 " bytes, this one has %zu: choose another",
              kRootNameBytesMax, name.size());
}

RootType TypeOf(const RootRecord& record) {
  return {record.size_bytes, record.alignment, record.layout, record.flags,
          std::string_view(record.type_name(), record.type_name_bytes)};
}

void* ObjectOf(const RootRecord& record) {
  return reinterpret_cast<void*>(pmem::Load(&record.object));
}

}  // namespace

// Reads roots which another process may be changing.
template <class Read>
auto Roots::WhileUnchanged(Read read) const {
  const bool is_beside = heap_.facts().fine && heap_.facts().read_only;
  return BesideWriter(is_beside ? &heap_.facts().header->root_frees : nullptr, read);
}

Status Roots::CheckTable() const {
  const uint64_t bytes = heap_.facts().root_table_bytes();
  if (bytes == kRootTableBytes ||
      (bytes == 0 && heap_.facts().header->version == alloc::kHeapVersion)) {
    return Code::kOk;
  }
  return Fail(Code::kCorrupt,
              "the heap at %p has %" PRIu64 " bytes of roots where %" PRIu64
              " are due; restore the morsel from a copy",
              static_cast<void*>(heap_.facts().header), bytes, kRootTableBytes);
}

Result<Roots::Found> Roots::Find(std::string_view name, const RootType& wanted) const {
  return WhileUnchanged([&]() -> Result<Found> {
    const Result<const RootRecord*> record = RootTrie(heap_).Find(name);
    if (!record) return record.status();
    Found found;
    if (*record == nullptr) {
      found.object = RootTable(heap_).Find(name);
    } else {
      found.object = ObjectOf(**record);
      found.type = TypeOf(**record);
    }
    found.fits = Fits(found.type, wanted);
    return found;
  });
}

Status Roots::Set(std::string_view name, void* object, const RootType& type) {
  MORSEL_TRY(CheckName(name));
  // ORDER  the version  <  the first word of the trie
  // WHY    a library that knows tables only must refuse the heap, not miss the root.
  // CRASH  before the word: the heap refuses older libraries, and its roots are those of the table.
  // TEST   morsel/roots/root_trie_crash_test: AHeapOfTables
  LeaveTables(heap_);
  MORSEL_TRY(RootTrie(heap_).Set(name, object, type));
  // ORDER  the trie's root  <  the end of the table's
  // WHY    the name must lead to the one object or to the other.                    [ROOT-6]
  // CRASH  before the end: the trie's counts.
  // TEST   morsel/roots/root_trie_crash_test: AHeapOfTables
  (void)RootTable(heap_).Forget(name);
  return Code::kOk;
}

Status Roots::Forget(std::string_view name) {
  MORSEL_TRY(CheckName(name));
  // ORDER  the end of the table's root  <  the end of the trie's
  // WHY    the table's would come back, which leads to what may be freed by now.    [ROOT-6]
  // CRASH  before the trie's end: the root is there.
  // TEST   morsel/roots/root_trie_crash_test: AHeapOfTables
  const bool was_in_table = RootTable(heap_).Forget(name);
  const Result<bool> was_in_trie = RootTrie(heap_).Forget(name);
  if (!was_in_trie) return was_in_trie.status();
  if (was_in_table || *was_in_trie) return Code::kOk;
  return Fail(Code::kNotFound,
              "there is no root '%.*s' to forget; morsel_set_root of an object makes one",
              static_cast<int>(name.size()), name.data());
}

Result<std::vector<Roots::Root>> Roots::All() const {
  Result<std::vector<Root>> read = WhileUnchanged([&]() -> Result<std::vector<Root>> {
    std::vector<Root> all;
    RootTable(heap_).ForEach([&](uint64_t, std::string_view name, void* object) {
      all.push_back({std::string(name), object});
    });
    const auto of_table = static_cast<ptrdiff_t>(all.size());
    const Status status = RootTrie(heap_).ForEach([&](const RootTrie::Found& found) {
      if (found.record == nullptr) return;
      RootType type = TypeOf(*found.record);
      std::string type_name = NameInWords(type);
      type.name = {};
      all.push_back({std::string(found.record->name(), found.record->name_bytes),
                     ObjectOf(*found.record), type, std::move(type_name)});
    });
    if (!status.ok()) return status;
    std::rotate(all.begin(), all.begin() + of_table, all.end());
    return all;
  });
  if (!read) return read;
  const auto by_name = [](const Root& a, const Root& b) { return a.name < b.name; };
  std::stable_sort(read->begin(), read->end(), by_name);
  // A name that both have is the trie's, which stands first.
  const auto of_one_name = [](const Root& a, const Root& b) { return a.name == b.name; };
  read->erase(std::unique(read->begin(), read->end(), of_one_name), read->end());
  return read;
}

Result<std::vector<const void*>> Roots::Blocks() const {
  std::vector<const void*> blocks;
  const char* const base = reinterpret_cast<const char*>(heap_.facts().header);
  MORSEL_TRY(RootTrie(heap_).ForEach(
      [&](const RootTrie::Found& found) { blocks.push_back(base + found.offset); }));
  std::sort(blocks.begin(), blocks.end());
  return blocks;
}

namespace {

// A root's name with '?' in place of control characters.
std::string Shown(std::string_view of) {
  std::string name(of);
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return name;
}

// What is wrong with where a root leads to; nothing: it is right.
std::string WrongObject(alloc::Heap& heap, const void* object) {
  const uint64_t base = reinterpret_cast<uint64_t>(heap.facts().header);
  const uint64_t address = reinterpret_cast<uint64_t>(object);
  char text[160];
  if (!Within(address - base, 1, heap.range().size_bytes())) {
    std::snprintf(text, sizeof text,
                  " leads to 0x%" PRIx64 ", outside of the morsel (0x%" PRIx64 "-0x%" PRIx64 ")",
                  address, base, base + heap.range().size_bytes());
  } else if (const Result<bool> live = heap.IsLive(object); !live || !*live) {
    std::snprintf(text, sizeof text, " leads to 0x%" PRIx64 ", where no block is allocated",
                  address);
  } else {
    return {};
  }
  return std::string(text) + "; set it anew, or restore the morsel from a copy";
}

}  // namespace

uint64_t Roots::Validate(const std::function<void(const std::string&)>& report) const {
  uint64_t roots = 0;
  std::set<std::string> names;
  const auto add = [&](const std::string& label, std::string_view name, const void* object) {
    ++roots;
    if (!names.emplace(name).second) {
      report(label + " has the name of another root; only one of them is found");
    }
    if (const std::string wrong = WrongObject(heap_, object); !wrong.empty()) report(label + wrong);
  };
  char place[32];
  std::vector<RootTrie::Found> found;
  const Status walked =
      RootTrie(heap_).ForEach([&](const RootTrie::Found& one) { found.push_back(one); });
  if (!walked.ok()) report(LastError());
  for (const RootTrie::Found& one : found) {
    std::snprintf(place, sizeof place, "(offset 0x%" PRIx64 ")", one.offset);
    const char* const block = reinterpret_cast<const char*>(heap_.facts().header) + one.offset;
    const Result<bool> is_block = heap_.IsLive(block, /*must_begin=*/true);
    const std::string what = one.record == nullptr ? "a node of the roots " : "a record of a root ";
    if (!is_block || !*is_block) report(what + place + " lies where no block is allocated");
    if (one.record == nullptr) continue;
    const std::string_view name(one.record->name(), one.record->name_bytes);
    const std::string label = "root '" + Shown(name) + "' " + place;
    if (one.is_misplaced) report(label + " lies where its name does not lead");
    add(label, name, ObjectOf(*one.record));
  }
  const std::set<std::string> of_trie = names;
  RootTable(heap_).ForEach([&](uint64_t entry, std::string_view name, const void* object) {
    const std::string label = "root '" + Shown(name) + "' (entry " + std::to_string(entry) + ")";
    if (of_trie.contains(std::string(name))) return;  // what a crash has left
    if (name.empty() || name.size() == sizeof RootEntry{}.name) {
      report(label + " has " + (name.empty() ? "no name" : "a name without an end") +
             "; nobody can ask for it by name");
    }
    add(label, name, object);
  });
  return roots;
}

}  // namespace morsel
