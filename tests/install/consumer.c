/* A program outside the tree. The first run leaves a text in the pool that the
 * argument names, the second finds it. */
#include <morsel/morsel.h>
#include <stdio.h>
#include <string.h>

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, morsel_last_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const morsel_pool_options pool_options = {.flags = MORSEL_CREATE};
  const morsel_options options = {.flags = MORSEL_CREATE};
  morsel_pool_t* pool = NULL;
  morsel_t* morsel = NULL;
  if (morsel_pool_open(argv[1], &pool_options, &pool) != MORSEL_OK) return fail("pool");
  if (morsel_open(pool, "texts", &options, &morsel) != MORSEL_OK) return fail("morsel");

  char* text = morsel_root(morsel, "greeting");
  if (text != NULL) {
    printf("found %s\n", text);
  } else {
    text = morsel_malloc(morsel, 16);
    if (text == NULL) return fail("malloc");
    strcpy(text, "good morning");
    if (morsel_set_root(morsel, "greeting", text) != MORSEL_OK) return fail("root");
    printf("wrote %s\n", text);
  }

  if (morsel_close(morsel) != MORSEL_OK) return fail("close");
  if (morsel_pool_close(pool) != MORSEL_OK) return fail("close the pool");
  return 0;
}
