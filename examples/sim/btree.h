// A B+-tree of keys in a morsel, with leaves that are linked to the right (Lehman
// and Yao), for one thread: a search that comes to a leaf too far left goes on along
// the links, so that a split is true with one store.
#pragma once

#include <algorithm>
#include <cstdint>
#include <morsel/morsel.hpp>

namespace example {

inline constexpr uint64_t kKeysPerLeaf = 4;
inline constexpr uint64_t kLeavesMax = 16;

struct Leaf {
  Leaf* next;
  uint64_t low;                 ///< no key is smaller
  uint64_t keys[kKeysPerLeaf];  ///< in no order; 0, and what is not below next->low: room

  bool Has(uint64_t key) const {
    return key != 0 && (next == nullptr || key < next->low) &&
           std::find(keys, keys + kKeysPerLeaf, key) != keys + kKeysPerLeaf;
  }
  /// Where a key can be stored; nullptr: nowhere.
  uint64_t* Room() {
    for (uint64_t& key : keys) {
      if (!Has(key)) return &key;
    }
    return nullptr;
  }
};

/// One level of inner nodes is enough here. Its entries are a short cut; the links are the truth.
struct Tree {
  uint64_t count;
  Leaf* leaves[kLeavesMax];
};

/// Planted: the old leaf gives its upper half up before the new one is linked.
enum class TreeBug { kNone, kWrongOrder };

class TreeOfKeys {
 public:
  /// The tree that is the morsel's root, made if there is none, and what a crash left brought in
  /// order.
  TreeOfKeys(morsel::Morsel& morsel, TreeBug bug) : morsel_(morsel), bug_(bug) {
    tree_ = morsel.root<Tree>("tree");
    if (tree_ == nullptr) {
      Tree* const tree = morsel.make<Tree>();
      tree->leaves[0] = MakeLeaf(0, nullptr);
      Persist(tree->leaves[0], sizeof(Leaf));
      tree->count = 1;
      Persist(tree, sizeof *tree);
      (void)morsel.set_root("tree", tree);
      tree_ = tree;
    }
    // What a kill left visible need not be durable.
    Persist(tree_, sizeof *tree_);
    for (Leaf* leaf = tree_->leaves[0]; leaf != nullptr; leaf = leaf->next) {
      Persist(leaf, sizeof *leaf);
    }
  }

  bool Contains(uint64_t key) const { return Find(key)->Has(key); }

  uint64_t Size() const {
    uint64_t size = 0;
    for (const Leaf* leaf = tree_->leaves[0]; leaf != nullptr; leaf = leaf->next) {
      for (const uint64_t key : leaf->keys) size += leaf->Has(key);
    }
    return size;
  }

  /// Durability  on return; after a crash before, the key is there or not.
  void Insert(uint64_t key) {
    if (Find(key)->Room() == nullptr) Split(Find(key));
    uint64_t* const room = Find(key)->Room();
    *room = key;
    Persist(room, sizeof key);
  }

 private:
  void Persist(const void* address, uint64_t size_bytes) {
    (void)morsel_.persist(address, size_bytes);
  }

  Leaf* MakeLeaf(uint64_t low, Leaf* next) {
    Leaf* const leaf = morsel_.make<Leaf>();
    leaf->next = next;
    leaf->low = low;
    std::fill_n(leaf->keys, kKeysPerLeaf, 0);
    return leaf;
  }

  Leaf* Find(uint64_t key) const {
    Leaf* leaf = tree_->leaves[0];
    for (uint64_t i = 1; i < tree_->count; ++i) {
      if (tree_->leaves[i]->low <= key && tree_->leaves[i]->low > leaf->low) {
        leaf = tree_->leaves[i];
      }
    }
    while (leaf->next != nullptr && leaf->next->low <= key) leaf = leaf->next;
    return leaf;
  }

  void Split(Leaf* leaf) {
    uint64_t sorted[kKeysPerLeaf];
    std::copy_n(leaf->keys, kKeysPerLeaf, sorted);
    std::sort(sorted, sorted + kKeysPerLeaf);
    Leaf* const right = MakeLeaf(sorted[kKeysPerLeaf / 2], leaf->next);
    std::copy_n(sorted + kKeysPerLeaf / 2, kKeysPerLeaf / 2, right->keys);
    Persist(right, sizeof *right);
    if (bug_ == TreeBug::kWrongOrder) GiveUp(leaf, right->low);
    // This one store takes the upper half from the leaf and gives it to the new one.
    leaf->next = right;
    Persist(&leaf->next, sizeof leaf->next);
    if (tree_->count == kLeavesMax) return;
    tree_->leaves[tree_->count] = right;
    Persist(&tree_->leaves[tree_->count], sizeof right);
    ++tree_->count;
    Persist(&tree_->count, sizeof tree_->count);
  }

  void GiveUp(Leaf* leaf, uint64_t from) {
    for (uint64_t& key : leaf->keys) {
      if (key >= from) key = 0;
    }
    Persist(leaf, sizeof *leaf);
  }

  morsel::Morsel& morsel_;
  TreeBug bug_;
  Tree* tree_;
};

}  // namespace example
