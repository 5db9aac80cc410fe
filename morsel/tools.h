/* clang-format off */
/* Laid out by hand: pointers as C programmers write them, contracts in columns. */

/* What tools for pools need beside morsel.h, which has the contracts, the codes and the rules for
 * structures: facts about pools and images, the search for damage, and pools on devices. morselctl
 * uses this and nothing else. C11 and C++20.
 */
#ifndef MORSEL_TOOLS_H_
#define MORSEL_TOOLS_H_

#include <stdint.h>

#include "morsel/morsel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a pool is. Texts end with a NUL; one that is too long is cut off. */
typedef struct morsel_pool_info {
  uint32_t struct_size;
  uint32_t flags; /* MORSEL_CARVED; MORSEL_READ_ONLY if it is open for that */
  unsigned char id[16];
  uint32_t snapshot_granularity; /* of snapshot morsels: 4096; 0: the pool cannot have any */
  uint32_t fine_granularity;     /* of fine morsels: 1 or 64; 0: the pool cannot have any */
  uint32_t survives_power_off;   /* 1: as far as is known, what is durable survives; else 0 */
  uint32_t reserved;
  uint64_t window_begin; /* the addresses [window_begin, window_end) that new morsels get */
  uint64_t window_end;
  uint64_t unit_bytes; /* carved: the least that a morsel takes of the pool; directory: 0 */
  uint64_t size_bytes; /* the space for morsels; of a directory, that of its file system */
  uint64_t free_bytes; /* how much of size_bytes is free */
  uint64_t morsels;    /* how many morsel_list() passes to its visitor */
  char medium[16];          /* "device-dax", "fsdax", "memory", "ssd" or "file" */
  char file_system[32];     /* the kernel's name of it, e.g. "tmpfs"; "none" below a device */
  char medium_in_words[128];
  char survival[384]; /* in words: what outlives the process, and what a power cut */
  char frames[512];   /* directory, in words: what memory a snapshot morsel would get now */
  char tracking[512]; /* directory: how checkpoints find written pages ("scan", "fault" or
                         "compare"), or why they cannot now */
} morsel_pool_info;

/* Fills *info. Nothing on the medium changes.
 *
 * Errors   INVALID_ARGUMENT (NULL, struct_size); BUSY (a fork); CORRUPT; PERMISSION; IO.
 * Threads  any; calls for other morsels of the pool wait.
 * Cost     of a directory: opens each file in it. Reads the kernel's tables of mounts and media. */
morsel_code morsel_pool_stat(morsel_pool_t *pool, morsel_pool_info *info);

/* Fills *info with what the pool knows of the morsel `name`, which is not opened. One that is open
 * in this process is told as by morsel_stat(), any other as the last checkpoint or close left it.
 *
 * Errors  NOT_FOUND; CORRUPT; VERSION; PERMISSION; IO; INVALID_ARGUMENT (the name; NULL;
 *         struct_size); BUSY (a fork). */
morsel_code morsel_find(morsel_pool_t *pool, const char *name, morsel_info *info);

/* Calls `visit` for each morsel that morsel_list() passes over because its file cannot be read as
 * one, is not readable by this user (PERMISSION; it may be a morsel or not), or is a symbolic link
 * to one (UNSUPPORTED), in the order of names, until it returns other than 0, which is no error.
 * `code` and `message` say why: they are those of morsel_find(), and valid during the call. A
 * carved pool has no such names: what is damaged of its catalog has none that could be believed,
 * and morsel_check() finds it. `visit` must not change the pool, and must not throw.
 *
 * Errors  INVALID_ARGUMENT (NULL); BUSY (a fork); PERMISSION; IO.
 * Cost    opens each file of the directory. */
morsel_code morsel_list_unreadable(morsel_pool_t *pool,
                                   int (*visit)(const char *name, morsel_code code,
                                                const char *message, void *context),
                                   void *context);

/* Maps the fine morsel `name`, counts the subtrees of 2 MiB of which one page fault maps the whole,
 * and unmaps it. Nothing on the medium changes.
 *
 * Ownership  *subtrees is filled, or unchanged on failure.
 * Errors     NOT_FOUND; INVALID_ARGUMENT (`name`; NULL); ADDRESS_TAKEN (something is at its address
 *            in this process); BUSY (a morsel of the pool is open in this process; or a fork);
 *            UNSUPPORTED (a snapshot morsel lies in frames of the process: morsel_pool_stat() tells
 *            of these); CORRUPT; PERMISSION; IO.
 * Cost       one or two page faults for each subtree. */
morsel_code morsel_count_huge(morsel_pool_t *pool, const char *name, uint64_t *subtrees);

/* One thing that morsel_check() has found. The texts are valid during the call of `visit`. */
typedef struct morsel_finding {
  uint32_t struct_size; /* as of this library */
  uint32_t code;        /* CORRUPT or IO: `subject` is damaged. OK: worth knowing, and nothing is
                           wrong. Others, e.g. VERSION: it could not be checked. */
  const char *subject;  /* e.g. "pool '/data'" or "morsel 'graph'" */
  const char *message;  /* what is wrong, where, and what to do */
} morsel_finding;

/* What morsel_check() has read, and its result. */
typedef struct morsel_check_info {
  uint32_t struct_size;
  uint32_t obstacle; /* OK, or the morsel_code that says why a morsel could not be checked, although
                        nothing is known to be wrong with it; BUSY: another process writes it */
  uint64_t morsels;    /* that were opened and read to the end */
  uint64_t roots;      /* of those morsels */
  uint64_t live_bytes; /* of those morsels */
  uint64_t damages;    /* findings of something that is damaged */
} morsel_check_info;

/* Looks for damage in the pool: reads all that it keeps of its morsels and each image whole, then
 * opens each morsel for reading, and checks its heap and its roots. name: NULL, or the morsel that
 * findings must be about, or about the pool itself. visit: NULL, or called for each finding, when
 * all has been read; it may call the library. It must not throw. A finding is no error: the pool
 * is sound if info->damages and info->obstacle are 0. Nothing on the medium changes.
 *
 * Errors  BUSY (a morsel of the pool is open in this process: close it first; or a fork);
 *         NOT_FOUND (`name`); INVALID_ARGUMENT (`name`; NULL; struct_size); NO_MEMORY; PERMISSION;
 *         CORRUPT, IO (the pool itself cannot be read). *info is unchanged then.
 * Cost    reads every image whole, and every heap's tables. Calls for the pool's morsels wait. */
morsel_code morsel_check(morsel_pool_t *pool, const char *name,
                         void (*visit)(const morsel_finding *finding, void *context),
                         void *context, morsel_check_info *info);

typedef struct morsel_export_options {
  uint32_t struct_size;
  uint32_t flags; /* MORSEL_SALVAGE, MORSEL_RECODE */
  uint32_t codec; /* with MORSEL_RECODE: a MORSEL_CODEC_*; otherwise 0 */
  uint32_t reserved;

  /* With MORSEL_SALVAGE: NULL, or a function that is called for each range that was skipped. The
   * message has its offset and its address. It has the same restrictions as `progress` of
   * morsel_options. */
  void (*skipped)(const char *message, void *context);
  void *skipped_context;
} morsel_export_options;

/* Exports as morsel_export() does. options: NULL, or how. With MORSEL_RECODE it does what
 * morsel_export_coded() does. With MORSEL_SALVAGE, what the medium of a fine morsel cannot serve is
 * zero in the image, and no error.
 *
 * Errors  as morsel_export_coded(); INVALID_ARGUMENT (options); UNSUPPORTED (MORSEL_SALVAGE of a
 *         snapshot morsel: morsel_salvage() of its file does that).
 * Cost    as morsel_export_coded(). */
morsel_code morsel_export_with(morsel_pool_t *pool, const char *name, const char *path,
                               const morsel_export_options *options);

/* Does what morsel_salvage() does, and stores in *intact_bytes how many bytes of the memory that
 * the image holds are intact: sure to be as the last checkpoint left them. If the image's log is
 * damaged, that is 0, also where much of it is.
 *
 * Ownership  *intact_bytes is filled, or unchanged on failure.
 * Errors     as morsel_salvage(). */
morsel_code morsel_salvage_counted(const char *path, const char *to,
                                   void (*visit)(const char *message, void *context),
                                   void *context, uint64_t *intact_bytes);

/* Fills *info with what the image at `path` is of, by its superblock alone; morsel_verify() reads
 * the rest. mode, user and group are those of the file. An image has no name, and granularity is a
 * pool's: the two are empty and 0.
 *
 * Errors  INVALID_ARGUMENT (`path` is no regular file, or does not begin as an image does; NULL;
 *         struct_size); CORRUPT; VERSION; NOT_FOUND; PERMISSION; IO. */
morsel_code morsel_stat_image(const char *path, morsel_info *info);

/* Makes the device-dax device at `path` a carved pool. Without MORSEL_DESTROY in `flags` a device
 * that holds data is refused: a pool, a file system, a partition table or other bytes than zero
 * where the pool's own tables will lie, or in one page of each 64 MiB behind them. A device that a
 * process uses is refused always, as far as this process may see that. Ask the user before you set
 * MORSEL_DESTROY.
 *
 * Durability  the pool, on return. After a crash before that, the device holds the pool that it
 *             held before (if any), no pool, or this one.
 * Errors      EXISTS (it holds data: the message says what is known of it); BUSY (a process uses
 *             it); INVALID_ARGUMENT (it is no device-dax device, or too small; flags; NULL);
 *             UNSUPPORTED (it is not persistent memory, or has an alignment that pools cannot use);
 *             NOT_FOUND; PERMISSION; NO_MEMORY; IO.
 * Cost        reads the pool's own tables and a page of each 64 MiB, and writes the tables. */
morsel_code morsel_format(const char *path, uint32_t flags);

/* A range of this host's addresses that a pool has. The texts are valid during the call of
 * `visit`. */
typedef struct morsel_address_range {
  uint32_t struct_size; /* as of this library */
  uint32_t is_missing;  /* 1: the pool is not found, e.g. since its disk is not mounted; else 0 */
  const char *pool;     /* its path; empty if that is too long to be kept */
  uint64_t base;
  uint64_t size_bytes;
} morsel_address_range;

typedef struct morsel_address_info {
  uint32_t struct_size;
  uint32_t pools;        /* that have addresses, or have had some */
  uint64_t window_begin; /* new morsels of new pools get the addresses [window_begin, window_end) */
  uint64_t window_end;
  uint64_t free_bytes;  /* of these */
  char registry[1024]; /* the path of the registry, cut off after 1023 bytes */
} morsel_address_info;

/* Fills *info with what the calling user's registry of addresses knows, and calls `visit` for each
 * range that a pool has, pool by pool. visit: NULL, or a function that must not throw. What pools
 * had that are gone, since the file system that they were on is there and has no pool at their
 * path, or another one, is free from now on.
 *
 * Errors  NOT_FOUND (there is no registry: no pool has asked for one yet, or MORSEL_ADDRESSES says
 *         that there is to be none); BUSY; VERSION; PERMISSION; INVALID_ARGUMENT (NULL;
 *         struct_size); IO.
 * Cost    reads 16 MiB. */
morsel_code morsel_addresses(morsel_address_info *info,
                             void (*visit)(const morsel_address_range *range, void *context),
                             void *context);

/* Gives the user a part of this host's addresses that no other user has who was given one, and a
 * registry in /var/lib/morsel/addresses. What the user's pools had before, they keep. Who has a
 * part already keeps it. The number is not looked up: users of containers are in no table of the
 * host's. `morselctl addr --user` takes a name.
 *
 * Durability  on return.
 * Errors      PERMISSION (only root may); ADDRESS_EXHAUSTED (nothing is left; the message says
 *             whose part may be taken back, and how); INVALID_ARGUMENT (2^32 - 1, which the system
 *             gives nobody); CORRUPT; NO_SPACE; IO. */
morsel_code morsel_share_addresses(uint32_t user);

/* Returns the name of the codec, e.g. "zstd", or NULL if this library has no codec of that number.
 * Codecs are numbered from 0 without gaps. It is a static string. */
const char *morsel_codec_name(uint32_t codec);

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_TOOLS_H_ */
