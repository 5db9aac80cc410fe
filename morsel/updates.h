/* clang-format off */
/* Laid out by hand: pointers as C programmers write them, contracts in columns. */

/* Sections of updates: how the threads of a program change a snapshot morsel while others commit
 * it. morsel.h, which includes this, has the contracts.
 *
 *   morsel_begin(m);
 *   ...                     stores, morsel_malloc(), morsel_free(), morsel_set_root()
 *   morsel_commit(m);       or morsel_end(m): part of the next commit
 *
 * A commit, a checkpoint, an export, a close and a resize that shrinks wait until no thread is in a
 * section, and keep others from beginning one meanwhile; a commit only until what has changed is
 * copied, where that is little (64 pages, and more in a larger log). So each commit has a section
 * whole, or nothing of it.
 *
 * Rules. Once a thread of a program commits, all stores of all threads to that morsel are in
 *   sections; without commits, morsel_checkpoint()'s rule is enough. A section is short, less than
 *   10 ms: no I/O, no waiting for other threads but by locks that are not held across a commit. A
 *   block that is allocated outside of a section and linked inside may be lost in a crash between
 *   the two, as room, not as data.
 * Nothing is rolled back. What a section did is in the next commit, also if the program noticed an
 *   error half-way.
 * Threads. Any. The thread that began a section ends it. One that ends inside of a section is taken
 *   out of it.
 */
#ifndef MORSEL_UPDATES_H_
#define MORSEL_UPDATES_H_

#include "morsel/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Begins a section of the calling thread. Inside of another one it never waits; else it waits while
 * a call that stores the morsel looks at its memory.
 *
 * Errors  PERMISSION (read-only); UNSUPPORTED (the fine contract); BUSY (a fork); NO_MEMORY.
 * Cost    some nanoseconds. The first one of a thread takes a lock. */
morsel_code morsel_begin(morsel_t *morsel);

/* Ends the section that the calling thread began last.
 *
 * Durability  none: the next commit or checkpoint has it.
 * Errors      INVALID_ARGUMENT (the thread is in none); PERMISSION (read-only); UNSUPPORTED (the
 *             fine contract); BUSY (a fork). */
morsel_code morsel_end(morsel_t *morsel);

/* Ends the calling thread's section, which is in no other one, and makes it durable, with all that
 * other threads have ended before. Commits of several threads share one write to the disk.
 *
 * Durability  on return. After a crash before that, the morsel is as some commit before left it, or
 *             as this one.
 * Errors      INVALID_ARGUMENT (the thread is in no section, or in one inside of another: it goes
 *             on); BUSY (a thread stays in a section, or threads go from one into the next, for
 *             longer than `patience_ms` of morsel_options; the message names one): the section has
 *             ended, nothing is durable, and the next commit has it; PERMISSION (read-only);
 *             UNSUPPORTED (the fine contract); else as morsel_checkpoint(), for all that share it.
 * Cost        where few pages have changed, one write that the disk has when it returns. */
morsel_code morsel_commit(morsel_t *morsel);

/* What morsel::Update (update.hpp) has of a morsel, to begin and end sections without a call.
 * Programs are compiled with it: this layout stays. */
typedef struct morsel_section {
  uint32_t *depth;         /* in how many sections of the morsel the thread is; NULL: call */
  const uint32_t *closed;  /* not 0: who stores the morsel keeps threads from beginning one */
  const uint64_t *changes; /* while this is changes_then, the other two hold */
  uint64_t changes_then;
} morsel_section;

/* Fills `section` for the calling thread; it is of no use to another one. If `morsel` is read-only,
 * under the fine contract, or a parent process', `depth` is NULL. */
void morsel_section_of(morsel_t *morsel, morsel_section *section);

/* Is called by a thread that has made *depth smaller by one, and then has found *closed not 0. */
void morsel_section_left(morsel_t *morsel);

#ifdef __cplusplus
}
#endif

#endif /* MORSEL_UPDATES_H_ */
