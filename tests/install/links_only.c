/* Has a thread with the smallest stack that there is. It only links the library. */
#include <limits.h>
#include <morsel/morsel.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void* End(void* ended) {
  *(int*)ended = 1;
  return NULL;
}

int main(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  int ended = 0;
  if (morsel_code_name(MORSEL_OK) == NULL) return 1;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN));
  const int error = pthread_create(&thread, &attributes, End, &ended);
  if (error != 0) {
    printf("%s\n", strerror(error));
    return 1;
  }
  pthread_join(thread, NULL);
  return ended ? 0 : 1;
}
