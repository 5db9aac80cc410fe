/* clang-format off */
/* Laid out by hand: pointers as C programmers write them, contracts in columns. */

/* Morsels as images, which are files: export, import, the search for damage. morsel.h, which
 * includes this, has the contracts, the codes and the rules for structures.
 */
#ifndef MORSEL_IMAGES_H_
#define MORSEL_IMAGES_H_

#include <stdint.h>

#include "morsel/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The activities that may take long. Verifying reads everything and compares it with its checksums.
 * Later versions may add activities. */
enum { MORSEL_LOADING = 1, MORSEL_STORING = 2, MORSEL_VERIFYING = 3 };
typedef struct morsel_progress {
  uint32_t activity; /* MORSEL_LOADING, MORSEL_STORING or MORSEL_VERIFYING */
  uint32_t reserved;
  uint64_t done_bytes;  /* of the memory or of the file; it never decreases */
  uint64_t total_bytes; /* the same in all calls of one activity; never 0 */
} morsel_progress;

/* Sets the function that the calling thread's morsel_export(), morsel_export_coded(),
 * morsel_import(), morsel_verify(), morsel_salvage(), and the calls of rebase.h call from now on;
 * NULL: none. It is called, and restricted, as `progress` of morsel_options, which serves the
 * opening, the checkpoints and the close of its morsel. One call of the library has up to two
 * activities, one after the other: what is copied is verified first. */
void morsel_set_progress(void (*progress)(const morsel_progress *progress, void *context),
                         void *context);

/* Writes the morsel `name` of the pool as one file, an image (docs/format.md). morsel_import()
 * takes it into any pool that serves its contract; the image of a snapshot morsel is also a morsel
 * in any directory pool that it is copied into. The file has the morsel's id, address, roots,
 * sizes and name. It belongs to who exports it, with the permission bits that the umask leaves, the
 * group and the access control list of the morsel's file; where they cannot be given, nobody gets
 * more than those gave (morsel_rebase()).
 *
 * Of a morsel that is open for writing in this process a checkpoint is made and written (snapshot;
 * where none can be made, e.g. since its file was written over, the memory is), or the memory is
 * (fine). Calls of other threads wait; the program makes no stores meanwhile, as during
 * morsel_checkpoint(). A fine morsel that a crash left is recovered where its image is opened.
 *
 * Durability  file and name are durable on return. A process that is killed before that leaves at
 *             most a file ".morsel-tmp-...", which the next export into that directory removes.
 * Errors      EXISTS (path: nothing is replaced); NOT_FOUND (the morsel, or the file's directory);
 *             CORRUPT (the morsel is damaged: nothing is written); ADDRESS_TAKEN (a fine morsel
 *             that is not open, and something is at its address in this process); BUSY (another
 *             process made checkpoints faster than one was read, a hundred times);
 *             INVALID_ARGUMENT (name; path, e.g. its file begins with ".morsel"); NO_SPACE;
 *             PERMISSION; NO_MEMORY; IO.
 * Cost        snapshot: reads the image twice and writes it once. fine: reads the memory, and
 *             writes what of it is not zero. */
morsel_code morsel_export(morsel_pool_t *pool, const char *name, const char *path);

/* Writes an image as morsel_export() does, compressed by `codec` (MORSEL_CODEC_*) instead of the
 * morsel's own codec. The image of a fine morsel can be compressed, too; morsel_export() does not
 * compress it. A directory pool that imports the image of a snapshot morsel keeps that codec for
 * all later checkpoints.
 *
 * Errors  as morsel_export(); INVALID_ARGUMENT (no such codec).
 * Cost    for a snapshot morsel that is not open and has another codec: reads the image once and
 *         writes it once, with 64 MiB of memory and 136 bytes for each 2 MiB that it holds. */
morsel_code morsel_export_coded(morsel_pool_t *pool, const char *name, const char *path,
                                uint32_t codec);

/* Makes a morsel of the image at `path`. name: NULL for the name that the morsel had where it was
 * exported, or that of the file, if the image has none (it is an older library's, or a morsel's
 * file of a directory pool) or one that no morsel can have. morsel_import_with() replaces a morsel,
 * and gives another address. The morsel has the image's id, address and roots, so pointers in it
 * stay good. It belongs to the user who imports it, with the file's permission bits (at most 0777),
 * group and access control list, as morsel_export() gives them. It is not opened, and its address
 * range need not be free in this process. Everything is compared with its checksums before it
 * becomes a morsel.
 *
 * Durability  on return; a crash before that leaves nothing of that name.
 * Errors      EXISTS; ADDRESS_TAKEN (a morsel of the pool, which the message names, has a part of
 *             the address range); UNSUPPORTED (the pool does not serve the contract; or, of a
 *             carved pool, the address is outside of the pool's window or not aligned as the medium
 *             needs); CORRUPT; VERSION; BUSY (as morsel_export()); INVALID_ARGUMENT (the name,
 *             or `path` is no regular file); NOT_FOUND; NO_SPACE; PERMISSION; NO_MEMORY; IO.
 * Cost        into a directory: as morsel_export() of a snapshot morsel. Into a carved pool: reads
 *             the image once. */
morsel_code morsel_import(morsel_pool_t *pool, const char *path, const char *name);

/* Reads the whole image at `path` and compares it with its checksums. visit: NULL, or called for
 * each subtree of 2 MiB that is damaged. The message has the subtree's number, its address range
 * and what is wrong. It is also called for a superblock that is not whole while the other is: if
 * that is all, and a power cut may have left it so, the call succeeds. `visit` must not throw.
 *
 * Errors  CORRUPT (something is damaged; where the damage leaves no subtree to be found, only
 *         morsel_last_error() tells of it); VERSION; BUSY (as morsel_export()); NOT_FOUND;
 *         INVALID_ARGUMENT; PERMISSION; NO_MEMORY; IO. */
morsel_code morsel_verify(const char *path, void (*visit)(const char *message, void *),
                          void *context);

/* Finds what is intact of the damaged image at `path`, which is only read. visit: as of
 * morsel_verify(), for each subtree that is damaged, for each damaged table, which covers 512
 * subtrees, and for a superblock. to: NULL, or the path of a new file, which becomes an image of
 * all that is intact, for its owner only: the same morsel, at the same address, in which what is
 * damaged is zero; behind a damaged record of the image's log all memory is as it was at the
 * checkpoint before, whose generation a message has. Pointers into damaged memory lead to zeros. If
 * the heap's own tables are damaged, the new morsel opens in part or not at all; `morselctl check`
 * tells.
 *
 * Durability  of `to`: as morsel_export().
 * Errors      CORRUPT, VERSION (nothing of the image can be found); EXISTS (to); BUSY
 *             and INVALID_ARGUMENT (as morsel_export()); NOT_FOUND; NO_SPACE; PERMISSION;
 *             NO_MEMORY; IO.
 *             The call succeeds if something is damaged: `visit` tells.
 * Cost        reads the image once, with memory as morsel_export_coded() takes it. */
morsel_code morsel_salvage(const char *path, const char *to,
                           void (*visit)(const char *message, void *), void *context);

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_IMAGES_H_ */
