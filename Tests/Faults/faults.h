// What the files of the library share: the calls that count, the decision what happens to one, and paths of file descriptors.

#pragma once
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum call {
  OPEN_READ, OPEN_WRITE, READ, WRITE, FSYNC, CLOSE, RENAME, LINK, UNLINK, TRUNCATE, MAP, FLOCK, LOCK, MKDIR,
  RMDIR, OPENDIR, READDIR, CLOSEDIR, STAT, FSTAT
};

// What happens to a call: nothing (0), an error number, or one of these.
enum { SHORT = -1, KILL_PART = -2 };

// Hidden, so that no library of the program takes one of these names for its own.
#pragma GCC visibility push(hidden)

// Numbers a call on a path, and says what happens to it. A path that is NULL or below none of the roots does not count.
int decide(enum call call, const char *path);

// The path that a descriptor was opened by, where it counts; NULL elsewhere.
const char *path_of(int descriptor);
void remember(int descriptor, const char *path);

// The absolute path of a name in the directory of a descriptor; `buffer` has PATH_MAX bytes.
const char *absolute(int directory, const char *name, char *buffer);

#pragma GCC visibility pop

#define REAL(result, name, ...)                            \
  static result (*_Atomic next)(__VA_ARGS__);              \
  result (*real)(__VA_ARGS__) = atomic_load(&next);        \
  if (!real) {                                             \
    real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name); \
    atomic_store(&next, real);                             \
  }

// Returns `value` with an error where the call is to fail.
#define FAIL(call, path, value)         \
  int fault = decide(call, path);       \
  if (fault) {                          \
    errno = fault;                      \
    return value;                       \
  }
