/* A simulated disk, by LD_PRELOAD. The first byte of the file DISK_TOLD selects the fault of writes and syncs of the database's files. The
 * synced content of each of these files is in a copy beside it, `….synced`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WELL = 0, WRITES_FAIL = 1, FULL = 2, SYNCS_FAIL = 3 };

/* Writes to a file since its last sync, newest first. */
struct op {
    struct op *before;
    off_t at; /* offset; without data, the size to which the file was truncated */
    size_t length;
    char data[];
};
struct file {
    struct file *next;
    struct op *newest;
    char path[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;
static volatile const char *told;

__attribute__((constructor)) static void begin(void) {
    int fd = open(getenv("DISK_TOLD"), O_RDONLY);
    told = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    if (told == MAP_FAILED) abort();
    close(fd);
}

static int is_ours(const char *path) {
    const char *name = strstr(path, "/monitor.db");
    if (!name) name = strstr(path, "/agent.db");
    return name && !strstr(name, "-shm") && !strstr(name, ".synced");
}

/* The file of a descriptor, if it belongs to a database. */
static struct file *file_of(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    if (!is_ours(path)) return NULL;
    pthread_mutex_lock(&lock);
    struct file *file = files;
    while (file && strcmp(file->path, path)) file = file->next;
    if (!file) {
        file = calloc(1, sizeof *file + length + 1);
        strcpy(file->path, path);
        file->next = files;
        files = file;
    }
    pthread_mutex_unlock(&lock);
    return file;
}

static void note(struct file *file, off_t at, const void *data, size_t length) {
    struct op *op = malloc(sizeof *op + length);
    op->at = at;
    op->length = length;
    if (length) memcpy(op->data, data, length);
    pthread_mutex_lock(&lock);
    op->before = file->newest;
    file->newest = op;
    pthread_mutex_unlock(&lock);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void copy(struct op *op, int fd) {
    if (!op) return;
    copy(op->before, fd);
    if (!(op->length ? REAL(pwrite)(fd, op->data, op->length, op->at) == (ssize_t)op->length : !REAL(ftruncate)(fd, op->at))) abort();
    free(op);
}

static ssize_t written(int fd, const void *data, size_t length, off_t at) {
    struct file *file = file_of(fd);
    if (file && (*told == WRITES_FAIL || *told == FULL)) {
        /* A full disk first accepts a part. */
        size_t part = *told == FULL && length > 512 ? REAL(pwrite)(fd, data, length / 2, at) : 0;
        if (part) {
            note(file, at, data, part);
            return part;
        }
        errno = *told == FULL ? ENOSPC : EIO;
        return -1;
    }
    ssize_t done = REAL(pwrite)(fd, data, length, at);
    if (file && done > 0) note(file, at, data, done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return written(fd, data, length, at); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t at) { return written(fd, data, length, at); }

static int cut(int fd, off_t size) {
    struct file *file = file_of(fd);
    int done = REAL(ftruncate)(fd, size);
    if (file && !done) note(file, size, NULL, 0);
    return done;
}

int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off_t size) { return cut(fd, size); }

static int synced(int fd) {
    struct file *file = file_of(fd);
    if (file && *told == SYNCS_FAIL) {
        errno = EIO;
        return -1;
    }
    int done = REAL(fsync)(fd);
    if (file && !done) {
        pthread_mutex_lock(&lock);
        struct op *ops = file->newest;
        file->newest = NULL;
        pthread_mutex_unlock(&lock);
        char path[4200];
        snprintf(path, sizeof path, "%s.synced", file->path);
        int to = open(path, O_WRONLY | O_CREAT, 0600);
        if (to < 0) abort();
        copy(ops, to);
        close(to);
    }
    return done;
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

int unlink(const char *path) {
    if (is_ours(path)) {
        char copy[4200];
        snprintf(copy, sizeof copy, "%s.synced", path);
        REAL(unlink)(copy);
    }
    return REAL(unlink)(path);
}
