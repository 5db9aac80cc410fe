/* clang-format off */
/* Laid out by hand: pointers as C programmers write them, contracts in columns. */

/* morsel: persistent memory objects at fixed addresses. The C API; C11 and C++20.
 *
 * A pool holds morsels. A morsel is a named range of memory with a heap in it,
 * mapped at the same address in every process and after every restart, so that
 * plain pointers stored in it stay good.
 *
 * Contracts. A morsel is created under one of two:
 *   snapshot (the default): store anything at any time; morsel_checkpoint() makes
 *     the whole morsel, as it is, the state that a crash returns to, exactly.
 *   fine (MORSEL_FINE): morsel_persist() makes single bytes durable. Persist an
 *     object before linking it; unlink it, and persist that, before freeing it.
 *
 * Errors. A function that returns a pointer returns NULL and sets errno; the
 *   others return a morsel_code. morsel_last_error() says what was tried on
 *   what, why it failed and what to do. A call that fails changed nothing, unless
 *   its comment says what; where a medium fails (IO) while a name is made or
 *   removed, whether it is there is told by opening it again.
 * Memory. What a morsel needs is asked for, and answered by NO_MEMORY. Where the process has none
 *   for the library's own small tables, the call ends it with a sentence, and the medium is as after
 *   any crash. Nothing is ever thrown.
 * Threads. Handles may be used from any thread at once. Closing one while another
 *   thread uses it is the program's mistake, as with free(3).
 * Forks. A child has neither the memory nor the handles: every call on one
 *   answers MORSEL_BUSY and changes nothing on the medium.
 * Media errors. A load or store in a fine morsel that its medium cannot serve ends the process by
 *   SIGBUS, after a sentence on stderr that names morsel, offset and device. What handled SIGBUS when
 *   the first fine morsel was opened gets it then; a handler that is set later gets it instead.
 * Pointers that are not a live block's start, given to free, realloc or
 *   usable_size, end the process with a sentence that says so. So do blocks that
 *   were freed before, but for some that were freed lately, which only
 *   MORSEL_GUARD=1 always finds (docs/debugging.md).
 */
#ifndef MORSEL_MORSEL_H_
#define MORSEL_MORSEL_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum morsel_code {
  MORSEL_OK = 0,
  MORSEL_NO_SPACE,          /* the medium, the pool, the morsel or a table is full */
  MORSEL_INVALID_ARGUMENT,  /* the call can never work as it was written */
  MORSEL_NOT_FOUND,         /* there is nothing of that name */
  MORSEL_EXISTS,            /* there is something of that name already */
  MORSEL_BUSY,              /* somebody else has it open, or this process is a fork */
  MORSEL_ADDRESS_TAKEN,     /* its address range is in use in this process */
  MORSEL_CORRUPT,           /* bytes on the medium are not what was written */
  MORSEL_VERSION,           /* written by a version that this library does not know */
  MORSEL_PERMISSION,        /* the operating system or the handle forbids it */
  MORSEL_IO,                /* the medium failed */
  MORSEL_UNSUPPORTED,       /* right in itself, but not here or not yet */
  MORSEL_NO_MEMORY,         /* the process has no memory for it */
  MORSEL_ADDRESS_EXHAUSTED  /* the address window has no room for it */
} morsel_code;              /* more may follow */

typedef struct morsel_pool_object morsel_pool_t;
typedef struct morsel_object morsel_t;

/* For pools and for morsels. A flag whose feature is not built answers MORSEL_UNSUPPORTED. */
enum {
  MORSEL_CREATE = 1u << 0,    /* open it, or create it where there is none */
  MORSEL_EXCLUSIVE = 1u << 1, /* with MORSEL_CREATE: MORSEL_EXISTS where there is one */
  MORSEL_READ_ONLY = 1u << 2,
  MORSEL_CARVED = 1u << 3, /* pool: a new regular file of size_bytes */
  MORSEL_FINE = 1u << 4,   /* morsel: the fine contract; else snapshot */
  MORSEL_LAZY = 1u << 5,   /* morsel: load at first touch */
  MORSEL_GIANT = 1u << 6,  /* morsel: of subtrees of 1 GiB */
  MORSEL_SALVAGE = 1u << 7 /* morsel, with MORSEL_READ_ONLY: what is intact of a damaged one */
};

/* How the images of snapshot morsels are compressed, each 2 MiB by itself. */
enum {
  MORSEL_CODEC_NONE = 0,
  MORSEL_CODEC_LZ4 = 1, /* keeps up with most disks */
  MORSEL_CODEC_ZSTD = 2 /* takes longer to store, and less room */
};

/* struct_size: sizeof the structure, or 0 for this first version of it.
 * reserved: 0. All other members: 0 for a sensible default. */
typedef struct morsel_pool_options {
  uint32_t struct_size;
  uint32_t flags;
  uint32_t mode; /* permission bits when created; 0: 0700 for a directory, 0600 for a file */
  uint32_t reserved;
  uint64_t size_bytes; /* with MORSEL_CARVED */
} morsel_pool_options;

/* What is done for long. Verifying: all is read and held against its checksums. More members may
 * follow. */
enum { MORSEL_LOADING = 1, MORSEL_STORING = 2, MORSEL_VERIFYING = 3 };
typedef struct morsel_progress {
  uint32_t activity; /* MORSEL_LOADING, MORSEL_STORING or MORSEL_VERIFYING */
  uint32_t reserved;
  uint64_t done_bytes;  /* of memory, or of the file; never less than before */
  uint64_t total_bytes; /* the same in all calls of one activity; not 0 */
} morsel_progress;

typedef struct morsel_options {
  uint32_t struct_size;
  uint32_t flags;
  uint32_t mode;  /* permission bits when created; 0: 0600 */
  uint32_t codec; /* MORSEL_CODEC_*, when created: of its image, for good */
  uint64_t size_bytes;     /* rounded up to subtrees; 0: grows inside its capacity as it is used */
  uint64_t capacity_bytes; /* the address range; 0: 16 GiB, or size_bytes if that is more */

  /* NULL, or called while a snapshot morsel is loaded (morsel_open) or stored (morsel_checkpoint,
   * morsel_close and its creation): at the beginning, then at most ten times a second, and, where
   * that succeeds, once more with done_bytes = total_bytes. What takes no time has no calls. It is
   * that of the open that loaded the morsel: one that finds it open brings none.
   *
   * Threads  the one that called the library, whose call waits for it.
   * Errors   it must not call the library on this morsel or its pool, nor allocate from it: that
   *          would wait for itself. It must not throw, nor end the call by longjmp. */
  void (*progress)(const morsel_progress *progress, void *context);
  void *progress_context;

  /* With MORSEL_SALVAGE: NULL, or called, before morsel_open() returns, for each subtree and each
   * table of the morsel's image that is damaged, with a sentence as of morsel_salvage(). What
   * `progress` must not do it must not do either. */
  void (*damaged)(const char *message, void *context);
  void *damaged_context;
} morsel_options;

/* Opens the pool at `path`: a directory, or a carved pool in a regular file or on a device-dax
 * device. NULL options: what is there, for reading and writing. A device is formatted by morselctl
 * only; on one of 1 GiB alignment every morsel is giant.
 *
 * Ownership  *pool is the caller's, for morsel_pool_close(); unchanged on failure.
 * Errors     NOT_FOUND; EXISTS; BUSY (another process has it open for writing, or, to write, at
 *            all; or this process has); CORRUPT; VERSION; PERMISSION; UNSUPPORTED (a carved pool
 *            on a medium of page granularity); NO_SPACE; IO; INVALID_ARGUMENT. */
morsel_code morsel_pool_open(const char *path, const morsel_pool_options *options,
                             morsel_pool_t **pool);

/* Errors  BUSY while a morsel of it is open: the pool stays open. */
morsel_code morsel_pool_close(morsel_pool_t *pool);

/* Opens the morsel `name`: 1 to 200 bytes, no '/', no control characters, not "." or "..", not
 * beginning with ".morsel". NULL options: what is there, with the pool's rights. Opened twice in
 * one process it is the same handle, counted. flags: without MORSEL_CREATE, MORSEL_FINE is not
 * needed to open a fine morsel.
 *
 * An existing morsel keeps its size, capacity and codec, whatever the options say of them.
 *
 * With MORSEL_SALVAGE and MORSEL_READ_ONLY a snapshot morsel whose image is damaged is opened all
 * the same, and nothing on the medium changes. What is intact is there, at its address, each 2 MiB
 * held against its checksum. What is damaged is zero: a pointer that lay there is NULL, a count 0.
 * Where nothing was written it looks the same: who must know compares addresses with the ranges that
 * `damaged` is told. Where the first 2 MiB are damaged, which have the heap's header and the roots,
 * it cannot be opened (CORRUPT). Where others are, what the heap knows of blocks may be lost with
 * them: morsel_stat() counts fewer or answers CORRUPT, and morsel_usable_size() must not be asked.
 * While a damaged one is open so, an open without MORSEL_SALVAGE and morsel_export() answer BUSY;
 * morsel_salvage() writes it as an image.
 *
 * Durability  a morsel that was created is durable on return.
 * Ownership   *morsel is the caller's, for one morsel_close() per successful open; unchanged on
 *             failure.
 * Errors      as morsel_pool_open(), and ADDRESS_TAKEN (naming who holds it); ADDRESS_EXHAUSTED;
 *             INVALID_ARGUMENT if it exists under the other contract; BUSY if it is open in this
 *             process with fewer rights; UNSUPPORTED (the contract on this medium: fine needs
 *             persistent memory, snapshot a directory; a codec under the fine contract;
 *             MORSEL_SALVAGE of a fine morsel).
 * Cost        snapshot: reads the image whole. fine: independent of the heap's size. */
morsel_code morsel_open(morsel_pool_t *pool, const char *name, const morsel_options *options,
                        morsel_t **morsel);

/* The last close of a snapshot morsel that is open for writing checkpoints it first: if that fails,
 * the error is returned and the morsel stays open. */
morsel_code morsel_close(morsel_t *morsel);

/* Closes without a checkpoint: the next open sees the last one. Of a fine morsel as morsel_close().
 * Errors  BUSY when opened more than once. A damaged morsel is closed all the same. */
morsel_code morsel_discard(morsel_t *morsel);

/* Durability  gone on return, whatever happens.
 * Errors      BUSY while open anywhere; NOT_FOUND. */
morsel_code morsel_remove(morsel_pool_t *pool, const char *name);

/* What the calling thread's morsel_export(), morsel_export_coded(), morsel_import(), morsel_verify()
 * and morsel_salvage() tell from now on; NULL: nothing. progress: called and bound as that of
 * morsel_options, which is the morsel's own, for opening, checkpoints and closing. One call does up
 * to two activities, one after the other: what is copied is verified first. */
void morsel_set_progress(void (*progress)(const morsel_progress *progress, void *context),
                         void *context);

/* Writes the morsel `name` of the pool as one file, an image (docs/format.md), that
 * morsel_import() takes into any pool that has its contract; the image of a snapshot morsel is a
 * morsel wherever it is copied to in a directory pool. The file has id, address, roots, sizes and
 * permission bits of the morsel. Of one that is open for writing in this process, what is written
 * is: snapshot: a checkpoint, made first; fine: the memory as it is. Allocator, root and resize calls of other
 * threads wait, and the program keeps its own stores still, as during morsel_checkpoint(). A fine
 * morsel that a crash left is written as it stands, and recovered where it is opened.
 *
 * Durability  of file and name on return. A process that is killed before leaves at most a file
 *             ".morsel-tmp-...", which the next export into that directory removes.
 * Errors      EXISTS (path: nothing is replaced); NOT_FOUND (the morsel, or the file's directory);
 *             CORRUPT (the morsel is damaged: nothing is written); ADDRESS_TAKEN (fine, not open,
 *             and something is at its address in this process); NO_SPACE; PERMISSION; NO_MEMORY;
 *             IO; and, where it is checkpointed, as morsel_checkpoint().
 * Cost        snapshot: reads the image twice and writes it once. fine: reads the memory, writes
 *             what of it is not zero. */
morsel_code morsel_export(morsel_pool_t *pool, const char *name, const char *path);

/* As morsel_export(), but the image is compressed by `codec`, MORSEL_CODEC_*, whatever the morsel's
 * own is, and of a fine morsel, too. morsel_export() keeps the morsel's codec; a fine one's is NONE.
 * A directory pool that imports the image of a snapshot morsel keeps that codec for all its
 * checkpoints.
 *
 * Errors  as morsel_export(); INVALID_ARGUMENT (no such codec).
 * Cost    snapshot, not open, and the codec is another one: reads the image once and writes it once,
 *         with 64 MiB of memory, and 136 bytes for each 2 MiB it holds. */
morsel_code morsel_export_coded(morsel_pool_t *pool, const char *name, const char *path,
                                uint32_t codec);

/* Makes a morsel of the image at `path`. name: NULL for the file's. It has the image's id, address
 * and roots, so that pointers in it stay good, and the file's permission bits (at most 0777); it
 * belongs to who imports it. It is not opened, and its address need not be free in this process.
 * Everything is held against its checksums before it is a morsel.
 *
 * Durability  on return; after a crash before, there is nothing of that name.
 * Errors      EXISTS; ADDRESS_TAKEN (a morsel of the pool, which is named, has a part of its address
 *             range); UNSUPPORTED (the pool does not serve its contract; carved: its address is
 *             outside of the pool's window, or not aligned as the medium needs); CORRUPT; VERSION;
 *             BUSY (somebody writes the image); INVALID_ARGUMENT (the name, or no regular file);
 *             NOT_FOUND; NO_SPACE; PERMISSION; NO_MEMORY; IO.
 * Cost        into a directory: as morsel_export() of a snapshot; into a carved pool: reads the
 *             image once. */
morsel_code morsel_import(morsel_pool_t *pool, const char *path, const char *name);

/* Reads the image at `path` whole and holds it against its checksums. visit: NULL, or called for
 * each subtree of 2 MiB that is damaged, with a sentence that has its number, its address range and
 * what is wrong; it must not throw.
 *
 * Errors  CORRUPT (something is damaged; of what no subtree can be found without, morsel_last_error()
 *         alone tells); VERSION; BUSY (somebody writes the image); NOT_FOUND; INVALID_ARGUMENT;
 *         PERMISSION; NO_MEMORY; IO. */
morsel_code morsel_verify(const char *path, void (*visit)(const char *message, void *),
                          void *context);

/* Finds what is intact of the damaged image at `path`. visit: as of morsel_verify(), for each subtree
 * that is damaged, and for each table of 512 of them. to: NULL, or the path of a file that is made an
 * image of all the rest, for its owner only: the same morsel, at the same address, in which what is
 * damaged is zero. Pointers into that lead to zeroes, and where the damage is in the heap's own
 * tables, that morsel opens in part or not at all: `morselctl check` tells. The image is only read.
 *
 * Durability  of `to` as of morsel_export().
 * Errors      CORRUPT, VERSION (nothing of it can be found); EXISTS (to); BUSY (somebody writes the
 *             image); NOT_FOUND; INVALID_ARGUMENT; NO_SPACE; PERMISSION; NO_MEMORY; IO. That
 *             something is damaged is none.
 * Cost        reads the image once, with 64 MiB of memory, and 136 bytes for each 2 MiB it holds. */
morsel_code morsel_salvage(const char *path, const char *to,
                           void (*visit)(const char *message, void *), void *context);

typedef struct morsel_info {
  uint32_t struct_size;
  uint32_t flags;       /* MORSEL_FINE, MORSEL_GIANT, MORSEL_READ_ONLY (how it is open) */
  uint32_t mode;        /* permission bits */
  uint32_t granularity; /* bytes that one flush makes durable: 1, 64; 4096: by checkpoints only */
  char name[208];
  unsigned char id[16];
  void *base;
  uint64_t size_bytes;
  uint64_t capacity_bytes;
  uint64_t live_bytes; /* of allocated blocks; morsel_list: of morsels not open, at the last close */
  uint64_t generation; /* checkpoints and, under the fine contract, closes so far */
  uint32_t codec;      /* MORSEL_CODEC_*, of its image; NONE under the fine contract */
  uint32_t reserved;
} morsel_info;

/* Calls `visit` for each morsel, by name, until it returns other than 0. The pool must not be
 * changed by `visit`, which must not throw. A morsel that is damaged is passed over; `morselctl check` names it. */
morsel_code morsel_list(morsel_pool_t *pool, int (*visit)(const morsel_info *, void *),
                        void *context);

/* Set info->struct_size to sizeof *info, or to 0 for this first version.
 * Cost  reads every slab's bitmap, for live_bytes. */
morsel_code morsel_stat(morsel_t *morsel, morsel_info *info);

/* Grows or shrinks the morsel in place to size_bytes, rounded up to whole subtrees.
 *
 * Durability  fine: on return. snapshot: with the next checkpoint.
 * Errors      ADDRESS_EXHAUSTED (beyond its capacity); NO_SPACE (the pool is full); BUSY (shrinking:
 *             blocks are in use beyond size_bytes); PERMISSION (read-only). */
morsel_code morsel_resize(morsel_t *morsel, uint64_t size_bytes);

/* Blocks are aligned to 16 bytes at least. size 0 gives a block of its own.
 *
 * Durability  fine: the allocation is durable with the first persist that touches the block; until
 *             then a power cut may free it or leave it allocated, and a kill of the process leaves
 *             it allocated. So may up to 64 blocks (and 32 KiB, or one block) be that each thread
 *             had at hand of each size class that it used. What a crash leaves so, and nobody
 *             reaches, nothing reclaims yet: set a root or a link to what is not to be lost.
 *             snapshot: with the next checkpoint.
 * Errors      NULL: ENOMEM (NO_SPACE: morsel_resize() may help; or NO_MEMORY), EACCES (read-only),
 *             EBUSY (a fork), EINVAL, EIO (CORRUPT).
 * Cost        0 flushes and 0 fences, but where a slab is made, units are used in another shape, an
 *             extent crosses 1 GiB, the morsel grows, or something is touched for the first time
 *             after a crash. */
void *morsel_malloc(morsel_t *morsel, size_t size);
void *morsel_calloc(morsel_t *morsel, size_t count, size_t size);

/* As realloc(3); size 0 frees. Under the fine contract only for what is not linked yet: the move
 * is not atomic towards a crash. */
void *morsel_realloc(morsel_t *morsel, void *block, size_t size);

/* alignment: a power of two up to 1 GiB. */
void *morsel_aligned_alloc(morsel_t *morsel, size_t alignment, size_t size);

/* NULL is allowed.
 *
 * Durability  fine: some time later, at the latest when 65,536 blocks freed by this thread are not
 *             durably free (the first free after a crash settles what was freed before it, and
 *             takes time for each slab); a crash before may leave a block allocated that nobody reaches, never
 *             the reverse. The unlinking must be durable before the call. So must, after a crash,
 *             be what a program read before it frees because of it: what is visible after a kill
 *             need not be durable yet. */
void morsel_free(morsel_t *morsel, void *block);

/* The bytes that may be used at `block`, at least those asked for. 0 for NULL. */
size_t morsel_usable_size(morsel_t *morsel, const void *block);

/* Fine contract only; UNSUPPORTED under the snapshot contract, where bytes newer than the image's
 * heap would contradict it. persist is flush and fence. The range may cross objects, and need not
 * be whole lines.
 *
 * Durability  when persist, or the fence after the flush, returns: the bytes, and the allocation of
 *             every block that the range touches, ordered after all that was persisted before.
 *             A fence covers what the calling thread flushed on this morsel.
 * Errors      INVALID_ARGUMENT (not all inside the morsel); PERMISSION (read-only).
 * Cost        one flush for each line of the range, one for each line of allocation bits that is
 *             not durable yet; persist and fence: one fence. */
morsel_code morsel_persist(morsel_t *morsel, const void *address, size_t size);
morsel_code morsel_flush(morsel_t *morsel, const void *address, size_t size);
morsel_code morsel_fence(morsel_t *morsel);

/* memcpy(3) and morsel_persist() of the copy, which does not overlap what is copied. Large copies
 * go past the processor's caches where the medium has a way to do so, which is faster than storing
 * and flushing. Not atomic: a crash before it returns leaves any part of it.
 *
 * Durability  as morsel_persist().
 * Errors      as morsel_persist(), and nothing is copied. */
morsel_code morsel_memcpy_persist(morsel_t *morsel, void *to, const void *from, size_t size);

/* snapshot: makes the whole morsel, as it is, the state that a crash returns to. Allocator, root and
 * resize calls of other threads wait; the program keeps its own stores still meanwhile. fine: makes
 * all that is allocated durable; it is not atomic towards the program's own data.
 *
 * Of a snapshot morsel only what changed is written, and the kernel tells what did. Stores and system calls
 * as read(2), with O_DIRECT, too, are noticed, if they are over before this call. Not noticed is what
 * comes through pages that stay pinned (registered buffers of io_uring, RDMA) or is taken away by
 * madvise(2) (MADV_DONTNEED, MADV_FREE): read into other memory, and copy; or set MORSEL_DIRTY=compare.
 *
 * Errors  NO_SPACE, IO: the last checkpoint stands, and may be tried again. Where the medium failed
 *         late, a crash, or the next open after morsel_discard(), finds the one that failed instead,
 *         as whole as if it had not. A sync that failed is IO, whatever the reason, and all later
 *         checkpoints fail too: nothing can be promised any more; discard and open again.
 *         NOT_FOUND: somebody else has removed, renamed or replaced the morsel's file. */
morsel_code morsel_checkpoint(morsel_t *morsel);

/* Names `object`, an address in a live block, or forgets the name if it is NULL. Names have 1 to
 * 111 bytes; there is room for at least 250.
 *
 * Durability  fine: on return, the object's allocation included. snapshot: with the next checkpoint.
 * Errors      INVALID_ARGUMENT (the name; in no live block of this morsel); NO_SPACE; NOT_FOUND
 *             (no such name to forget); PERMISSION (read-only); CORRUPT. */
morsel_code morsel_set_root(morsel_t *morsel, const char *name, void *object);

/* NULL if there is no root of that name (errno ENOENT), or it cannot be right (EIO, CORRUPT). */
void *morsel_root(morsel_t *morsel, const char *name);

/* The open morsel whose address range holds `address`, or NULL. */
morsel_t *morsel_of(const void *address);

/* NULL or 0 of a NULL handle; the size is 0 in a fork. */
void *morsel_base(const morsel_t *morsel);
uint64_t morsel_capacity(const morsel_t *morsel);
uint64_t morsel_size(const morsel_t *morsel);

/* The sentence of the calling thread's last failure. Valid until its next call that fails. */
const char *morsel_last_error(void);

/* E.g. "MORSEL_NO_SPACE". Static. */
const char *morsel_code_name(morsel_code code);

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_MORSEL_H_ */
