/* A user's program that makes the mistake that its argument names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "morsel/morsel.h"

static morsel_pool_t* pool;
static morsel_t* morsel;

static void Must(morsel_code code) {
  if (code == MORSEL_OK) return;
  fprintf(stderr, "mistakes: %s\n", morsel_last_error());
  exit(2);
}

static void Open(const char* path) {
  const morsel_pool_options directory = {.struct_size = sizeof directory, .flags = MORSEL_CREATE};
  const morsel_options create = {
      .struct_size = sizeof create, .flags = MORSEL_CREATE, .capacity_bytes = (uint64_t)64 << 20};
  Must(morsel_pool_open(path, &directory, &pool));
  Must(morsel_open(pool, "mistakes", &create, &morsel));
}

static void Close(void) {
  Must(morsel_close(morsel));
  Must(morsel_pool_close(pool));
}

/* What is stored, closed, opened, read, freed and made again, as it should be. */
static void MakeNone(const char* path) {
  char* const kept = morsel_malloc(morsel, 40);
  memset(kept, 1, 40);
  Must(morsel_set_root(morsel, "kept", kept));
  morsel_free(morsel, morsel_malloc(morsel, 3000));
  char* const large = morsel_calloc(morsel, 1, 200000);
  char* const larger = morsel_realloc(morsel, large, 300000);
  larger[299999] = larger[199999];
  (void)morsel_malloc(morsel, 100); /* never linked, never written: no leak of this process */
  Must(morsel_checkpoint(morsel));
  morsel_free(morsel, larger);
  Close();
  Open(path);
  const char* const found = morsel_root(morsel, "kept");
  if (found[0] != 1 || found[39] != 1) exit(3);
  Must(morsel_set_root(morsel, "kept", NULL));
  morsel_free(morsel, (void*)found);
  for (int i = 0; i < 1000; ++i) {
    char* const block = morsel_malloc(morsel, (size_t)(i * 7 + 1));
    memset(block, i, (size_t)(i * 7 + 1));
    if (i % 3 != 0) morsel_free(morsel, block);
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const char* const mistake = argv[2];
  Open(argv[1]);
  volatile char* const block = morsel_malloc(morsel, 40);
  if (strcmp(mistake, "none") == 0) {
    morsel_free(morsel, (char*)block);
    MakeNone(argv[1]);
  } else if (strcmp(mistake, "load-after-free") == 0) {
    morsel_free(morsel, (char*)block);
    printf("%d\n", block[8]);
  } else if (strcmp(mistake, "load-of-an-older-one-after-free") == 0) {
    block[8] = 1;
    Must(morsel_set_root(morsel, "older", (char*)block));
    Close();
    Open(argv[1]);
    volatile char* const older = morsel_root(morsel, "older");
    morsel_free(morsel, (char*)older);
    printf("%d\n", older[8]);
  } else if (strcmp(mistake, "load-behind") == 0) {
    printf("%d\n", block[40]);
  } else if (strcmp(mistake, "load-of-unwritten") == 0) {
    if (block[8] == 3) puts("three");
  } else if (strcmp(mistake, "free-twice") == 0) {
    morsel_free(morsel, (char*)block);
    morsel_free(morsel, (char*)block);
  } else {
    return 2;
  }
  Close();
  return 0;
}
