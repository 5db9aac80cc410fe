/* clang-format off */
/* Laid out by hand: pointers as C programmers write them, contracts in columns. */

/* What is in a morsel: roots that know the type of their object, and all blocks. morsel.h, which
 * includes this, has the contracts, the rules for structures, and roots without a type.
 */
#ifndef MORSEL_ROOTS_H_
#define MORSEL_ROOTS_H_

#include <stddef.h>
#include <stdint.h>

#include "morsel/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The type of a root's object. The program chooses a number for the layout of each type, 0 at
 * first, and another when the bytes of the type mean something else than before while its size is
 * the same. Numbers from 2^31 on say what a container keeps, as the C++ headers compute them from
 * sizes, alignments and layouts; such a one and 0 fit each other.
 *
 * An object that was given one type is refused as another: if the two differ in size, alignment or
 * layout, or in their names, if both have one. What has no type fits all that its block has the
 * bytes for. */
typedef struct morsel_type {
  uint32_t struct_size;
  uint32_t alignment;
  uint64_t size;
  uint32_t layout;
  uint32_t flags;   /* MORSEL_MANGLED: the name is what C++ compilers make of it */
  const char *name; /* NULL: none. Of one longer than 1,024 bytes the end is kept as a hash */
} morsel_type;

/* Does what morsel_set_root() does, and keeps the type of the object with it; type NULL: none. A
 * name that leads to an object already, of whatever type, leads to the new one from now on, and the
 * old one stays allocated: ask for it before, or set MORSEL_EXCLUSIVE.
 *
 * Durability  as morsel_set_root(): name, type and object change together.
 * Errors      as morsel_set_root(); INVALID_ARGUMENT (type, flags); EXISTS (with MORSEL_EXCLUSIVE
 *             in `flags`, and there is a root of that name).
 * Cost        independent of how many roots there are. */
morsel_code morsel_set_root_typed(morsel_t *morsel, const char *name, void *object,
                                  const morsel_type *type, uint32_t flags);

/* Returns what morsel_root() does if the object is of the type; type NULL: of whatever type.
 *
 * Errors  NULL, as morsel_root(); errno is EINVAL if the object is of another type: the message
 *         says of which; or if it has no type and fewer bytes in its block, or none, as it was
 *         freed. (Of a fine morsel that is open for reading only the latter is not known.)
 * Cost    of an object without a type that is asked for as of one, other threads that call the
 *         library on this morsel may wait for a moment. */
void *morsel_root_typed(morsel_t *morsel, const char *name, const morsel_type *type);

/* Returns what morsel_root_typed() does, for who will set the root to another object and free this
 * one, as root<T>() of the C++ API does with one of an older type.
 *
 * Errors  NULL, as morsel_root_typed(); errno is EINVAL, too, if the object does not begin a block,
 *         or another root leads into its block; EACCES in a morsel that is open for reading only.
 * Cost    memory for all roots, which are read. */
void *morsel_root_to_replace(morsel_t *morsel, const char *name, const morsel_type *type);

/* The texts are valid during the call that is given the structure. */
typedef struct morsel_root_info {
  uint32_t struct_size; /* as of this library */
  uint32_t flags;       /* MORSEL_TYPED; without it, there is no type */
  const char *name;
  void *object;         /* NULL: it lies outside of the morsel's memory, which is damage */
  uint64_t size;        /* of the type, as the following */
  uint32_t alignment;
  uint32_t layout;
  const char *type;     /* the name; empty: none. A mangled one is shown as one writes it, without
                           the template arguments that the standard's templates have by default */
} morsel_root_info;

/* Calls `visit` for each root, in the order of names, until it returns other than 0, which is no
 * error. `visit` may call the library, and sees the roots as they were at the beginning. It must
 * not throw.
 *
 * Errors  INVALID_ARGUMENT (NULL); BUSY (a fork; or another process changes the roots all the
 *         time); CORRUPT.
 * Cost    memory for all roots. */
morsel_code morsel_for_each_root(morsel_t *morsel,
                                 int (*visit)(const morsel_root_info *root, void *context),
                                 void *context);

/* Calls `visit` for each live block, in the order of addresses, until it returns other than 0,
 * which is no error. `bytes` is how much morsel_usable_size() says at least. The blocks that roots
 * take themselves are left out. All other threads that call the library on this morsel wait
 * meanwhile; `visit` must not call it on this morsel, and must not throw.
 *
 * Errors  INVALID_ARGUMENT (NULL); BUSY (a fork); CORRUPT; NO_MEMORY. */
morsel_code morsel_for_each_block(morsel_t *morsel,
                                  int (*visit)(void *block, size_t bytes, void *context),
                                  void *context);

/* Where a word of a block leads to. */
enum {
  MORSEL_TO_PROGRAM = 1, /* code or data of the program or of a library */
  MORSEL_TO_MEMORY = 2,  /* other memory of this process: malloc's, a stack, a mapped file */
  MORSEL_TO_MORSEL = 3,  /* another open morsel */
  MORSEL_TO_FREED = 4,   /* into this morsel, where no block is allocated */
  MORSEL_TO_NOWHERE = 5  /* where programs, libraries and stacks lie, but nothing is mapped now */
};

/* The texts are valid during the call that is given the structure; one that is not known is "". */
typedef struct morsel_pointer {
  uint32_t struct_size; /* as of this library */
  uint32_t to;          /* MORSEL_TO_* */
  uint32_t is_doubtful; /* 1: it may be a number, or be left over where nobody reads it */
  uint32_t reserved;
  void *block;
  uint64_t block_bytes;
  uint64_t offset;      /* of the word in the block */
  void *target;         /* the word */
  const char *symbol;   /* at the target or before it, e.g. "vtable for Square" */
  const char *place;    /* that the target lies in, e.g. "/usr/lib/libshapes.so" */
  const char *message;  /* all of it as a sentence */
} morsel_pointer;

/* Calls `visit`, until it returns other than 0, which is no error, for each aligned word of a live
 * block that leads where nothing will be in the next process: out of the morsel, into anything that
 * is mapped here; and for each that leads into the morsel where no block is allocated. A pointer to
 * just behind a block is right, and so is one to the memory resource of std::pmr.
 *
 * What is found in the unused end of a container, in padding, or is a number that equals an address
 * is no fault: is_doubtful is 1 where that is likely, as always with MORSEL_TO_FREED,
 * MORSEL_TO_MORSEL and MORSEL_TO_NOWHERE. With MORSEL_GUARD=1 each checkpoint prints what is not
 * doubtful.
 *
 * Threads  any. `visit` may call the library; it must not throw.
 * Errors   INVALID_ARGUMENT (NULL); BUSY (a fork); CORRUPT; NO_MEMORY; IO, PERMISSION, NOT_FOUND
 *          (/proc/self/maps).
 * Cost     reads all live blocks, while other threads that call the library on this morsel wait. */
morsel_code morsel_check_pointers(morsel_t *morsel,
                                  int (*visit)(const morsel_pointer *pointer, void *context),
                                  void *context);

/* A live block that no root leads to, however many blocks lie between. */
typedef struct morsel_unreached {
  uint32_t struct_size; /* as of this library */
  uint32_t is_first;    /* 1: the first one of a group, which has what it leads to. A forgotten list
                           or map is one group: its first block is the object itself, or any of a
                           ring */
  void *block;
  uint64_t block_bytes;
  uint64_t group_blocks; /* of a first one: how many the group has, and their bytes; else 0 */
  uint64_t group_bytes;
} morsel_unreached;

typedef struct morsel_unreached_info {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t blocks; /* that no root leads to */
  uint64_t bytes;
  uint64_t live_blocks; /* all; those that roots take themselves are left out */
  uint64_t live_bytes;
} morsel_unreached_info;

/* Follows all roots, fills *info, and calls `visit`, in the order of addresses, for each live block
 * that they do not lead to, until it returns other than 0, which is no error. visit, info: may be
 * NULL. A block leads to another if one of its aligned words of 8 bytes has the address of a byte
 * in that. So pointers to members and tagged pointers count; those that are packed, compressed or
 * kept in files do not, nor do the variables of the program, in which may be the only pointer to
 * what was just allocated. A number that equals an address leads to what is there.
 *
 * Blocks that are unreached in a program whose data all hangs on roots are lost: a root that was
 * forgotten, an object that was not freed. Under the fine contract a crash leaves some, too, as
 * morsel_malloc() and morsel_free() say.
 *
 * Threads  any. `visit` may call the library, and free the blocks; it must not throw.
 * Errors   INVALID_ARGUMENT (NULL; struct_size); BUSY (a fork); CORRUPT; NO_MEMORY.
 * Cost     reads all live blocks, while other threads that call the library on this morsel wait.
 *          Memory of 24 bytes for each live block, and 8 for each 4 KiB of the morsel. */
morsel_code morsel_find_unreached(morsel_t *morsel,
                                  int (*visit)(const morsel_unreached *unreached, void *context),
                                  void *context, morsel_unreached_info *info);

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_ROOTS_H_ */
