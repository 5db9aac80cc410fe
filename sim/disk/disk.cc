#include "sim/disk/disk.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/checksum.h"

namespace morsel::sim {
namespace {

const std::string kZeroPage(Content::kPageBytes, '\0');

constexpr auto kAll = [](size_t) { return true; };

template <class Value>
void AppendWord(std::string& words, const Value& value) {
  words.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::set<uint64_t> SectorsOf(const std::vector<Change>& changes, size_t begin, size_t end) {
  std::set<uint64_t> sectors;
  for (size_t i = begin; i < end; ++i) {
    if (changes[i].kind != Change::Kind::kData) continue;
    for (const Piece& piece : *changes[i].pieces) sectors.insert(piece.offset / kSectorBytes);
  }
  return sectors;
}

// [DSK-3] What of a doubtful change is left where `synced` is durable.
std::optional<Change> Left(const Change& doubtful, const std::vector<Change>& synced,
                           const std::set<uint64_t>& sectors) {
  Change left = doubtful;
  if (doubtful.kind == Change::Kind::kData) {
    auto pieces = std::make_shared<std::vector<Piece>>();
    for (const Piece& piece : *doubtful.pieces) {
      if (sectors.count(piece.offset / kSectorBytes) == 0) pieces->push_back(piece);
    }
    if (pieces->empty()) return std::nullopt;
    left.pieces = std::move(pieces);
    return left;
  }
  for (const Change& other : synced) {
    if (other.kind == doubtful.kind) return std::nullopt;
  }
  return left;
}

}  // namespace

Disk::Disk() { Make(kRootNode, true, 0700); }

void Disk::Make(NodeId id, bool is_directory, mode_t mode) {
  Node& node = nodes_[id];
  node = Node();
  node.is_directory = is_directory;
  node.durable.mode = mode;
  node.visible.mode = mode;
  next_ = std::max(next_, id + 1);
}

NodeId Disk::Make(bool is_directory, mode_t mode) {
  const NodeId id = next_;
  Make(id, is_directory, mode);
  return id;
}

void Disk::AddPieces(const Node& node, uint64_t offset, const char* bytes, uint64_t size_bytes,
                     std::vector<Piece>& pieces) const {
  const Content& durable = node.durable.content;
  const Content& visible = node.visible.content;
  const std::set<uint64_t> doubtful = SectorsOf(node.undecided, 0, node.doubtful);
  const bool may_skip = doubtful.empty();
  while (size_bytes > 0) {
    const uint64_t room = may_skip ? Content::kPageBytes : kSectorBytes;
    uint64_t part = std::min(size_bytes, room - offset % room);
    const auto is_as_before = [&](uint64_t bytes_of_it) {
      return durable.Equals(offset, bytes, bytes_of_it) &&
             visible.Equals(offset, bytes, bytes_of_it);
    };
    if (!may_skip || !is_as_before(part)) {
      const uint64_t end = offset + part;
      for (; offset < end; offset += part, bytes += part, size_bytes -= part) {
        part = std::min(end - offset, kSectorBytes - offset % kSectorBytes);
        if (is_as_before(part) && doubtful.count(offset / kSectorBytes) == 0) continue;
        pieces.push_back({offset, std::string(bytes, part)});
      }
      continue;
    }
    offset += part;
    bytes += part;
    size_bytes -= part;
  }
}

const Node* Disk::NodeAt(const std::string& path) const {
  const Node* node = &nodes_.at(kRootNode);
  for (size_t at = 0; at < path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const auto found = node->visible.names.find(path.substr(at, slash - at));
    if (found == node->visible.names.end()) return nullptr;
    node = &nodes_.at(found->second);
    at = slash + 1;
  }
  return node;
}

std::vector<Change> Disk::Writing(NodeId file, uint64_t offset, const char* bytes,
                                  uint64_t size_bytes) const {
  const Node& node = nodes_.at(file);
  std::vector<Change> changes;
  auto pieces = std::make_shared<std::vector<Piece>>();
  AddPieces(node, offset, bytes, size_bytes, *pieces);
  if (!pieces->empty()) {
    changes.push_back({.kind = Change::Kind::kData, .pieces = pieces, .names = {}, .site = {}});
  }
  if (offset + size_bytes > node.visible.content.size_bytes()) {
    changes.push_back({.kind = Change::Kind::kSize,
                       .pieces = {},
                       .value = offset + size_bytes,
                       .names = {},
                       .site = {}});
  }
  return changes;
}

std::vector<Change> Disk::Zeroing(NodeId file, uint64_t offset, uint64_t size_bytes) const {
  const Node& node = nodes_.at(file);
  const uint64_t end = std::min(offset + size_bytes, std::max(node.visible.content.size_bytes(),
                                                              node.durable.content.size_bytes()));
  auto pieces = std::make_shared<std::vector<Piece>>();
  while (offset < end) {
    const uint64_t part = std::min(end - offset, Content::kPageBytes);
    AddPieces(node, offset, kZeroPage.data(), part, *pieces);
    offset += part;
  }
  if (pieces->empty()) return {};
  return {{.kind = Change::Kind::kData, .pieces = pieces, .names = {}, .site = {}}};
}

std::vector<Change> Disk::Resizing(NodeId file, uint64_t size_bytes) const {
  const uint64_t before = nodes_.at(file).visible.content.size_bytes();
  if (size_bytes == before) return {};
  std::vector<Change> changes;
  if (size_bytes < before) changes = Zeroing(file, size_bytes, before - size_bytes);
  changes.push_back(
      {.kind = Change::Kind::kSize, .pieces = {}, .value = size_bytes, .names = {}, .site = {}});
  return changes;
}

void Disk::Apply(NodeId id, const Change& change) {
  Node& node = nodes_.at(id);
  ApplyTo(node.visible, change, kAll);
  node.undecided.push_back(change);
}

void Disk::Sync(NodeId id, bool data_only, bool succeeds) {
  Node& node = nodes_.at(id);
  if (!succeeds) {
    if (!node.is_directory) node.doubtful = node.undecided.size();
    return;
  }
  std::vector<Change> synced;
  std::vector<Change> pending;
  for (size_t i = node.doubtful; i < node.undecided.size(); ++i) {
    const bool waits = data_only && node.undecided[i].kind == Change::Kind::kMode;
    (waits ? pending : synced).push_back(node.undecided[i]);
  }
  Settle(node, synced, std::move(pending));
}

void Disk::SyncRange(NodeId id, uint64_t offset, uint64_t size_bytes) {
  Node& node = nodes_.at(id);
  const auto is_inside = [&](const Piece& piece) {
    return piece.offset >= offset && piece.offset + piece.bytes.size() <= offset + size_bytes;
  };
  std::vector<Change> synced;
  std::vector<Change> pending;
  for (size_t i = node.doubtful; i < node.undecided.size(); ++i) {
    const Change& change = node.undecided[i];
    if (change.kind != Change::Kind::kData) {
      pending.push_back(change);
      continue;
    }
    auto inside = std::make_shared<std::vector<Piece>>();
    auto outside = std::make_shared<std::vector<Piece>>();
    for (const Piece& piece : *change.pieces) {
      (is_inside(piece) ? inside : outside)->push_back(piece);
    }
    for (const auto& [pieces, to] : {std::pair{inside, &synced}, std::pair{outside, &pending}}) {
      if (pieces->empty()) continue;
      to->push_back(change);
      to->back().pieces = pieces;
    }
  }
  Settle(node, synced, std::move(pending));
}

// Makes `synced` durable. Of what a failed sync has left in doubt that leaves what it does not
// change anew. `pending` stays undecided.                                               [DSK-3]
void Disk::Settle(Node& node, const std::vector<Change>& synced, std::vector<Change> pending) {
  const std::set<uint64_t> sectors = SectorsOf(synced, 0, synced.size());
  std::vector<Change> left;
  for (size_t i = 0; i < node.doubtful; ++i) {
    if (std::optional<Change> some = Left(node.undecided[i], synced, sectors)) {
      left.push_back(std::move(*some));
    }
  }
  for (const Change& change : synced) ApplyTo(node.durable, change, kAll);
  node.doubtful = left.size();
  left.insert(left.end(), pending.begin(), pending.end());
  node.undecided = std::move(left);
}

void Disk::HashNode(NodeId id, std::string& words) const {
  const Node& node = nodes_.at(id);
  AppendWord(words, node.is_directory);
  AppendWord(words, node.visible.mode);
  AppendWord(words, node.visible.content.Hash());
  if (!node.undecided.empty()) AppendWord(words, node.durable.content.Hash());
  for (const Change& change : node.undecided) {
    AppendWord(words, change.kind);
    AppendWord(words, change.value);
    for (const auto& [name, target] : change.names) words += name + (target ? "+" : "-");
    if (change.kind != Change::Kind::kData) continue;
    for (const Piece& piece : *change.pieces) {
      AppendWord(words, piece.offset);
      AppendWord(words, Checksum64(piece.bytes.data(), piece.bytes.size()));
    }
  }
  AppendWord(words, node.doubtful);
  for (const auto& [name, child] : node.visible.names) {
    words += name;
    words += '/';
    HashNode(child, words);
  }
}

uint64_t Disk::Hash() const {
  std::string words;
  HashNode(kRootNode, words);
  return Checksum64(words.data(), words.size());
}

}  // namespace morsel::sim
