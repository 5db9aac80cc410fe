/* The C API, compiled as C11. Calls every function once, on one morsel. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "morsel/morsel.h"
#include "morsel/tools.h"

static int failures = 0;

static void expect(int condition, const char* what, int line) {
  if (condition) return;
  fprintf(stderr, "c_api_test.c:%d: expected %s; last error: %s\n", line, what,
          morsel_last_error());
  failures++;
}
#define EXPECT(condition) expect((condition), #condition, __LINE__)

static int count_one(const morsel_info* info, void* context) {
  EXPECT(strcmp(info->name, "m") == 0);
  ++*(int*)context;
  return 0;
}

static void use_blocks(morsel_t* m) {
  char* a = morsel_malloc(m, 100);
  EXPECT(a != NULL && morsel_usable_size(m, a) >= 100);
  EXPECT(morsel_of(a) == m);
  strcpy(a, "kept");
  a = morsel_realloc(m, a, 100000);
  EXPECT(a != NULL && strcmp(a, "kept") == 0);
  unsigned char* zeroes = morsel_calloc(m, 10, 100);
  for (int i = 0; i < 1000; i++) EXPECT(zeroes[i] == 0);
  void* page = morsel_aligned_alloc(m, 4096, 100);
  EXPECT(page != NULL && (size_t)page % 4096 == 0);
  errno = 0;
  EXPECT(morsel_aligned_alloc(m, 3, 100) == NULL && errno == EINVAL);
  EXPECT(morsel_calloc(m, (size_t)-1, 16) == NULL && errno == ENOMEM);
  EXPECT(morsel_realloc(m, zeroes, 0) == NULL);
  morsel_free(m, page);
  morsel_free(m, NULL);
  EXPECT(morsel_set_root(m, "a", a) == MORSEL_OK);
}

static int count_unreadable(const char* name, morsel_code code, const char* message,
                            void* context) {
  (void)name, (void)code, (void)message;
  ++*(int*)context;
  return 0;
}

static void ask_as_tools_do(morsel_pool_t* pool, const char* path, unsigned flags) {
  morsel_pool_info facts = {.struct_size = sizeof facts};
  EXPECT(morsel_pool_stat(pool, &facts) == MORSEL_OK && facts.morsels == 1);
  morsel_info info = {.struct_size = sizeof info};
  EXPECT(morsel_find(pool, "m", &info) == MORSEL_OK && strcmp(info.name, "m") == 0);
  morsel_check_info sound = {.struct_size = sizeof sound};
  EXPECT(morsel_check(pool, NULL, NULL, NULL, &sound) == MORSEL_OK && sound.damages == 0);
  int count = 0;
  EXPECT(morsel_list_unreadable(pool, count_unreadable, &count) == MORSEL_OK && count == 0);
  uint64_t number = 0;
  EXPECT(morsel_count_huge(pool, "m", &number) == (flags ? MORSEL_OK : MORSEL_UNSUPPORTED));
  char image[160];
  snprintf(image, sizeof image, "%s.image", path);
  const morsel_export_options coded = {.flags = MORSEL_RECODE, .codec = MORSEL_CODEC_LZ4};
  EXPECT(morsel_export_with(pool, "m", image, &coded) == MORSEL_OK);
  EXPECT(morsel_stat_image(image, &info) == MORSEL_OK && info.codec == MORSEL_CODEC_LZ4);
  EXPECT(morsel_salvage_counted(image, NULL, NULL, NULL, &number) == MORSEL_OK && number > 0);
  EXPECT(morsel_format(image, 0) == MORSEL_INVALID_ARGUMENT);
  EXPECT(strcmp(morsel_codec_name(MORSEL_CODEC_LZ4), "lz4") == 0);
}

static void live_once(const char* path, unsigned pool_flags, unsigned flags) {
  const morsel_pool_options pool_options = {.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | pool_flags,
                                            .size_bytes = pool_flags ? 32u << 20 : 0};
  morsel_pool_t* pool = NULL;
  EXPECT(morsel_pool_open(path, &pool_options, &pool) == MORSEL_OK);
  if (pool == NULL) return;
  const morsel_options options = {.flags = MORSEL_CREATE | flags,
                                  .codec = flags ? MORSEL_CODEC_NONE : MORSEL_CODEC_ZSTD,
                                  .size_bytes = 4u << 20,
                                  .capacity_bytes = 8u << 20};
  morsel_t* m = NULL;
  EXPECT(morsel_open(pool, "m", &options, &m) == MORSEL_OK);
  EXPECT(morsel_capacity(m) == 8u << 20 && morsel_size(m) == 4u << 20);
  EXPECT(morsel_is_read_only(m) == 0 && morsel_is_read_only(NULL) == 1);
  void* base = morsel_base(m);
  use_blocks(m);
  char* a = morsel_root(m, "a");
  const morsel_code persisted = morsel_persist(m, a, 5);
  EXPECT(persisted == (flags ? MORSEL_OK : MORSEL_UNSUPPORTED));
  EXPECT(morsel_flush(m, a, 5) == persisted && morsel_fence(m) == persisted);
  EXPECT(morsel_memcpy_persist(m, a + 5, "copied", 7) == persisted);
  EXPECT(morsel_checkpoint(m) == MORSEL_OK);
  EXPECT(morsel_resize(m, 6u << 20) == MORSEL_OK && morsel_size(m) == 6u << 20);
  morsel_info info = {.struct_size = sizeof info};
  EXPECT(morsel_stat(m, &info) == MORSEL_OK && info.base == base && info.live_bytes >= 100000);
  EXPECT(info.codec == options.codec);
  EXPECT(morsel_close(m) == MORSEL_OK);
  int count = 0;
  EXPECT(morsel_list(pool, count_one, &count) == MORSEL_OK && count == 1);
  ask_as_tools_do(pool, path, flags);

  EXPECT(morsel_open(pool, "m", NULL, &m) == MORSEL_OK && morsel_base(m) == base);
  EXPECT(morsel_root(m, "a") == a && strcmp(a, "kept") == 0);
  EXPECT(!flags || strcmp(a + 5, "copied") == 0);
  errno = 0;
  EXPECT(morsel_root(m, "b") == NULL && errno == ENOENT);
  EXPECT(morsel_discard(m) == MORSEL_OK);
  EXPECT(morsel_rename(pool, "m", "n") == MORSEL_OK);
  EXPECT(morsel_remove(pool, "n") == MORSEL_OK);
  EXPECT(morsel_open(pool, "m", NULL, &m) == MORSEL_NOT_FOUND);
  EXPECT(strcmp(morsel_code_name(MORSEL_NOT_FOUND), "MORSEL_NOT_FOUND") == 0);
  EXPECT(morsel_pool_close(pool) == MORSEL_OK);
}

int main(void) {
  char directory[] = "/tmp/morsel_c_api_XXXXXX";
  char command[128];
  if (mkdtemp(directory) == NULL) return 1;
  snprintf(command, sizeof command, "%s/pool", directory);
  live_once(command, 0, 0);
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  snprintf(command, sizeof command, "%s/carved", directory);
  live_once(command, MORSEL_CARVED, MORSEL_FINE);
  snprintf(command, sizeof command, "rm -r %s", directory);
  if (system(command) != 0) failures++;
  return failures != 0;
}
