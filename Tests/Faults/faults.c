// A library for LD_PRELOAD that numbers a program's calls on files and fails one of them.
//
// Only calls on the paths below FAULT_ROOTS have a number (and writes to standard output, which a log file on a
// full disk can refuse). Calls of the dynamic loader, of MPI and of Python's imports therefore do not
// move the numbers. The main thread's calls are numbered from 1, those of all other threads from 100001, so that a
// thread that runs beside the main thread does not move them either.
//
//   FAULT_ROOTS   prefixes of absolute paths, separated by colons
//   FAULT_AT      the number of the call to fail; none is failed where this is not set
//   FAULT_ERROR   EIO, ENOSPC, EACCES, ...: the call is not made and returns this error
//                 short: a read or write transfers half of the bytes
//                 kill: SIGKILL before the call;  kill-part: SIGKILL after half of a write
//                 ENOSPC+, EMFILE+: this call and all later ones that need space, or a file descriptor
//                 EACCES+: this call and all later ones that open or examine a path in the same directory
//                 A call that cannot have this error is passed over; the next one that can is failed.
//   FAULT_RANK    only the process with this OMPI_COMM_WORLD_RANK counts
//   FAULT_LOG     a file: without FAULT_AT a line for each call, with it a line for each call that was failed:
//                 number, name of the call, errors that it can have, path, separated by tabs
//
// Not seen: calls that the C library makes itself (fts_read's opendir, fflush's write), direct system calls.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

// The headers declare the 64-bit names only with _LARGEFILE64_SOURCE, which _GNU_SOURCE implies.

// ---- The calls and the errors that each can have --------------------------------------------------------------

enum call {
  OPEN_READ, OPEN_WRITE, READ, WRITE, FSYNC, CLOSE, RENAME, LINK, UNLINK, TRUNCATE, MAP, FLOCK, LOCK, MKDIR,
  RMDIR, OPENDIR, READDIR, CLOSEDIR, STAT, FSTAT
};

static const struct { const char *name, *errors; } calls[] = {
  [OPEN_READ] = {"open", "EACCES EIO EMFILE EINTR ESTALE EACCES+ EMFILE+ kill"},
  [OPEN_WRITE] = {"create", "EACCES EIO EMFILE EINTR ENOSPC EMFILE+ kill"},
  [READ] = {"read", "EIO EINTR ESTALE short kill"},
  [WRITE] = {"write", "ENOSPC EIO EINTR short ENOSPC+ kill kill-part"},
  [FSYNC] = {"fsync", "EIO ENOSPC EINTR kill"},
  [CLOSE] = {"close", "EIO ENOSPC EINTR kill"},
  [RENAME] = {"rename", "EIO ENOSPC EACCES kill"},
  [LINK] = {"link", "EIO ENOSPC EACCES kill"},
  [UNLINK] = {"unlink", "EIO EACCES kill"},
  [TRUNCATE] = {"truncate", "EIO EINTR EACCES kill"},
  [MAP] = {"mmap", "ENOMEM EACCES kill"},
  [FLOCK] = {"flock", "EINTR ENOLCK EIO kill"},
  [LOCK] = {"fcntl", "EINTR ENOLCK EIO kill"},
  [MKDIR] = {"mkdir", "EIO ENOSPC EACCES ENOSPC+ kill"},
  [RMDIR] = {"rmdir", "EIO EACCES kill"},
  [OPENDIR] = {"opendir", "EACCES EIO EMFILE ESTALE EACCES+ EMFILE+ kill"},
  [READDIR] = {"readdir", "EIO kill"},
  [CLOSEDIR] = {"closedir", "EIO kill"},
  [STAT] = {"stat", "EACCES EIO ESTALE EACCES+ kill"},
  [FSTAT] = {"fstat", "EIO ESTALE kill"},
};

static const struct { const char *name; int number; } errors[] = {
  {"EACCES", EACCES}, {"EIO", EIO},       {"EMFILE", EMFILE}, {"EINTR", EINTR}, {"ENOSPC", ENOSPC},
  {"ENOMEM", ENOMEM}, {"ENOLCK", ENOLCK}, {"ESTALE", ESTALE},
};

// What happens to a call: nothing, an error number, or one of these.
enum { SHORT = -1, KILL_PART = -2 };

// ---- Settings -------------------------------------------------------------------------------------------------

static struct {
  char roots[4 * PATH_MAX];
  long at;
  char error[32];  // without the +
  bool lasts;      // the + was there
  int number;
  char log[PATH_MAX];
  bool counts;  // whether this process does
} settings;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void copy(char *to, size_t size, const char *name) {
  const char *value = getenv(name);
  snprintf(to, size, "%s", value ? value : "");
}

static void read_settings(void) {
  char text[32];
  copy(settings.roots, sizeof settings.roots, "FAULT_ROOTS");
  copy(settings.log, sizeof settings.log, "FAULT_LOG");
  copy(text, sizeof text, "FAULT_AT");
  settings.at = atol(text);
  copy(settings.error, sizeof settings.error, "FAULT_ERROR");
  char *plus = strchr(settings.error, '+');
  settings.lasts = plus != NULL;
  if (plus) *plus = 0;
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (!strcmp(errors[i].name, settings.error)) settings.number = errors[i].number;
  copy(text, sizeof text, "FAULT_RANK");
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  settings.counts = settings.roots[0] && (!text[0] || (rank && !strcmp(rank, text)));
}

// Whether a path is below one of the roots.
static bool counts(const char *path) {
  pthread_once(&once, read_settings);
  if (!settings.counts || !path) return false;
  if (path[0] != '/') return !strcmp(path, "standard output");
  for (const char *root = settings.roots; *root;) {
    size_t length = strcspn(root, ":");
    if (length && !strncmp(path, root, length) && (path[length] == '/' || !path[length])) return true;
    root += length + (root[length] == ':');
  }
  return false;
}

// ---- Paths of file descriptors --------------------------------------------------------------------------------

enum { DESCRIPTORS = 65536 };
static _Atomic(char *) paths[DESCRIPTORS];

// What was there before stays allocated: another thread may look at it. Those are a few hundred short texts.
static void remember(int descriptor, const char *path) {
  if (descriptor >= 0 && descriptor < DESCRIPTORS)
    atomic_store(&paths[descriptor], path && counts(path) ? strdup(path) : NULL);
}

static const char *path_of(int descriptor) {
  if (descriptor < 0 || descriptor >= DESCRIPTORS) return NULL;
  const char *path = atomic_load(&paths[descriptor]);
  return path || descriptor != STDOUT_FILENO ? path : "standard output";
}

// The absolute path of a name in the directory of a descriptor.
static const char *absolute(int directory, const char *name, char *buffer) {
  if (!name || name[0] == '/') return name;
  const char *folder = directory == AT_FDCWD ? NULL : path_of(directory);
  char current[PATH_MAX];
  if (!folder) {
    if (directory != AT_FDCWD || syscall(SYS_getcwd, current, sizeof current) < 0) return NULL;
    folder = current;
  }
  if (!name[0] || !strcmp(name, ".")) snprintf(buffer, PATH_MAX, "%s", folder);
  else snprintf(buffer, PATH_MAX, "%.*s/%s", PATH_MAX / 2, folder, name);
  return buffer;
}

// ---- Counting and failing -------------------------------------------------------------------------------------

enum { FIRST_OF_OTHERS = 100000 };
static atomic_long main_calls, other_calls = FIRST_OF_OTHERS;
static atomic_bool has_failed;
// Where: for errors that last.
static char failed_folder[PATH_MAX];

static void log_line(long number, enum call call, const char *path) {
  if (!settings.log[0]) return;
  char line[2 * PATH_MAX];
  const char *last = settings.at ? settings.error : calls[call].errors;
  int length = snprintf(
    line, sizeof line, "%ld\t%s\t%s%s\t%s\n", number, calls[call].name, last,
    settings.at && settings.lasts ? "+" : "", path);
  int log = (int)syscall(SYS_openat, AT_FDCWD, settings.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return;
  syscall(SYS_write, log, line, (size_t)length);
  syscall(SYS_close, log);
}

// Whether a call can have the error that is wanted.
static bool can_fail(enum call call) {
  size_t length = strlen(settings.error);
  for (const char *text = calls[call].errors; *text;) {
    size_t word = strcspn(text, " ");
    bool lasts = text[word - 1] == '+';
    if (word - lasts == length && !strncmp(text, settings.error, length) && lasts == settings.lasts) return true;
    text += word + (text[word] == ' ');
  }
  return false;
}

static void folder_of(const char *path, char *folder) {
  const char *slash = strrchr(path, '/');
  snprintf(folder, PATH_MAX, "%.*s", (int)(slash ? slash - path : 0), path);
}

// Whether a call after the failed one has the same error, where it lasts.
static bool fails_too(enum call call, const char *path) {
  if (!settings.lasts) return false;
  char folder[PATH_MAX];
  switch (settings.number) {
  case ENOSPC: return call == WRITE || call == MKDIR;
  case EMFILE: return call == OPEN_READ || call == OPEN_WRITE || call == OPENDIR;
  default:
    folder_of(path, folder);
    return (call == OPEN_READ || call == OPENDIR || call == STAT) && !strcmp(folder, failed_folder);
  }
}

// Numbers a call, and says what happens to it: 0 for nothing.
static int decide(enum call call, const char *path) {
  if (!counts(path)) return 0;
  bool is_main = syscall(SYS_gettid) == getpid();
  long number = atomic_fetch_add(is_main ? &main_calls : &other_calls, 1) + 1;
  if (!settings.at) {
    log_line(number, call, path);
    return 0;
  }
  if (atomic_load(&has_failed)) return fails_too(call, path) ? settings.number : 0;
  if (is_main != (settings.at <= FIRST_OF_OTHERS) || number < settings.at || !can_fail(call)) return 0;
  // Before any other thread sees that the call has failed. Two threads that fail at once do not happen: a number belongs to
  // the main thread or to the one that watches.
  folder_of(path, failed_folder);
  atomic_store(&has_failed, true);
  log_line(number, call, path);
  if (!strcmp(settings.error, "kill")) syscall(SYS_kill, getpid(), SIGKILL);
  if (!strcmp(settings.error, "kill-part")) return KILL_PART;
  return !strcmp(settings.error, "short") ? SHORT : settings.number;
}

// ---- The wrappers ---------------------------------------------------------------------------------------------

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
