// The wrappers of calls on file descriptors and streams: open, read, write, force to disk, cut, map, lock, close.

#include "faults.h"

#include <stdarg.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static enum call kind(int flags) { return flags & O_CREAT ? OPEN_WRITE : OPEN_READ; }

#define MODE                                       \
  mode_t mode = 0;                                 \
  if (flags & (O_CREAT | __O_TMPFILE)) {           \
    va_list rest;                                  \
    va_start(rest, flags);                         \
    mode = va_arg(rest, mode_t);                   \
    va_end(rest);                                  \
  }

static int open_as(
  int (*real)(int, const char *, int, ...), int directory, const char *name, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  const char *path = absolute(directory, name, buffer);
  FAIL(kind(flags), path, -1)
  int descriptor = real(directory, name, flags, mode);
  if (descriptor >= 0) remember(descriptor, path);
  return descriptor;
}

#define OPENAT REAL(int, "openat", int, const char *, int, ...)
int open(const char *name, int flags, ...) { MODE OPENAT return open_as(real, AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE OPENAT return open_as(real, AT_FDCWD, name, flags, mode); }
int openat(int at, const char *name, int flags, ...) { MODE OPENAT return open_as(real, at, name, flags, mode); }
int openat64(int at, const char *name, int flags, ...) { MODE OPENAT return open_as(real, at, name, flags, mode); }
int creat(const char *name, mode_t mode) {
  OPENAT return open_as(real, AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *name, mode_t mode) { return creat(name, mode); }
// What the headers make of open under _FORTIFY_SOURCE.
int __open_2(const char *name, int flags) { OPENAT return open_as(real, AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { OPENAT return open_as(real, AT_FDCWD, name, flags, 0); }
int __openat_2(int at, const char *name, int flags) { OPENAT return open_as(real, at, name, flags, 0); }
int __openat64_2(int at, const char *name, int flags) { OPENAT return open_as(real, at, name, flags, 0); }

int mkstemp(char *template) {
  REAL(int, "mkstemp", char *)
  FAIL(OPEN_WRITE, template, -1)
  int descriptor = real(template);
  if (descriptor >= 0) remember(descriptor, template);
  return descriptor;
}
int mkstemp64(char *template) { return mkstemp(template); }

// Streams: the C library's own reads and writes of them are not seen.
static FILE *stream_as(FILE *(*real)(const char *, const char *), const char *name, const char *mode) {
  char buffer[PATH_MAX];
  const char *path = absolute(AT_FDCWD, name, buffer);
  FAIL(strchr("wa", mode[0]) ? OPEN_WRITE : OPEN_READ, path, NULL)
  FILE *stream = real(name, mode);
  if (stream) remember(fileno(stream), path);
  return stream;
}
FILE *fopen(const char *name, const char *mode) {
  REAL(FILE *, "fopen", const char *, const char *)
  return stream_as(real, name, mode);
}
FILE *fopen64(const char *name, const char *mode) {
  REAL(FILE *, "fopen64", const char *, const char *)
  return stream_as(real, name, mode);
}
int fclose(FILE *stream) {
  REAL(int, "fclose", FILE *)
  int descriptor = fileno(stream);
  int fault = descriptor == STDOUT_FILENO ? 0 : decide(CLOSE, path_of(descriptor));
  remember(descriptor, NULL);
  int result = real(stream);
  if (!fault) return result;
  errno = fault;
  return EOF;
}

// Also a call that is said to have failed closes: Linux gives the descriptor back in any case.
int close(int descriptor) {
  REAL(int, "close", int)
  int fault = descriptor == STDOUT_FILENO ? 0 : decide(CLOSE, path_of(descriptor));
  remember(descriptor, NULL);
  int result = real(descriptor);
  if (!fault) return result;
  errno = fault;
  return -1;
}

static int copied(int old, int new) {
  if (new >= 0) remember(new, old == STDOUT_FILENO ? NULL : path_of(old));
  return new;
}
int dup(int old) { REAL(int, "dup", int) return copied(old, real(old)); }
int dup2(int old, int new) { REAL(int, "dup2", int, int) return copied(old, real(old, new)); }
int dup3(int old, int new, int flags) { REAL(int, "dup3", int, int, int) return copied(old, real(old, new, flags)); }

// The number of bytes to read or write where the call is a short one.
static size_t half(size_t count) { return count > 1 ? count / 2 : count; }

#define READING(path)                                 \
  int fault = decide(READ, path);                     \
  if (fault == SHORT) count = half(count);            \
  else if (fault) {                                   \
    errno = fault;                                    \
    return -1;                                        \
  }

#define WRITING(path)                                             \
  int fault = decide(WRITE, path);                                \
  if (fault == SHORT || fault == KILL_PART) count = half(count);  \
  else if (fault) {                                               \
    errno = fault;                                                \
    return -1;                                                    \
  }

static ssize_t ended(int fault, ssize_t result) {
  if (fault == KILL_PART) syscall(SYS_kill, getpid(), SIGKILL);
  return result;
}

ssize_t read(int descriptor, void *bytes, size_t count) {
  REAL(ssize_t, "read", int, void *, size_t)
  READING(descriptor == STDOUT_FILENO ? NULL : path_of(descriptor))
  return real(descriptor, bytes, count);
}
ssize_t __read_chk(int descriptor, void *bytes, size_t count, size_t size) {
  (void)size;
  return read(descriptor, bytes, count);
}
ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
  REAL(ssize_t, "pread", int, void *, size_t, off_t)
  READING(path_of(descriptor))
  return real(descriptor, bytes, count, offset);
}
ssize_t pread64(int descriptor, void *bytes, size_t count, off64_t offset) {
  return pread(descriptor, bytes, count, offset);
}
ssize_t write(int descriptor, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t)
  WRITING(path_of(descriptor))
  return ended(fault, real(descriptor, bytes, count));
}
ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)
  WRITING(path_of(descriptor))
  return ended(fault, real(descriptor, bytes, count, offset));
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
  return pwrite(descriptor, bytes, count, offset);
}

// A short one takes the first piece alone.
ssize_t readv(int descriptor, const struct iovec *pieces, int number) {
  REAL(ssize_t, "readv", int, const struct iovec *, int)
  size_t count = (size_t)number;
  READING(descriptor == STDOUT_FILENO ? NULL : path_of(descriptor))
  return real(descriptor, pieces, (int)count);
}
ssize_t writev(int descriptor, const struct iovec *pieces, int number) {
  REAL(ssize_t, "writev", int, const struct iovec *, int)
  size_t count = (size_t)number;
  WRITING(path_of(descriptor))
  return ended(fault, real(descriptor, pieces, (int)count));
}
ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
  REAL(ssize_t, "sendfile", int, int, off_t *, size_t)
  WRITING(path_of(to))
  return ended(fault, real(to, from, offset, count));
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) { return sendfile(to, from, offset, count); }
ssize_t copy_file_range(int from, off64_t *here, int to, off64_t *there, size_t count, unsigned flags) {
  REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned)
  WRITING(path_of(to))
  return ended(fault, real(from, here, to, there, count, flags));
}

// Forcing to disk is not passed on below the roots: the machine does not lose power here, and it would take most of the time.
#define FORCE(name)                                                                     \
  int name(int descriptor) {                                                            \
    REAL(int, #name, int)                                                               \
    const char *path = descriptor == STDOUT_FILENO ? NULL : path_of(descriptor);        \
    FAIL(FSYNC, path, -1)                                                               \
    return path ? 0 : real(descriptor);                                                 \
  }
FORCE(fsync)
FORCE(fdatasync)

int ftruncate(int descriptor, off_t length) {
  REAL(int, "ftruncate", int, off_t)
  FAIL(TRUNCATE, path_of(descriptor), -1)
  return real(descriptor, length);
}
int ftruncate64(int descriptor, off64_t length) { return ftruncate(descriptor, length); }
int truncate(const char *name, off_t length) {
  REAL(int, "truncate", const char *, off_t)
  char buffer[PATH_MAX];
  FAIL(TRUNCATE, absolute(AT_FDCWD, name, buffer), -1)
  return real(name, length);
}
int truncate64(const char *name, off64_t length) { return truncate(name, length); }

void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
  REAL(void *, "mmap", void *, size_t, int, int, int, off_t)
  if (!(flags & MAP_ANONYMOUS) && descriptor != STDOUT_FILENO) {
    FAIL(MAP, path_of(descriptor), MAP_FAILED)
  }
  return real(address, length, protection, flags, descriptor, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int descriptor, off64_t offset) {
  return mmap(address, length, protection, flags, descriptor, offset);
}

int flock(int descriptor, int operation) {
  REAL(int, "flock", int, int)
  if (!(operation & LOCK_UN)) {
    FAIL(FLOCK, path_of(descriptor), -1)
  }
  return real(descriptor, operation);
}
static int control(int (*real)(int, int, ...), int descriptor, int command, void *argument) {
  if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW) {
    FAIL(LOCK, path_of(descriptor), -1)
  }
  int result = real(descriptor, command, argument);
  return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copied(descriptor, result) : result;
}
#define CONTROL(name)                             \
  int name(int descriptor, int command, ...) {    \
    REAL(int, #name, int, int, ...)               \
    va_list rest;                                 \
    va_start(rest, command);                      \
    void *argument = va_arg(rest, void *);        \
    va_end(rest);                                 \
    return control(real, descriptor, command, argument); \
  }
CONTROL(fcntl)
CONTROL(fcntl64)
