/* Loads the library by dlopen(3), as a plug-in's host does, unloads it while a thread that has used
 * it is still there, and does so again.
 * usage: plugin LIBRARY POOL */
#include <dlfcn.h>
#include <morsel/morsel.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const char *library, *pool_path;
static pthread_barrier_t used, unloaded;

static void* Find(void* loaded, const char* name) {
  void* symbol = dlsym(loaded, name);
  if (symbol == NULL) {
    printf("%s\n", dlerror());
    exit(1);
  }
  return symbol;
}

static void* UseAndEndLater(void* loaded) {
  __typeof__(&morsel_pool_open) pool_open;
  __typeof__(&morsel_pool_close) pool_close;
  __typeof__(&morsel_open) open_morsel;
  __typeof__(&morsel_close) close_morsel;
  __typeof__(&morsel_malloc) allocate;
  __typeof__(&morsel_last_error) last_error;
  *(void**)&pool_open = Find(loaded, "morsel_pool_open");
  *(void**)&pool_close = Find(loaded, "morsel_pool_close");
  *(void**)&open_morsel = Find(loaded, "morsel_open");
  *(void**)&close_morsel = Find(loaded, "morsel_close");
  *(void**)&allocate = Find(loaded, "morsel_malloc");
  *(void**)&last_error = Find(loaded, "morsel_last_error");
  morsel_pool_options pool_options = {.flags = MORSEL_CREATE};
  morsel_options options = {.flags = MORSEL_CREATE};
  morsel_pool_t* pool;
  morsel_t* m;
  if (pool_open(pool_path, &pool_options, &pool) != MORSEL_OK ||
      open_morsel(pool, "m", &options, &m) != MORSEL_OK || allocate(m, 100) == NULL ||
      close_morsel(m) != MORSEL_OK || pool_close(pool) != MORSEL_OK) {
    printf("%s\n", last_error());
    exit(1);
  }
  pthread_barrier_wait(&used);
  pthread_barrier_wait(&unloaded);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  library = argv[1];
  pool_path = argv[2];
  pthread_barrier_init(&used, NULL, 2);
  pthread_barrier_init(&unloaded, NULL, 2);
  for (int round = 0; round < 3; ++round) {
    void* loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (loaded == NULL) {
      printf("%s\n", dlerror());
      return 1;
    }
    pthread_t thread;
    pthread_create(&thread, NULL, UseAndEndLater, loaded);
    pthread_barrier_wait(&used);
    if (dlclose(loaded) != 0) {
      printf("%s\n", dlerror());
      return 1;
    }
    pthread_barrier_wait(&unloaded);
    pthread_join(thread, NULL);
  }
  return 0;
}
