// The wrappers of calls on names and directories: rename, link, remove, make, list, examine.

#include "faults.h"

#include <dirent.h>

// ---- Names ----------------------------------------------------------------------------------------------------

int rename(const char *old, const char *new) {
  REAL(int, "rename", const char *, const char *)
  char buffer[PATH_MAX];
  FAIL(RENAME, absolute(AT_FDCWD, new, buffer), -1)
  return real(old, new);
}
int renameat(int from, const char *old, int to, const char *new) {
  REAL(int, "renameat", int, const char *, int, const char *)
  char buffer[PATH_MAX];
  FAIL(RENAME, absolute(to, new, buffer), -1)
  return real(from, old, to, new);
}
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
  REAL(int, "renameat2", int, const char *, int, const char *, unsigned)
  char buffer[PATH_MAX];
  FAIL(RENAME, absolute(to, new, buffer), -1)
  return real(from, old, to, new, flags);
}
int link(const char *old, const char *new) {
  REAL(int, "link", const char *, const char *)
  char buffer[PATH_MAX];
  FAIL(LINK, absolute(AT_FDCWD, new, buffer), -1)
  return real(old, new);
}
int symlink(const char *target, const char *name) {
  REAL(int, "symlink", const char *, const char *)
  char buffer[PATH_MAX];
  FAIL(LINK, absolute(AT_FDCWD, name, buffer), -1)
  return real(target, name);
}
int unlinkat(int at, const char *name, int flags) {
  REAL(int, "unlinkat", int, const char *, int)
  char buffer[PATH_MAX];
  FAIL(flags & AT_REMOVEDIR ? RMDIR : UNLINK, absolute(at, name, buffer), -1)
  return real(at, name, flags);
}

#define ON_PATH(name, call)                        \
  int name(const char *file) {                     \
    REAL(int, #name, const char *)                 \
    char buffer[PATH_MAX];                         \
    FAIL(call, absolute(AT_FDCWD, file, buffer), -1) \
    return real(file);                             \
  }
ON_PATH(unlink, UNLINK)
ON_PATH(remove, UNLINK)
ON_PATH(rmdir, RMDIR)

int mkdir(const char *name, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t)
  char buffer[PATH_MAX];
  FAIL(MKDIR, absolute(AT_FDCWD, name, buffer), -1)
  return real(name, mode);
}
int mkdirat(int at, const char *name, mode_t mode) {
  REAL(int, "mkdirat", int, const char *, mode_t)
  char buffer[PATH_MAX];
  FAIL(MKDIR, absolute(at, name, buffer), -1)
  return real(at, name, mode);
}

// ---- Directories ----------------------------------------------------------------------------------------------

DIR *opendir(const char *name) {
  REAL(DIR *, "opendir", const char *)
  char buffer[PATH_MAX];
  const char *path = absolute(AT_FDCWD, name, buffer);
  FAIL(OPENDIR, path, NULL)
  DIR *directory = real(name);
  if (directory) remember(dirfd(directory), path);
  return directory;
}
DIR *fdopendir(int descriptor) {
  REAL(DIR *, "fdopendir", int)
  FAIL(OPENDIR, path_of(descriptor), NULL)
  return real(descriptor);
}
#define READDIR_AS(type, name)                     \
  struct type *name(DIR *directory) {              \
    REAL(struct type *, #name, DIR *)              \
    FAIL(READDIR, path_of(dirfd(directory)), NULL) \
    return real(directory);                        \
  }
READDIR_AS(dirent, readdir)
READDIR_AS(dirent64, readdir64)
int closedir(DIR *directory) {
  REAL(int, "closedir", DIR *)
  int descriptor = dirfd(directory), fault = decide(CLOSEDIR, path_of(descriptor));
  remember(descriptor, NULL);
  int result = real(directory);
  if (!fault) return result;
  errno = fault;
  return -1;
}

// ---- Examining ------------------------------------------------------------------------------------------------

#define STAT_AS(name, type)                          \
  int name(const char *file, struct type *status) {  \
    REAL(int, #name, const char *, struct type *)    \
    char buffer[PATH_MAX];                           \
    FAIL(STAT, absolute(AT_FDCWD, file, buffer), -1) \
    return real(file, status);                       \
  }
STAT_AS(stat, stat)
STAT_AS(lstat, stat)
STAT_AS(stat64, stat64)
STAT_AS(lstat64, stat64)
#define FSTAT_AS(name, type)                                                     \
  int name(int descriptor, struct type *status) {                                \
    REAL(int, #name, int, struct type *)                                         \
    FAIL(FSTAT, descriptor == STDOUT_FILENO ? NULL : path_of(descriptor), -1)    \
    return real(descriptor, status);                                             \
  }
FSTAT_AS(fstat, stat)
FSTAT_AS(fstat64, stat64)
#define FSTATAT_AS(name, type)                                              \
  int name(int at, const char *file, struct type *status, int flags) {      \
    REAL(int, #name, int, const char *, struct type *, int)                 \
    char buffer[PATH_MAX];                                                  \
    FAIL(STAT, absolute(at, file, buffer), -1)                              \
    return real(at, file, status, flags);                                   \
  }
FSTATAT_AS(fstatat, stat)
FSTATAT_AS(fstatat64, stat64)
int statx(int at, const char *file, int flags, unsigned mask, struct statx *status) {
  REAL(int, "statx", int, const char *, int, unsigned, struct statx *)
  char buffer[PATH_MAX];
  FAIL(STAT, absolute(at, file, buffer), -1)
  return real(at, file, flags, mask, status);
}
int access(const char *file, int mode) {
  REAL(int, "access", const char *, int)
  char buffer[PATH_MAX];
  FAIL(STAT, absolute(AT_FDCWD, file, buffer), -1)
  return real(file, mode);
}
int faccessat(int at, const char *file, int mode, int flags) {
  REAL(int, "faccessat", int, const char *, int, int)
  char buffer[PATH_MAX];
  FAIL(STAT, absolute(at, file, buffer), -1)
  return real(at, file, mode, flags);
}
ssize_t readlink(const char *file, char *bytes, size_t count) {
  REAL(ssize_t, "readlink", const char *, char *, size_t)
  char buffer[PATH_MAX];
  FAIL(STAT, absolute(AT_FDCWD, file, buffer), -1)
  return real(file, bytes, count);
}
