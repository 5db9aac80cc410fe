#include "morsel/roots/root_trie.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"

namespace morsel {
namespace {

std::string_view NameOf(const RootRecord& record) { return {record.name(), record.name_bytes}; }

RootType TypeOf(const RootRecord& record) {
  return {record.size_bytes, record.alignment, record.layout, record.flags,
          std::string_view(record.type_name(), record.type_name_bytes)};
}

}  // namespace

Status RootTrie::Damaged(const char* what, uint64_t offset) const {
  return Fail(Code::kCorrupt,
              "the roots of the heap at %p: %s (offset 0x%" PRIx64
              "); restore the morsel from a copy",
              static_cast<void*>(heap_.facts().header), what, offset);
}

Result<RootNode*> RootTrie::NodeAt(RootWord word) const {
  const uint64_t offset = word.offset();
  if (!IsAligned(offset, alloc::kBlockBytesMin) || offset < sizeof(alloc::HeapHeader) ||
      !Within(offset, sizeof(RootNode), heap_.range().size_bytes())) {
    return Damaged("a word leads to where no node can be", offset);
  }
  return reinterpret_cast<RootNode*>(At(offset));
}

Result<RootRecord*> RootTrie::RecordAt(RootWord word) const {
  const uint64_t offset = word.offset();
  if (!word.IsRecord() || !IsAligned(offset, alloc::kBlockBytesMin) ||
      offset < sizeof(alloc::HeapHeader) ||
      !Within(offset, sizeof(RootRecord), heap_.range().size_bytes())) {
    return Damaged("a word leads to where no record can be", offset);
  }
  auto* const record = reinterpret_cast<RootRecord*>(At(offset));
  const uint64_t names_bytes = uint64_t{record->name_bytes} + record->type_name_bytes;
  if (record->name_bytes == 0 || record->name_bytes > kRootNameBytesMax ||
      record->type_name_bytes > kTypeNameBytesMax ||
      !Within(offset, sizeof(RootRecord) + names_bytes, heap_.range().size_bytes())) {
    return Damaged("a record has names of impossible lengths", offset);
  }
  return record;
}

Result<RootTrie::Place> RootTrie::Locate(std::string_view name) const {
  Place place;
  place.hash = hash_(name.data(), name.size());
  uint64_t* word = &heap_.facts().header->roots[RootIndex(place.hash, 0)];
  RootWord leads{pmem::Load(word)};
  place.words[0] = word;
  while (leads.raw != 0 && !leads.IsRecord()) {
    if (++place.depth > kRootDepthMax) return Damaged("nodes lie too deep", leads.offset());
    const Result<RootNode*> node = NodeAt(leads);
    if (!node) return node.status();
    word = &(*node)->words[RootIndex(place.hash, place.depth)];
    place.words[place.depth] = word;
    leads.raw = pmem::Load(word);
  }
  place.word = word;
  for (int i = 0; leads.raw != 0; ++i) {
    if (i == kRootChainMax) return Damaged("a chain of records has no end", leads.offset());
    const Result<RootRecord*> record = RecordAt(leads);
    if (!record) return record.status();
    if (NameOf(**record) == name) {
      place.record = *record;
      break;
    }
    word = &(*record)->next;
    leads.raw = pmem::Load(word);
    if (leads.raw != 0) place.word = word;
  }
  return place;
}

Result<const RootRecord*> RootTrie::Find(std::string_view name) const {
  const Result<Place> place = Locate(name);
  if (!place) return place.status();
  return place->record;
}

// The word's place is said before the word is stored. Neither is flushed before: what a kill leaves
// visible is what the next process reads.
void RootTrie::Publish(uint64_t* word, uint64_t value) {
  // ORDER  root_change  <  the word
  // WHY    who opens the heap after a kill flushes the word that root_change names, and no other.
  // CRASH  before the word: it is flushed as it was, which changes nothing.
  // TEST   morsel/roots/root_trie_crash_test: KillThenPowerCut
  if (heap_.facts().fine) pmem::Store(&heap_.facts().header->root_change, OffsetOf(word));
  heap_.facts().persist.Publish(word, value);
}

// A free of what is no block ends the process, and the offset of this one comes from the medium.
Status RootTrie::CheckIsBlock(const void* block) const {
  const Result<bool> is_block = heap_.IsLive(block, /*must_begin=*/true);
  if (!is_block) return is_block.status();
  return *is_block ? Status() : Damaged("a word leads to where no block begins", OffsetOf(block));
}

// Frees a block that no durable word leads to.
void RootTrie::Release(void* block) {
  // ORDER  the word that led to the block  <  root_frees  <  the free
  // WHY    who reads beside this process may be at the block; afterwards its bytes are anybody's.
  // CRASH  the block is free, or allocated and unreached.
  // TEST   morsel/roots/root_trie_test: AFreeIsCountedForWhoReadsBeside
  if (heap_.facts().fine) {
    uint64_t* const frees = &heap_.facts().header->root_frees;
    pmem::Store(frees, pmem::Load(frees) + 1);
  }
  heap_.Free(block);
}

// Makes a record that nobody finds yet. The next fence makes it durable.
Result<uint64_t> RootTrie::MakeRecord(std::string_view name, void* object, const RootType& type,
                                      uint64_t next) {
  const uint64_t size_bytes = sizeof(RootRecord) + name.size() + type.name.size();
  const Result<void*> block = heap_.Allocate(size_bytes, alloc::kBlockBytesMin);
  if (!block) return block.status();
  RootRecord head{};
  head.next = next;
  head.object = reinterpret_cast<uint64_t>(object);
  head.size_bytes = type.size_bytes;
  head.alignment = type.alignment;
  head.layout = type.layout;
  head.flags = type.flags;
  head.name_bytes = static_cast<uint16_t>(name.size());
  head.type_name_bytes = static_cast<uint16_t>(type.name.size());
  char* const bytes = static_cast<char*>(*block);
  std::memcpy(bytes, &head, sizeof head);
  std::memcpy(bytes + sizeof head, name.data(), name.size());
  if (!type.name.empty()) {
    std::memcpy(bytes + sizeof head + name.size(), type.name.data(), type.name.size());
  }
  if (const Status flushed = heap_.Flush(bytes, size_bytes); !flushed.ok()) {
    heap_.Free(bytes);
    return flushed;
  }
  return OffsetOf(bytes);
}

Status RootTrie::Set(std::string_view name, void* object, const RootType& type) {
  const Result<Place> place = Locate(name);
  if (!place) return place.status();
  RootRecord* const old = place->record;
  if (old != nullptr && TypeOf(*old) == type) {
    Publish(&old->object, reinterpret_cast<uint64_t>(object));
    return Code::kOk;
  }
  if (old != nullptr) MORSEL_TRY(CheckIsBlock(old));
  const Result<uint64_t> next =
      old == nullptr ? ChainAt(*place) : Result<uint64_t>(pmem::Load(&old->next));
  if (!next) return next.status();
  const Result<uint64_t> record = MakeRecord(name, object, type, *next);
  if (!record) return record.status();
  if (old == nullptr) {
    const Status added = Add(*place, *record);
    if (!added.ok()) heap_.Free(At(*record));
    return added;
  }
  // ORDER  the new record  <  the word that leads to it  <  the old record's free
  // WHY    the word makes the new record true, and the old one reached by nobody.   [ROOT-2]
  // CRASH  before the word: the root is the old one, and the new record is reached by nobody.
  // TEST   morsel/roots/root_trie_crash_test: AnotherType
  heap_.Fence();
  Publish(place->word, RootWord::Record(*record).raw);
  Release(old);
  return Code::kOk;
}

// The word of the records that have the hash, which a new one leads on to; 0: there are none.
Result<uint64_t> RootTrie::ChainAt(const Place& place) const {
  const RootWord first{pmem::Load(place.words[place.depth])};
  int length = 0;
  for (RootWord at = first; at.raw != 0; ++length) {
    const Result<RootRecord*> record = RecordAt(at);
    if (!record) return record.status();
    if (length == 0 && HashOf(**record) != place.hash) return 0;
    at.raw = pmem::Load(&(*record)->next);
  }
  if (length < kRootChainMax) return first.raw;
  return Fail(Code::kNoSpace, "%d roots have names of the same hash: choose another name",
              kRootChainMax);
}

// Links a record, flushed, that is the only one of its name.
Status RootTrie::Add(const Place& place, uint64_t record) {
  uint64_t* const word = place.words[place.depth];
  const RootWord there{pmem::Load(word)};
  if (there.raw != 0) {
    const Result<RootRecord*> first = RecordAt(there);
    if (!first) return first.status();
    const uint64_t hash_there = HashOf(**first);
    if (hash_there != place.hash) return Part(place, hash_there, record);
  }
  // ORDER  the record, and its allocation  <  the word
  // WHY    a record that a word leads to is believed.                               [ROOT-2]
  // CRASH  before the word: there is no such root, and nobody reaches the record.
  // TEST   morsel/roots/root_trie_crash_test: ANewRoot
  heap_.Fence();
  Publish(word, RootWord::Record(record).raw);
  return Code::kOk;
}

// Makes nodes below a word that leads to a record of another hash, as many as the two hashes have
// in common from there on, and links both records in the last.
Status RootTrie::Part(const Place& place, uint64_t hash_there, uint64_t record) {
  uint64_t* const word = place.words[place.depth];
  const uint64_t there = pmem::Load(word);
  unsigned last = place.depth + 1;
  while (last <= kRootDepthMax && RootIndex(place.hash, last) == RootIndex(hash_there, last)) {
    ++last;
  }
  bool is_in_place = last <= kRootDepthMax;
  for (unsigned depth = 0; depth <= place.depth; ++depth) {
    is_in_place = is_in_place && RootIndex(place.hash, depth) == RootIndex(hash_there, depth);
  }
  if (!is_in_place) return Damaged("a record lies where its name does not lead", there);
  std::vector<RootNode*> nodes;
  Status made = Code::kOk;
  for (unsigned depth = last; depth > place.depth && made.ok(); --depth) {
    const Result<void*> block = heap_.Allocate(sizeof(RootNode), alloc::kBlockBytesMin);
    if (!block) {
      made = block.status();
      break;
    }
    auto* const node = new (*block) RootNode{};
    if (nodes.empty()) {
      node->words[RootIndex(hash_there, depth)] = there;
      node->words[RootIndex(place.hash, depth)] = RootWord::Record(record).raw;
    } else {
      node->words[RootIndex(place.hash, depth)] = RootWord::Node(OffsetOf(nodes.back())).raw;
    }
    nodes.push_back(node);
    made = heap_.Flush(node, sizeof *node);
  }
  if (!made.ok()) {
    const KeepLastError keep;
    for (RootNode* const node : nodes) heap_.Free(node);
    return made;
  }
  // ORDER  the record and the nodes, and their allocation  <  the word
  // WHY    the word takes the record that was there from its place: the nodes must lead to it.
  // CRASH  before the word: what was there is there; nobody reaches the nodes.       [ROOT-2]
  // TEST   morsel/roots/root_trie_crash_test: ANewRoot
  heap_.Fence();
  Publish(word, RootWord::Node(OffsetOf(nodes.back())).raw);
  return Code::kOk;
}

Result<bool> RootTrie::Forget(std::string_view name) {
  const Result<Place> place = Locate(name);
  if (!place) return place.status();
  if (place->record == nullptr) return false;
  MORSEL_TRY(CheckIsBlock(place->record));
  // ORDER  the word that leads past the record  <  the record's free
  // WHY    a free may become durable at once, and the block be anybody's.           [ROOT-2]
  // CRASH  before the word: the root is there. After: nobody reaches the record.
  // TEST   morsel/roots/root_trie_crash_test: AForgottenRoot
  Publish(place->word, pmem::Load(&place->record->next));
  Release(place->record);
  for (unsigned depth = place->depth; depth > 0; --depth) {
    uint64_t* const word = place->words[depth - 1];
    void* const node = At(RootWord{pmem::Load(word)}.offset());
    const auto& words = static_cast<RootNode*>(node)->words;
    if (std::any_of(std::begin(words), std::end(words), [](uint64_t leads) { return leads != 0; }))
      break;
    MORSEL_TRY(CheckIsBlock(node));
    // ORDER  the word that led to the empty node  <  the node's free
    // WHY    as above; a node that is left empty leads to nothing and is used again.
    // CRASH  before the word: the node is empty.
    // TEST   morsel/roots/root_trie_crash_test: AForgottenRoot
    Publish(word, 0);
    Release(node);
  }
  return true;
}

Status RootTrie::ForEach(const std::function<void(const Found&)>& visit) const {
  struct Word {
    uint64_t raw;
    unsigned depth;
    uint64_t prefix;  ///< the bits of the hash that have led there
  };
  uint64_t blocks_left = heap_.range().size_bytes() / sizeof(RootRecord);
  std::vector<Word> left;
  for (uint64_t i = 0; i < alloc::kRootWords; ++i) {
    left.push_back({pmem::Load(&heap_.facts().header->roots[i]), 0, i});
  }
  while (!left.empty()) {
    const Word at = left.back();
    left.pop_back();
    const RootWord word{at.raw};
    if (word.raw == 0) continue;
    if (blocks_left-- == 0) return Damaged("there are more than there is room for", word.offset());
    if (!word.IsRecord()) {
      if (at.depth == kRootDepthMax) return Damaged("nodes lie too deep", word.offset());
      const Result<RootNode*> node = NodeAt(word);
      if (!node) return node.status();
      visit({word.offset(), nullptr, false});
      const unsigned shift = kRootTopBits + kRootNodeBits * at.depth;
      for (uint64_t i = 0; i < std::size((*node)->words); ++i) {
        left.push_back({pmem::Load(&(*node)->words[i]), at.depth + 1, at.prefix | i << shift});
      }
      continue;
    }
    RootWord next = word;
    for (int i = 0; next.raw != 0; ++i) {
      if (i == kRootChainMax || (i > 0 && blocks_left-- == 0))
        return Damaged("a chain of records has no end", next.offset());
      const Result<RootRecord*> record = RecordAt(next);
      if (!record) return record.status();
      const unsigned bits = kRootTopBits + kRootNodeBits * at.depth;
      const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
      visit({next.offset(), *record, (HashOf(**record) & mask) != at.prefix});
      next.raw = pmem::Load(&(*record)->next);
    }
  }
  return Code::kOk;
}

}  // namespace morsel
