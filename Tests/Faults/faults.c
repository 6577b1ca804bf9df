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

#include "faults.h"

#include <pthread.h>
#include <signal.h>

// ---- The calls and the errors that each can have --------------------------------------------------------------

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
void remember(int descriptor, const char *path) {
  if (descriptor >= 0 && descriptor < DESCRIPTORS)
    atomic_store(&paths[descriptor], path && counts(path) ? strdup(path) : NULL);
}

const char *path_of(int descriptor) {
  if (descriptor < 0 || descriptor >= DESCRIPTORS) return NULL;
  const char *path = atomic_load(&paths[descriptor]);
  return path || descriptor != STDOUT_FILENO ? path : "standard output";
}

const char *absolute(int directory, const char *name, char *buffer) {
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

int decide(enum call call, const char *path) {
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
