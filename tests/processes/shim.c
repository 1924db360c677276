/* What a disk may do to a command: refuse the n-th call below one folder, or end the process there.
 *
 * Loaded by LD_PRELOAD; the process under test calls `shim_arm` once it is ready. Every call that touches a path or
 * descriptor below the folder is counted. Modes: 1 counts; 2 fails the n-th call with an error, and all later ones that
 * write where `sticky` is set, as a full disk does; 3 kills the process before the n-th call, after half of it if that
 * is a write; 4 writes a journal of what was changed and what was flushed, from which a loss of power is simulated.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int mode, target, error_number, sticky, journal = -1;
static volatile int calls;
static char root[PATH_MAX], last_call[PATH_MAX + 32];

void shim_arm(const char *folder, int how, int nth, int error, int stays, const char *journal_path) {
    if (!realpath(folder, root)) abort();
    target = nth, error_number = error, sticky = stays, calls = 0;
    if (how == 4) journal = open(journal_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    mode = how;
}
int shim_calls(void) { return calls; }
const char *shim_last(void) { return last_call; }

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static int below(const char *path) {
    size_t n = strlen(root);
    return !strncmp(path, root, n) && (path[n] == '/' || !path[n]);
}

/* The absolute path of a descriptor, or of a path as seen from a folder. */
static int path_of(int fd, const char *path, char *into) {
    char link[64], where[PATH_MAX];
    if (path && path[0] == '/') { snprintf(into, PATH_MAX, "%s", path); return 1; }
    if (fd == AT_FDCWD) { if (!getcwd(where, sizeof where)) return 0; }
    else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, where, sizeof where - 1);
        if (n < 0) return 0;
        where[n] = 0;
    }
    if (path) snprintf(into, PATH_MAX, "%.2000s/%.2000s", where, path); else snprintf(into, PATH_MAX, "%s", where);
    return 1;
}

/* Whether the call at hand is to be refused; `writes`: a full disk refuses it too. */
static int refused(const char *name, int fd, const char *path, int writes) {
    char full[PATH_MAX];
    if (mode < 1 || mode > 3) return 0;
    int before = errno;
    if (!path_of(fd, path, full) || !below(full)) { errno = before; return 0; }
    errno = before;
    if (error_number == ENOSPC && !writes && mode == 2) return 0;
    int now = __sync_add_and_fetch(&calls, 1);
    if (now <= target) snprintf(last_call, sizeof last_call, "%s %.4000s", name, full);
    if (mode == 2 && (now == target || (sticky && writes && now > target))) { errno = error_number; return 1; }
    if (mode == 3 && now == target && strcmp(name, "write")) kill(getpid(), SIGKILL);
    return mode == 3 && now == target;
}

static void note(const char *what, const char *path, const char *more) {
    char full[PATH_MAX], line[2 * PATH_MAX + 64];
    struct stat at = {0};
    if (mode != 4 || !path_of(AT_FDCWD, path, full) || !below(full)) return;
    int before = errno;
    lstat(strcmp(what, "rename") ? full : more, &at);
    int n = snprintf(line, sizeof line, "%s\t%s\t%s\t%lu\n", what, full, more ? more : "", (unsigned long)at.st_ino);
    ssize_t (*out)(int, const void *, size_t) = real("write");
    if (out(journal, line, n) != n) abort();
    errno = before;
}

static void note_flush(int fd) {
    static int copies;
    char full[PATH_MAX], copy[PATH_MAX], line[2 * PATH_MAX], name[64], block[65536];
    struct stat at;
    if (mode != 4 || !path_of(fd, NULL, full) || !below(full) || fstat(fd, &at)) return;
    int before = errno;
    copy[0] = 0;
    if (S_ISREG(at.st_mode)) {
        ssize_t (*in)(int, void *, size_t) = real("read"), (*out)(int, const void *, size_t) = real("write"), n;
        int (*op)(const char *, int, ...) = real("open");
        snprintf(name, sizeof name, "/proc/self/fd/%d", journal);
        ssize_t m = readlink(name, copy, PATH_MAX - 32);
        snprintf(copy + m, 32, ".%d", ++copies);
        int from = op(full, O_RDONLY), to = op(copy, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        while ((n = in(from, block, sizeof block)) > 0) if (out(to, block, n) != n) abort();
        int (*shut)(int) = real("close");
        shut(from), shut(to);
    }
    int n = snprintf(line, sizeof line, "flush\t%s\t%s\t%lu\n", full, copy, (unsigned long)at.st_ino);
    ssize_t (*out)(int, const void *, size_t) = real("write");
    if (out(journal, line, n) != n) abort();
    errno = before;
}

static int opened(const char *which, int at, const char *path, int flags, mode_t bits) {
    static int (*go)(int, const char *, int, ...);
    if (!go) go = real("openat");
    int writes = flags & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC);
    if (refused(which, at, path, writes)) return -1;
    char full[PATH_MAX];
    struct stat there;
    int was = mode == 4 && writes && path_of(at, path, full) && !lstat(full, &there);
    int fd = go(at, path, flags, bits);
    if (mode == 4 && fd >= 0 && writes && (!was || flags & O_TRUNC)) note(was ? "truncate" : "create", full, NULL);
    return fd;
}
#define BITS mode_t bits = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list l; va_start(l, flags); bits = va_arg(l, int); va_end(l); }
int open(const char *p, int flags, ...) { BITS return opened("open", AT_FDCWD, p, flags, bits); }
int open64(const char *p, int flags, ...) { BITS return opened("open", AT_FDCWD, p, flags, bits); }
int openat(int at, const char *p, int flags, ...) { BITS return opened("open", at, p, flags, bits); }
int openat64(int at, const char *p, int flags, ...) { BITS return opened("open", at, p, flags, bits); }
int creat(const char *p, mode_t bits) { return opened("open", AT_FDCWD, p, O_CREAT | O_WRONLY | O_TRUNC, bits); }

FILE *fopen(const char *p, const char *m) {
    static FILE *(*go)(const char *, const char *);
    if (!go) go = real("fopen");
    return refused("open", AT_FDCWD, p, !strchr(m, 'r')) ? NULL : go(p, m);
}
FILE *fopen64(const char *p, const char *m) {
    static FILE *(*go)(const char *, const char *);
    if (!go) go = real("fopen64");
    return refused("open", AT_FDCWD, p, !strchr(m, 'r')) ? NULL : go(p, m);
}

ssize_t write(int fd, const void *data, size_t n) {
    static ssize_t (*go)(int, const void *, size_t);
    if (!go) go = real("write");
    if (refused("write", fd, NULL, 1)) {
        if (mode == 2) return -1;
        if (go(fd, data, n / 2) >= 0) kill(getpid(), SIGKILL);
    }
    return go(fd, data, n);
}
ssize_t read(int fd, void *data, size_t n) {
    static ssize_t (*go)(int, void *, size_t);
    if (!go) go = real("read");
    return refused("read", fd, NULL, 0) ? -1 : go(fd, data, n);
}

#define CALL(type, name, parameters, arguments, fd, path, writes, failed, noted) \
    type name parameters { \
        static type (*go) parameters; \
        if (!go) go = real(#name); \
        if (refused(#name, fd, path, writes)) return failed; \
        type found = go arguments; \
        noted; \
        return found; \
    }
CALL(ssize_t, pwrite, (int fd, const void *d, size_t n, off_t o), (fd, d, n, o), fd, NULL, 1, -1, )
CALL(ssize_t, pwrite64, (int fd, const void *d, size_t n, off64_t o), (fd, d, n, o), fd, NULL, 1, -1, )
CALL(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n), fd, NULL, 1, -1, )
CALL(ssize_t, sendfile, (int to, int from, off_t *o, size_t n), (to, from, o, n), to, NULL, 1, -1, )
CALL(ssize_t, sendfile64, (int to, int from, off64_t *o, size_t n), (to, from, o, n), to, NULL, 1, -1, )
CALL(ssize_t, copy_file_range, (int from, off64_t *a, int to, off64_t *b, size_t n, unsigned f), (from, a, to, b, n, f),
     to, NULL, 1, -1, )
CALL(int, ftruncate, (int fd, off_t n), (fd, n), fd, NULL, 1, -1, )
CALL(int, ftruncate64, (int fd, off64_t n), (fd, n), fd, NULL, 1, -1, )
CALL(int, fallocate, (int fd, int m, off_t o, off_t n), (fd, m, o, n), fd, NULL, 1, -1, )
CALL(int, posix_fallocate, (int fd, off_t o, off_t n), (fd, o, n), fd, NULL, 1, error_number, )
CALL(int, mkdir, (const char *p, mode_t m), (p, m), AT_FDCWD, p, 1, -1, if (!found) note("mkdir", p, NULL))
CALL(DIR *, opendir, (const char *p), (p), AT_FDCWD, p, 0, NULL, )
CALL(DIR *, fdopendir, (int fd), (fd), fd, NULL, 0, NULL, )
CALL(int, fsync, (int fd), (fd), fd, NULL, 1, -1, note_flush(fd))
CALL(int, fdatasync, (int fd), (fd), fd, NULL, 1, -1, note_flush(fd))
CALL(int, rmdir, (const char *p), (p), AT_FDCWD, p, 0, -1, if (!found) note("unlink", p, NULL))
CALL(int, unlink, (const char *p), (p), AT_FDCWD, p, 0, -1, if (!found) note("unlink", p, NULL))

int rename(const char *a, const char *b) {
    static int (*go)(const char *, const char *);
    char full[PATH_MAX];
    if (!go) go = real("rename");
    if (refused("rename", AT_FDCWD, b, 1)) return -1;
    int found = go(a, b);
    if (!found && mode == 4 && path_of(AT_FDCWD, b, full)) note("rename", a, full);
    return found;
}
int unlinkat(int at, const char *p, int flags) {
    static int (*go)(int, const char *, int);
    char full[PATH_MAX];
    if (!go) go = real("unlinkat");
    if (refused("unlink", at, p, 0)) return -1;
    int there = mode == 4 && path_of(at, p, full), found = go(at, p, flags);
    if (!found && there) note("unlink", full, NULL);
    return found;
}
