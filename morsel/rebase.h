/* clang-format off */
/* Laid out by hand: pointers as C programmers write them, contracts in columns. */

/* Morsels at another address: moved, copied, or imported where theirs is taken. morsel.h, which
 * includes this, has the contracts, the codes and the rules for structures.
 *
 * A morsel's pointers are good at its address only, so whatever gives it another one changes them:
 * each aligned word of 8 bytes in a live block, whose value is an address of the morsel, or of the
 * page behind its capacity, where std::pmr's memory resource is. A number of that value is changed,
 * too. Where a program has said which words of a type are pointers, exactly those are changed in
 * the objects of the type that roots lead to.
 *
 * What has no aligned word with an address is not mended: pointers that are packed, compressed or
 * kept in files; tables that are ordered by hashes of addresses (std::unordered_set<T *>). A tag in
 * the lowest bits of a pointer stays; order by address (std::set<T *>) stays.
 *
 * Blocks keep an alignment of up to 2 MiB at any address. A larger one (morsel_aligned_alloc())
 * they keep where the pool chooses the address, if one that is like the old one is free, and where
 * a capacity grows to 1 GiB or more, as far as the morsel has room to move its blocks by that. With
 * an address of the caller's choice they keep what both addresses are multiples of. Where blocks
 * lose it, `doubtful` is called, once for all of them.
 */
#ifndef MORSEL_REBASE_H_
#define MORSEL_REBASE_H_

#include <stddef.h>
#include <stdint.h>

#include "morsel/roots.h"
#include "morsel/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the pointers are in an object of a type. */
typedef struct morsel_pointers {
  uint32_t struct_size;
  uint32_t reserved;
  const morsel_type *type; /* the objects of roots that morsel_root_typed() gives for it */
  const size_t *offsets;   /* multiples of 8, in bytes from the object's begin */
  size_t count;
} morsel_pointers;

/* Something that may be wrong after a move. The text is valid during the call that is given the
 * structure. */
typedef struct morsel_doubt {
  uint32_t struct_size; /* as of this library */
  uint32_t reserved;
  void *block;          /* NULL: `message` is about a root, whose object is `target`, or about the
                           whole morsel */
  uint64_t block_bytes;
  uint64_t offset;      /* of the word in the block */
  void *target;         /* the word, as it was */
  const char *message;  /* all of it as a sentence */
} morsel_doubt;

typedef struct morsel_rebase_options {
  uint32_t struct_size;
  uint32_t flags; /* MORSEL_DRY_RUN: nothing is changed; the pool may be open for reading only */
  void *base;     /* the new address; NULL: the pool chooses. A multiple of 2 MiB, or of 1 GiB if
                     the capacity is 1 GiB or more */
  uint64_t capacity_bytes; /* the new capacity, rounded up to subtrees; 0: as it is */

  const morsel_pointers *const *pointers; /* pointers_count of them, each of another type */
  size_t pointers_count;

  /* NULL, or a function that is called for each word that was left as it is because no block is
   * allocated where it would lead to, for each root whose type says that it is ordered by hashes of
   * addresses, once if blocks lose an alignment of more than 2 MiB, and if the new file could not
   * be given the group of the old one (`block` and `target` are NULL then). All addresses are those
   * before the move. It must not call the library on this pool, nor throw. */
  void (*doubtful)(const morsel_doubt *doubt, void *context);
  void *doubtful_context;
} morsel_rebase_options;

typedef struct morsel_rebase_info {
  uint32_t struct_size;
  uint32_t reserved;
  void *base_before;
  void *base; /* with MORSEL_DRY_RUN, if the pool is to choose: NULL */
  uint64_t capacity_before;
  uint64_t capacity_bytes;
  uint64_t size_bytes; /* more than before if the heap's tables needed room: by 2 MiB, or by as much
                          as keeps the alignment of blocks */
  uint64_t blocks;     /* that were looked at */
  uint64_t words;      /* that were changed */
  uint64_t exact;      /* of these, those that a program has said are pointers */
  uint64_t doubtful;   /* how often `doubtful` was called, or would have been */
  char name[208];      /* of the morsel */
} morsel_rebase_info;

/* Gives the morsel `name`, which nobody has open for writing, another address, another capacity, or
 * both. options: NULL for another address. info: NULL, or filled. Its id, its size and its roots
 * stay. Who has it open for reading keeps what he has of a directory pool; of a carved pool he must
 * open it again.
 *
 * Rights      the new file has the permission bits, the group and the access control list of the
 *             old one. Where this process may not give it that group, or the file system takes no
 *             list, nobody gets more than before: what only the group and the list gave is taken
 *             away, and `doubtful` is called for the group.
 * Durability  on return. The morsel is written anew beside the old one, which a crash before the
 *             end leaves as it was; nothing in between is ever seen. The new image is of generation
 *             1.
 * Errors      BUSY (it is open in this process, or for writing in another one); ADDRESS_TAKEN (a
 *             morsel of the pool, which the message names, has a part of the new range; or, of a
 *             fine morsel, something is at its address in this process); ADDRESS_EXHAUSTED;
 *             NO_SPACE (the pool must have room for the morsel twice); INVALID_ARGUMENT (options;
 *             struct_size; a capacity that is less than the size); UNSUPPORTED (a capacity that the
 *             heap's tables have no room for: beyond some 3.5 TiB, if it was 1 GiB or more before);
 *             CORRUPT (the morsel is damaged); PERMISSION (the pool is open for reading only; the
 *             file is another user's);
 *             NOT_FOUND; NO_MEMORY; IO: nothing has changed, but after IO the morsel may be the old
 *             one or the new one.
 * Cost        reads the morsel and writes it whole. snapshot: with memory for all that is in it. */
morsel_code morsel_rebase(morsel_pool_t *pool, const char *name,
                          const morsel_rebase_options *options, morsel_rebase_info *info);

/* Makes the morsel `to` a copy of the morsel `name`, as morsel_rebase() makes it, but with an id of
 * its own, at an address that no other morsel of the pool has. Of a snapshot morsel that another
 * process writes it is the last checkpoint; a fine one must not be open for writing. It belongs to
 * who makes it, with the rights that morsel_rebase() says.
 *
 * Durability  on return; a crash before that leaves nothing of that name.
 * Errors      as morsel_rebase(); EXISTS (`to`). */
morsel_code morsel_copy(morsel_pool_t *pool, const char *name, const char *to,
                        const morsel_rebase_options *options, morsel_rebase_info *info);

typedef struct morsel_import_options {
  uint32_t struct_size;
  uint32_t flags;   /* MORSEL_REPLACE: the morsel that has the name, if there is one, gives way.
                       MORSEL_REBASE: if the image's addresses are taken, the morsel gets others */
  const char *name; /* NULL: as for morsel_import() */

  /* NULL, or how the morsel is moved, which is always done if a base or a capacity is given. */
  const morsel_rebase_options *rebase;
} morsel_import_options;

/* Does what morsel_import() does. options: NULL, or how. info: NULL, or filled as by
 * morsel_rebase(); where the morsel has the image's address, it counts nothing. A morsel that gets
 * another address than its image's gets another id, too.
 *
 * Durability  on return; a crash before that leaves what had the name, or nothing.
 * Errors      as morsel_import() and morsel_rebase(); with MORSEL_REPLACE BUSY (the morsel that has
 *             the name is open). */
morsel_code morsel_import_with(morsel_pool_t *pool, const char *path,
                               const morsel_import_options *options, morsel_rebase_info *info);

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_REBASE_H_ */
