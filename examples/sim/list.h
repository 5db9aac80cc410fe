// A lock-free list in a morsel: threads push in front. A node is persisted before
// it is linked, and the head after it.
#pragma once

#include <atomic>
#include <cstdint>
#include <morsel/morsel.hpp>
#include <new>

namespace example {

struct Node {
  uint64_t value;
  Node* next;
};

struct List {
  std::atomic<Node*> head;
};

/// Planted: the node is linked before it is durable.
enum class ListBug { kNone, kMissingPersist };

/// The list that is the morsel's root, made if there is none.
inline List* OpenList(morsel::Morsel& morsel) {
  if (List* const list = morsel.root<List>("list"); list != nullptr) return list;
  List* const list = morsel.make<List>();
  list->head = nullptr;
  (void)morsel.persist(list, sizeof *list);
  (void)morsel.set_root("list", list);
  return list;
}

/// Durability  on return.
inline void Push(morsel::Morsel& morsel, List* list, uint64_t value, ListBug bug) {
  Node* const node = morsel.make<Node>();
  node->value = value;
  node->next = list->head;
  for (;;) {
    if (bug == ListBug::kNone) {
      // Whoever finds this node goes on to the next one, which another thread may have linked
      // without having made the head durable yet.
      (void)morsel.persist(list, sizeof *list);
      (void)morsel.persist(node, sizeof *node);
    }
    if (list->head.compare_exchange_strong(node->next, node)) break;
  }
  (void)morsel.persist(list, sizeof *list);
}

}  // namespace example
