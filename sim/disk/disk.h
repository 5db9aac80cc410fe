// A disk with one directory tree. It knows what programs see, what is durable, and what is
// undecided, that is, neither lost nor durable yet.
//
// [DSK-1] A change is visible at once. It is undecided until a sync of its file or directory that
//         began after it has succeeded: fdatasync or fsync for data and size, fsync for permission
//         bits, fsync of the directory for names.
// [DSK-2] Undecided data is lost or kept sector by sector, in any order with other undecided data.
//         Each size, mode and change of names is lost or kept as a whole. A rename is one change.
// [DSK-3] After a failed sync of a file its changes stay undecided, whatever syncs follow, until
//         what they changed is changed and synced anew: the kernel forgets what it could not write.
//         Names are the file system's own. It keeps what it could not write, or refuses everything
//         from then on, so a later successful sync of the directory makes them durable.
// [DSK-4] Where a size is lost, the data beyond it is lost. Where data is lost, the old data is
//         there, or zeros where there was none.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/disk/content.h"

namespace morsel::sim {

inline constexpr uint64_t kSectorBytes = 512;

using NodeId = uint32_t;
inline constexpr NodeId kRootNode = 0;

/// A system call in words, and the return addresses of its callers, innermost first.
struct CallSite {
  std::string words;
  std::array<const void*, 16> callers{};
};

/// New bytes of one sector, or of a part of it.
struct Piece {
  uint64_t offset;
  std::string bytes;
};

struct Change {
  enum class Kind : uint8_t { kData, kSize, kMode, kNames };
  Kind kind;
  std::shared_ptr<const std::vector<Piece>> pieces;  ///< kData: the bytes that differ from before
  uint64_t value = 0;                                ///< kSize, kMode
  /// kNames: what each name leads to now.
  std::vector<std::pair<std::string, std::optional<NodeId>>> names;
  std::shared_ptr<const CallSite> site;

  /// How many parts of it can be lost independently.
  size_t parts() const { return kind == Kind::kData ? pieces->size() : 1; }
};

struct NodeState {
  Content content;
  mode_t mode = 0;
  std::map<std::string, NodeId> names;
};

struct Node {
  bool is_directory = false;
  NodeState durable;
  NodeState visible;
  std::vector<Change> undecided;  ///< in the order in which they were made
  size_t doubtful = 0;            ///< how many of them, from the first, precede a failed sync
};

class Disk {
 public:
  /// An empty directory.
  Disk();

  const std::map<NodeId, Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const { return nodes_.at(id); }
  /// What programs see at a path like "a/b" below the root; nullptr: nothing.
  const Node* NodeAt(const std::string& path) const;

  /// Makes a file or directory that has no name yet.
  NodeId Make(bool is_directory, mode_t mode);
  void Make(NodeId id, bool is_directory, mode_t mode);

  /// The changes that a call would make; empty where nothing would differ.
  std::vector<Change> Writing(NodeId file, uint64_t offset, const char* bytes,
                              uint64_t size_bytes) const;
  std::vector<Change> Zeroing(NodeId file, uint64_t offset, uint64_t size_bytes) const;
  std::vector<Change> Resizing(NodeId file, uint64_t size_bytes) const;

  void Apply(NodeId id, const Change& change);
  void Sync(NodeId id, bool data_only, bool succeeds);
  /// Makes the data of [offset, offset + size_bytes) durable, as a write with RWF_DSYNC does. Other
  /// data and the file's size stay undecided.
  void SyncRange(NodeId id, uint64_t offset, uint64_t size_bytes);

  /// A hash of what is visible and what is undecided, by names.
  uint64_t Hash() const;

  /// The disk with those changes durable for which `keep(id, change, part)` is true, and without
  /// the others.
  template <class Keep>
  Disk Decided(Keep keep, const std::map<NodeId, bool>& backwards) const;

 private:
  void AddPieces(const Node& node, uint64_t offset, const char* bytes, uint64_t size_bytes,
                 std::vector<Piece>& pieces) const;
  static void Settle(Node& node, const std::vector<Change>& synced, std::vector<Change> pending);
  void HashNode(NodeId id, std::string& words) const;

  std::map<NodeId, Node> nodes_;
  NodeId next_ = kRootNode + 1;
};

/// Makes the change, or the parts of it for which keep(part) is true.
template <class Keep>
void ApplyTo(NodeState& state, const Change& change, Keep keep) {
  if (change.kind == Change::Kind::kData) {
    for (size_t i = 0; i < change.pieces->size(); ++i) {
      const Piece& piece = (*change.pieces)[i];
      if (keep(i)) state.content.Write(piece.offset, piece.bytes.data(), piece.bytes.size());
    }
    return;
  }
  if (!keep(size_t{0})) return;
  if (change.kind == Change::Kind::kSize) state.content.Resize(change.value);
  if (change.kind == Change::Kind::kMode) state.mode = static_cast<mode_t>(change.value);
  for (const auto& [name, node] : change.names) {
    if (node) {
      state.names[name] = *node;
    } else {
      state.names.erase(name);
    }
  }
}

template <class Keep>
Disk Disk::Decided(Keep keep, const std::map<NodeId, bool>& backwards) const {
  Disk decided = *this;
  for (auto& [id, node] : decided.nodes_) {
    uint64_t size_bytes = node.durable.content.size_bytes();
    const size_t changes = node.undecided.size();
    const bool is_backwards = backwards.count(id) != 0 && backwards.at(id);
    for (size_t step = 0; step < changes; ++step) {
      // [DSK-2] The order of names and sizes is the program's: later ones build on earlier ones.
      const size_t data_index = is_backwards ? changes - 1 - step : step;
      const Change& data = node.undecided[data_index];
      if (data.kind == Change::Kind::kData) {
        ApplyTo(node.durable, data, [&](size_t part) { return keep(id, data_index, part); });
      }
      const Change& other = node.undecided[step];
      if (other.kind == Change::Kind::kData || !keep(id, step, size_t{0})) continue;
      if (other.kind == Change::Kind::kSize) {
        size_bytes = other.value;
      } else {
        ApplyTo(node.durable, other, [](size_t) { return true; });
      }
    }
    node.durable.content.Resize(size_bytes);  // [DSK-4]
    node.visible = node.durable;
    node.undecided.clear();
    node.doubtful = 0;
  }
  return decided;
}

}  // namespace morsel::sim
