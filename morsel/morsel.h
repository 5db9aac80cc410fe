/* clang-format off */
/* Laid out by hand: pointers as C programmers write them, contracts in columns. */

/* morsel: persistent memory objects at fixed addresses. The C API; C11 and C++20.
 *
 * A pool holds morsels. A morsel is a named range of memory with a heap in it. It is mapped at the
 * same address in every process and after every restart, so plain pointers stored in it stay good.
 *
 * Contracts. A morsel is created under one of two:
 *   snapshot (the default): the program stores anything at any time. morsel_checkpoint() makes the
 *     whole morsel, as it is, the state that a crash returns to, exactly.
 *   fine (MORSEL_FINE): morsel_persist() makes single bytes durable. Persist an object before you
 *     link it. Unlink it, and persist that, before you free it.
 *
 * Errors. A function that returns a pointer returns NULL and sets errno; the others return a
 *   morsel_code. morsel_last_error() says what was tried on what, why it failed and what to do. A
 *   call that fails has changed nothing, unless its comment says what. If the medium fails (IO)
 *   while a name is made or removed, open the morsel again to learn whether the name is there. A
 *   call that needs files also answers what the system does: PERMISSION, NO_MEMORY, NO_SPACE,
 *   BUSY, UNSUPPORTED, IO, and INVALID_ARGUMENT for a path that is too long.
 * Memory. If the process has no memory for a morsel, the call returns NO_MEMORY. If it has none for
 *   the library's own small tables, the call ends the process with a message on stderr, and the
 *   medium is as after any crash. No function throws.
 * Threads. Handles may be used from any thread at once. Closing a handle while another thread uses
 *   it is the program's mistake, as with free(3). No call needs more than 20 KiB of stack. A thread
 *   may call the library in its last destructors, too: those of thread-local objects and those of
 *   pthread_key_create(3).
 * Cancellation. pthread_cancel(3) interrupts neither a call nor a callback that the call makes: the
 *   thread is cancelled at its next cancellation point after the call. A thread whose cancellation
 *   type is asynchronous must not call the library.
 * Forks. A child of fork(3), the C library's, has neither the memory nor the handles: every call on
 *   a handle answers MORSEL_BUSY and changes nothing on the medium. A process that is copied by
 *   clone(2) alone must not use the library. Calls on a handle answer MORSEL_BUSY there, too, from
 *   Linux 4.14 on.
 * Loading. The library may be loaded by dlopen(3). dlclose(3) succeeds and leaves it where it is,
 *   because threads that have used it are still to end in it.
 * Allocators. The program may replace malloc(3) and the operators new and delete, and may serve
 *   them from a morsel: the library's own tables do not come from them. But the C library and those
 *   for compression and I/O use malloc on its behalf, in calls that open, close, grow, checkpoint,
 *   export or import, and in threads of the library's own. So a malloc that allocates from a morsel
 *   must serve from elsewhere what is asked of it inside a call of the library, and in threads that
 *   the program has not made.
 * Media errors. A load or store in a fine morsel that its medium cannot serve ends the process by
 *   SIGBUS, after a message on stderr that names morsel, offset and device. A handler of SIGBUS
 *   that was set before the first fine morsel was opened gets the signal after that message; a
 *   handler that is set later gets it in place of the library. A SIGBUS of another cause takes the
 *   course that it had before: a program that ignores it may be sent it. A thread that blocks the
 *   signal ends the process without the message: the kernel asks no handler then.
 * Stores where it is only read. A store into a morsel that is open for reading only ends the
 *   process by SIGSEGV, after a message on stderr that names morsel and offset, if SIGSEGV had its
 *   default action when that morsel was opened. A handler of the program's is left alone, and there
 *   is no message then.
 * Wrong pointers. free, realloc and usable_size end the process with a message when they are given
 *   a pointer that is not the start of a live block. They find a block that was freed before, too,
 *   except for some that were freed lately, which only MORSEL_GUARD=1 always finds
 *   (docs/debugging.md).
 */
#ifndef MORSEL_MORSEL_H_
#define MORSEL_MORSEL_H_

#include <stddef.h>
#include <stdint.h>

#include "morsel/images.h"
#include "morsel/rebase.h"
#include "morsel/roots.h"
#include "morsel/types.h"
#include "morsel/updates.h"

/* The version of this header. morsel_version() returns that of the library, e.g. "0.1.0". */
#define MORSEL_VERSION_MAJOR 0
#define MORSEL_VERSION_MINOR 1
#define MORSEL_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* How the images of snapshot morsels are compressed. Each 2 MiB is compressed by itself. */
enum {
  MORSEL_CODEC_NONE = 0,
  MORSEL_CODEC_LZ4 = 1, /* fast enough for most disks */
  MORSEL_CODEC_ZSTD = 2 /* slower to store, and smaller */
};

/* Structures grow at their end. struct_size is the sizeof that the caller was compiled with, or 0
 * for the first version of the structure; the library never reads or writes beyond that.
 *   Options  reserved is 0; any other member may be 0, for a sensible default. Members that the
 *            caller does not have count as 0. Members that this library does not know must be 0.
 *   Info     the library fills what it knows and the caller has. Members that it does not know
 *            become 0, and struct_size becomes the number of bytes that were filled.
 * INVALID_ARGUMENT: struct_size is less than the first version, or more than 4096. */
typedef struct morsel_pool_options {
  uint32_t struct_size;
  uint32_t flags;
  uint32_t mode; /* permission bits of a new pool, at most 0777; 0: 0700 (directory) or 0600 */
  uint32_t reserved;
  uint64_t size_bytes; /* of a new pool, with MORSEL_CARVED; otherwise 0 */
} morsel_pool_options;

typedef struct morsel_options {
  uint32_t struct_size;
  uint32_t flags;
  uint32_t mode;  /* permission bits of a new morsel, at most 0777; 0: 0600 */
  uint32_t codec; /* MORSEL_CODEC_* for the image of a new morsel; it cannot be changed later */
  uint64_t size_bytes;     /* rounded up to subtrees; 0: grows within its capacity as it is used */
  uint64_t capacity_bytes; /* of the address range; 0: 16 GiB (less in a crowded window), or size */

  /* NULL, or a function that the library calls while it loads a snapshot morsel (morsel_open) or
   * stores it (morsel_checkpoint, morsel_close, and morsel_open when it creates the morsel). It is
   * called at the beginning, then at most ten times a second, and, if the activity succeeds, once
   * more with done_bytes = total_bytes. If there is nothing to load or store, it is not called. The
   * morsel keeps the function of the open that loaded it; an open that finds the morsel already
   * open does not replace it.
   *
   * Threads  the thread that called the library, whose call waits for it.
   * Errors   the function must not call the library on this morsel, nor allocate from it, nor close
   *          its pool: such a call would wait for itself. It may use other morsels, of this pool,
   *          too, as long as none of their functions uses this one at the same time: the two would
   *          wait for each other. It must not throw, nor leave by longjmp, nor end its thread. */
  void (*progress)(const morsel_progress *progress, void *context);
  void *progress_context;

  /* With MORSEL_SALVAGE: NULL, or a function that the library calls, before morsel_open() returns,
   * for each subtree and each table of the morsel's image that is damaged. The message is as that
   * of morsel_salvage(). The function has the same restrictions as `progress`. */
  void (*damaged)(const char *message, void *context);
  void *damaged_context;

  /* How long a call that stores the morsel waits for sections (updates.h); 0: 3000. The open that
   * loads the morsel says it. The first version of this structure ends before this member. */
  uint32_t patience_ms;
  uint32_t reserved;
} morsel_options;

/* Opens the pool at `path`: a directory, or a carved pool in a regular file or on a device-dax
 * device. With options NULL it opens an existing pool for reading and writing. morsel_format()
 * makes a device a pool. On a device of 1 GiB alignment every morsel is giant.
 *
 * Any number of processes may have a directory pool open, for writing, too: each morsel in it has
 * one writer. A carved pool has one writing process. Readers neither wait nor keep others waiting,
 * and find what is durable; a fine morsel that another process writes changes meanwhile. A pool
 * that this process has open for reading gives who reads it the same handle, and opens are counted.
 *
 * Ownership  *pool is the caller's, who calls morsel_pool_close() once for each successful open;
 *            unchanged on failure.
 * Errors     NOT_FOUND; EXISTS; BUSY (a carved pool that is to be written, and another process, or
 *            this one, writes it); CORRUPT; VERSION; PERMISSION; UNSUPPORTED (a carved pool on a
 *            medium of page granularity; a file system without locks); NO_SPACE; IO;
 *            INVALID_ARGUMENT. */
morsel_code morsel_pool_open(const char *path, const morsel_pool_options *options,
                             morsel_pool_t **pool);

/* Ends one open of the pool. The last one frees the handle.
 *
 * Errors  BUSY (the last one, and a morsel of the pool is open: close it first). It stays open.
 *         NOT_FOUND (a carved pool's file is gone): it is closed all the same. INVALID_ARGUMENT (it
 *         is closed already, as of morsel_close() and morsel_discard()). */
morsel_code morsel_pool_close(morsel_pool_t *pool);

/* Opens the morsel `name`: 1 to 200 bytes, without '/' and control characters, not "." or "..", and
 * not beginning with ".morsel". (A morsel whose file somebody has given another name of up to 200
 * bytes is known by that in every call.) With options NULL it opens an existing morsel
 * with the pool's rights. A morsel that this process has open already gives the same handle, and
 * the opens are counted. To open an existing fine morsel, MORSEL_FINE is needed only with
 * MORSEL_CREATE.
 *
 * An existing morsel keeps its size, capacity and codec, whatever the options say of them.
 *
 * MORSEL_SALVAGE with MORSEL_READ_ONLY opens a snapshot morsel although its image is damaged, and
 * changes nothing on the medium. Each 2 MiB is compared with its checksum. What is intact is there,
 * at its address. What is damaged is zero: a pointer that was there is NULL, a count is 0. Memory
 * that was never written looks the same: a program that must tell the two apart compares addresses
 * with the ranges in the messages to `damaged`. If the image's log is damaged, all memory is as it
 * was at an earlier checkpoint, whose generation one of these messages has. If the first 2 MiB are
 * damaged, which hold the heap's header and the roots, the morsel cannot be opened (CORRUPT). If
 * other parts are damaged, the heap's records of blocks may be lost with them: morsel_stat() counts
 * fewer or returns CORRUPT, and morsel_usable_size() must not be called. An open without
 * MORSEL_SALVAGE and morsel_export() return BUSY meanwhile. morsel_salvage() writes what is intact
 * as an image.
 *
 * MORSEL_LAZY with MORSEL_READ_ONLY opens a snapshot morsel without loading it: its image's file is
 * the memory, page by page as it is touched. Processes share that memory, and the kernel may drop
 * it and read it again, so that a morsel may be larger than what the host has. What is compressed
 * is loaded, and so is all if another process writes the morsel, where its file system or its
 * image's version has nothing to map, and where the process has few mappings left. The state that
 * was opened stays as it is, whatever writers do later; until it is closed, what they free of it
 * takes room in the file, at most once the bytes of that state. Two things are given up. What is
 * mapped is not compared with its checksums, as morsel_verify() does. And where a page cannot be
 * read, because the disk fails or somebody has made the file shorter, the access ends the process
 * by SIGBUS, after a sentence that names the morsel and the offset. With MORSEL_SALVAGE, and for a
 * fine morsel, the flag changes nothing.
 *
 * Durability  a morsel that was created is durable on return.
 * Ownership   *morsel is the caller's, who calls morsel_close() once for each successful open;
 *             unchanged on failure.
 * Errors      as morsel_pool_open(), and ADDRESS_TAKEN (the message names who holds the range, e.g.
 *             another handle of the pool); ADDRESS_EXHAUSTED; INVALID_ARGUMENT if it exists under
 *             the other contract; BUSY if it is open in this process with fewer rights; or is to be
 *             written, and another process, or this one by another handle of the pool, writes its
 *             file, found by whatever name (the message names the process); or is to be read, and
 *             was checkpointed faster than that, a hundred times; UNSUPPORTED (the contract on this
 *             medium: fine needs persistent memory, snapshot needs a directory; a codec under the
 *             fine contract; MORSEL_SALVAGE of a fine morsel; MORSEL_LAZY for writing; a symbolic
 *             link; writing a fine morsel whose file has hard links: of a snapshot morsel's the
 *             checkpoint tells).
 * Cost        snapshot: reads the whole image; with MORSEL_LAZY its tables (32 KiB for each GiB),
 *             its log and what is compressed. fine: independent of the heap's size. */
morsel_code morsel_open(morsel_pool_t *pool, const char *name, const morsel_options *options,
                        morsel_t **morsel);

/* Ends one open. The last close of a snapshot morsel that is open for writing makes a checkpoint
 * first. If that fails, the call returns the checkpoint's error and the morsel stays open. The
 * handle is invalid after the last close.
 *
 * Durability  after the last close: snapshot: as morsel_checkpoint(). fine: every allocation and
 *             free so far.
 * Errors      as morsel_checkpoint(): the morsel stays open. */
morsel_code morsel_close(morsel_t *morsel);

/* Closes a snapshot morsel without a checkpoint: the next open finds the last one. A fine morsel is
 * closed as by morsel_close(), and also if its heap is damaged.
 *
 * Errors  BUSY (the morsel is opened more than once). */
morsel_code morsel_discard(morsel_t *morsel);

/* Removes the morsel `name` and all that is in it.
 *
 * Durability  on return.
 * Errors      BUSY (it is open in this process by any handle, or for writing in another one);
 *             NOT_FOUND; PERMISSION (the pool is open for reading only); CORRUPT (the file of that
 *             name is no morsel's); UNSUPPORTED (a symbolic link); INVALID_ARGUMENT (the name);
 *             IO. */
morsel_code morsel_remove(morsel_pool_t *pool, const char *name);

/* Gives the morsel `name`, which may be damaged, the name `to`, which nothing in the pool has.
 *
 * Durability  on return. A crash before that leaves one of the two names, or both (hard links)
 *             where the file system has no rename that refuses to replace.
 * Errors      as morsel_remove() (IO: as a crash); EXISTS (`to`). */
morsel_code morsel_rename(morsel_pool_t *pool, const char *name, const char *to);

typedef struct morsel_info {
  uint32_t struct_size;
  uint32_t flags;       /* MORSEL_FINE, _GIANT, _GROWS, _MAY_BE_OLDER; MORSEL_READ_ONLY if it is
                           open for that */
  uint32_t mode;        /* permission bits */
  uint32_t granularity; /* bytes that one flush makes durable: 1 or 64; 4096: only checkpoints do */
  char name[208];
  unsigned char id[16];
  void *base;
  uint64_t size_bytes;
  uint64_t capacity_bytes;
  uint64_t live_bytes; /* of allocated blocks; morsel_list, if not open: at the last close */
  uint64_t generation; /* rises with each checkpoint and, under the fine contract, close */
  uint32_t codec;      /* MORSEL_CODEC_* of its image; NONE under the fine contract */
  uint32_t reserved;
  uint32_t user; /* its owner; the first version of this structure ends before this member */
  uint32_t group;
} morsel_info;

/* Calls `visit` for each morsel, in the order of names, until it returns other than 0, which is no
 * error. `visit` must not change the pool, and must not throw. A damaged morsel is passed over;
 * morsel_list_unreadable() names it.
 *
 * Errors  INVALID_ARGUMENT (NULL); BUSY (a fork); NO_MEMORY (or no descriptor: no morsel is passed
 *         over for that); PERMISSION; IO. */
morsel_code morsel_list(morsel_pool_t *pool, int (*visit)(const morsel_info *, void *),
                        void *context);

/* Fills *info.
 *
 * Errors  INVALID_ARGUMENT (struct_size); BUSY (a fork); CORRUPT; NO_MEMORY.
 * Cost    stops all other threads for a moment. Reads every slab's bitmap, for live_bytes, at the
 *         first such call, checkpoint or close after a crash of a fine morsel only. */
morsel_code morsel_stat(morsel_t *morsel, morsel_info *info);

/* Grows or shrinks the morsel in place to size_bytes, rounded up to whole subtrees.
 *
 * Durability  fine: on return. snapshot: with the next checkpoint.
 * Errors      ADDRESS_EXHAUSTED (beyond its capacity); NO_SPACE (the pool is full); BUSY
 *             (shrinking: blocks beyond size_bytes are in use; the message names the last one, and
 *             the size that is possible); PERMISSION (read-only); INVALID_ARGUMENT (0). */
morsel_code morsel_resize(morsel_t *morsel, uint64_t size_bytes);

/* Allocates a block, aligned to at least 16 bytes. Size 0 gives a block of its own. Only the block
 * of morsel_calloc() is zeroed.
 *
 * Durability  fine: the allocation is durable after the first persist that touches the block. Until
 *             then a power cut may leave the block free or allocated, and a kill of the process
 *             leaves it allocated. The same holds for the blocks that each thread had at hand: of
 *             each size class that it used, up to 64 blocks and 32 KiB, or one larger block. What a
 *             crash leaves allocated and nobody reaches is not reclaimed yet: set a root or a link
 *             to what must not be lost. snapshot: with the next checkpoint.
 * Ownership   the caller frees the block with morsel_free().
 * Errors      NULL: ENOMEM (NO_SPACE: morsel_resize() may help; or NO_MEMORY), EACCES (read-only),
 *             EBUSY (a fork), EINVAL, EIO (CORRUPT).
 * Cost        0 flushes and 0 fences, except when a slab is made, units are used in another shape,
 *             an extent crosses 1 GiB, the morsel grows, or something is touched for the first time
 *             after a crash. */
void *morsel_malloc(morsel_t *morsel, size_t size);
void *morsel_calloc(morsel_t *morsel, size_t count, size_t size);

/* Changes the size of a block as realloc(3) does; it may move. Size 0 frees the block and returns
 * NULL. Under the fine contract, call it only for a block that is not linked yet: a crash may come
 * in the middle of the move. */
void *morsel_realloc(morsel_t *morsel, void *block, size_t size);

/* Allocates as morsel_malloc(), at a multiple of `alignment`, a power of two up to 1 GiB. */
void *morsel_aligned_alloc(morsel_t *morsel, size_t alignment, size_t size);

/* Frees a block; NULL is allowed. In a fork, and in a morsel that is open for reading only, it does
 * nothing and sets errno to EBUSY or EACCES.
 *
 * Durability  fine: the free becomes durable later. A crash before that may leave the block
 *             allocated and unreached, never the reverse. At most 65,536 frees of each thread are
 *             not durable, and all threads' together have at most 1/64 of the morsel's bytes, or
 *             1 MiB if that is more. Blocks that were freed and that a thread has at hand come on
 *             top: as many as morsel_malloc() says. The first free after a crash flushes what was
 *             freed before the crash, which takes time for each slab. The unlinking must be durable
 *             before this call. After a crash, so must whatever a program read that made it free
 *             the block: what is visible after a kill need not be durable yet. */
void morsel_free(morsel_t *morsel, void *block);

/* Returns how many bytes may be used at `block`: at least as many as were asked for. It returns 0
 * for NULL, and in a fork. */
size_t morsel_usable_size(morsel_t *morsel, const void *block);

/* These make bytes durable, under the fine contract only: persist is flush and fence. The range may
 * cross objects, and need not be whole lines.
 *
 * Durability  when persist returns, or the fence after the flush: the bytes, and the allocation of
 *             every block that the range touches, in order after all that was persisted before. A
 *             fence covers what the calling thread flushed on this morsel.
 * Errors      INVALID_ARGUMENT (not all of it is inside the morsel); PERMISSION (read-only);
 *             UNSUPPORTED (the snapshot contract, where bytes newer than the image's heap would
 *             contradict it).
 * Cost        one flush for each line of the range, and one for each line of allocation bits that
 *             is not durable yet; persist and fence: one fence. */
morsel_code morsel_persist(morsel_t *morsel, const void *address, size_t size);
morsel_code morsel_flush(morsel_t *morsel, const void *address, size_t size);
morsel_code morsel_fence(morsel_t *morsel);

/* Copies as memcpy(3) does and persists the copy as morsel_persist() does. The two must not
 * overlap. Where the medium has a way to do so, large copies bypass the processor's caches, which
 * is faster than storing and flushing. The copy is not atomic: a crash before the return leaves any
 * part of it.
 *
 * Durability  as morsel_persist(); its errors, too, and nothing is copied then. */
morsel_code morsel_memcpy_persist(morsel_t *morsel, void *to, const void *from, size_t size);

/* snapshot: makes the whole morsel, as it is, the state that a crash returns to. Allocator, root
 * and resize calls of other threads wait; the program makes no stores of its own meanwhile. fine:
 * makes everything that is allocated durable; for the program's own data that is not atomic.
 *
 * For a snapshot morsel only what changed is written (nothing, if nothing has: the generation stays
 * what it is, and no call writes or syncs), and the kernel tells what did. It notices
 * stores, and system calls such as read(2), with O_DIRECT, too, if they are over before this call.
 * It does not notice data that arrives through pages that stay pinned (registered buffers of
 * io_uring, RDMA), nor pages that madvise(2) takes away (MADV_DONTNEED, MADV_FREE). Read such data
 * into other memory and copy it, or set MORSEL_DIRTY=compare.
 *
 * Errors  NO_SPACE, IO: the last checkpoint stands, and the call may be tried again. If the medium
 *         failed late, a crash, or the next open after morsel_discard(), finds the checkpoint that
 *         failed instead, as whole as if it had not. A sync that failed is IO, whatever the reason,
 *         and all later checkpoints fail too, since nothing can be promised any more: discard and
 *         open again. NOT_FOUND: somebody else has removed, renamed or replaced the morsel's
 *         file; UNSUPPORTED: somebody has given it a second name (a hard link): nothing is
 *         written then. INVALID_ARGUMENT: the calling thread is in a section (updates.h), where no
 *         call that stores, closes or shrinks the morsel is allowed. BUSY: other threads stay in
 *         sections. */
morsel_code morsel_checkpoint(morsel_t *morsel);

/* Gives `object`, an address in a live block, a name; or forgets the name if `object` is NULL. A
 * name that exists already names the new object from now on. Names have 1 to 255 bytes. Roots take
 * room in the morsel: about 40 bytes each, and the name.
 *
 * Durability  fine: on return, with the object's allocation. snapshot: with the next checkpoint.
 * Errors      INVALID_ARGUMENT (the name; or `object` is in no live block of this morsel);
 *             NO_SPACE; NOT_FOUND (no such name to forget); PERMISSION (read-only); CORRUPT. */
morsel_code morsel_set_root(morsel_t *morsel, const char *name, void *object);

/* Returns the object of that name, or NULL. errno: ENOENT (no such root); EIO (CORRUPT: it leads
 * out of the morsel); EBUSY (a fork; or another process has grown the morsel: open it again). */
void *morsel_root(morsel_t *morsel, const char *name);

/* Returns the open morsel whose address range holds `address`, or NULL. The handle is not counted
 * as an open.
 *
 * Cost  two loads. */
morsel_t *morsel_of(const void *address);

/* Return the morsel's address, and the sizes of its address range and of its memory. They return
 * NULL or 0 for a NULL handle; in a fork the size is 0. */
void *morsel_base(const morsel_t *morsel);
uint64_t morsel_capacity(const morsel_t *morsel);
uint64_t morsel_size(const morsel_t *morsel);
/* Returns 1 if the morsel is open for reading only, or the handle is NULL; else 0. */
int morsel_is_read_only(const morsel_t *morsel);

/* Returns the message of the calling thread's last failure. It is valid until the thread's next
 * call that fails. */
const char *morsel_last_error(void);

/* Returns the name of the code, e.g. "MORSEL_NO_SPACE"; it is a static string. */
const char *morsel_code_name(morsel_code code);

/* Returns the version of the library that runs, as a static string. */
const char *morsel_version(void);

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_MORSEL_H_ */
