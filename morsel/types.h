/* clang-format off */
/* Laid out by hand: pointers as C programmers write them, contracts in columns. */

/* What all calls of the C API share: codes, handles, flags. morsel.h includes this. */
#ifndef MORSEL_TYPES_H_
#define MORSEL_TYPES_H_

typedef enum morsel_code {
  MORSEL_OK = 0,
  MORSEL_NO_SPACE,          /* the medium, the pool, the morsel or a table is full */
  MORSEL_INVALID_ARGUMENT,  /* the call can never work as it was written */
  MORSEL_NOT_FOUND,         /* nothing has that name */
  MORSEL_EXISTS,            /* something has that name already */
  MORSEL_BUSY,              /* somebody else has it open, or this process is a fork */
  MORSEL_ADDRESS_TAKEN,     /* the morsel's address range is in use in this process */
  MORSEL_CORRUPT,           /* bytes on the medium are not what was written */
  MORSEL_VERSION,           /* written in a version of the format that this library does not know */
  MORSEL_PERMISSION,        /* the operating system or the handle forbids it */
  MORSEL_IO,                /* the medium failed */
  MORSEL_UNSUPPORTED,       /* a valid request, but not possible here or not built yet */
  MORSEL_NO_MEMORY,         /* the process has no memory for it */
  MORSEL_ADDRESS_EXHAUSTED  /* the address window has no room for it */
} morsel_code;              /* later versions may add codes */

typedef struct morsel_pool_object morsel_pool_t;
typedef struct morsel_object morsel_t;

/* Flags for pools, morsels and roots. A call with a flag whose feature is not built yet returns
 * MORSEL_UNSUPPORTED. */
enum {
  MORSEL_CREATE = 1u << 0,    /* open it, or create it if there is none */
  MORSEL_EXCLUSIVE = 1u << 1, /* with MORSEL_CREATE, or of a root: fail with MORSEL_EXISTS if there
                                 is one */
  MORSEL_READ_ONLY = 1u << 2,
  MORSEL_CARVED = 1u << 3, /* pool: create it as a carved pool, a regular file of size_bytes */
  MORSEL_FINE = 1u << 4,   /* morsel: the fine contract; without it, snapshot */
  MORSEL_LAZY = 1u << 5,   /* morsel, with MORSEL_READ_ONLY: do not load it, see morsel_open(); for
                              writing it is not built yet */
  MORSEL_GIANT = 1u << 6,   /* morsel: made of subtrees of 1 GiB */
  MORSEL_SALVAGE = 1u << 7, /* morsel, with MORSEL_READ_ONLY: open what is intact of a damaged
                               one; morsel_export_with(): skip what the medium cannot serve */
  MORSEL_GROWS = 1u << 8,   /* only in morsel_info: it grows within its capacity as it is used */
  MORSEL_RECODE = 1u << 9,  /* morsel_export_with(): compress by another codec */
  MORSEL_DESTROY = 1u << 10, /* morsel_format(): what the device holds is lost */
  MORSEL_TYPED = 1u << 11,   /* only in morsel_root_info: the root has a type */
  MORSEL_MANGLED = 1u << 12, /* morsel_type: its name is what C++ compilers make of it */
  MORSEL_DRY_RUN = 1u << 13, /* morsel_rebase(): say what would be done */
  MORSEL_REPLACE = 1u << 14, /* morsel_import_with(): what has the name gives way */
  MORSEL_REBASE = 1u << 15,  /* morsel_import_with(): another address if the image's is taken */
  MORSEL_MAY_BE_OLDER = 1u << 16 /* only in morsel_info: one of the two superblocks of its image was
                                    not whole when it was opened. It is damaged, or power was lost
                                    while it was written. Each checkpoint is in both, so that one
                                    after `generation` is lost only if the other one could not be
                                    written */
};

#ifdef __cplusplus
extern "C" {
#endif

/* For the C++ API: ends the process because a morsel::Result has no value, after the message of the
 * calling thread's last failure. */
__attribute__((noreturn)) void morsel_no_value(int code);

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_TYPES_H_ */
