/* Steered clocks, by LD_PRELOAD. The file CLOCK_TOLD contains four numbers of eight bytes each:
 *   0  nanoseconds that only the system time is ahead, as after a change of the system time;
 *   1  nanoseconds that all clocks are ahead, as if that time had passed;
 *   2  factor by which all clocks run faster, or 0 for the normal speed;
 *   3  start of the faster speed, in nanoseconds of the real CLOCK_MONOTONIC.
 * A wait with a timeout (epoll_wait, futex, nanosleep, clock_nanosleep) ends when these clocks reach its end. It consists of short waits in
 * real time, because the numbers may change in between. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
/* Maximum duration of a short wait. */
#define PIECE (5 * SECOND / 1000)
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static volatile const int64_t *told;
static __typeof__(&clock_gettime) real_gettime;
static __typeof__(&epoll_wait) real_epoll_wait;
static __typeof__(&clock_nanosleep) real_nanosleep;
static long (*real_syscall)(long, ...);

__attribute__((constructor)) static void begin(void) {
    real_gettime = REAL(clock_gettime);
    real_epoll_wait = REAL(epoll_wait);
    real_nanosleep = REAL(clock_nanosleep);
    real_syscall = REAL(syscall);
    int fd = open(getenv("CLOCK_TOLD"), O_RDONLY);
    told = mmap(NULL, 4 * sizeof *told, PROT_READ, MAP_SHARED, fd, 0);
    if (told == MAP_FAILED) abort();
    close(fd);
}

static int64_t ns_of(const struct timespec *time) { return time->tv_sec * SECOND + time->tv_nsec; }

static struct timespec of_ns(int64_t ns) { return (struct timespec){ns / SECOND, ns % SECOND}; }

static int64_t real_now(clockid_t id) {
    struct timespec time;
    real_gettime(id, &time);
    return ns_of(&time);
}

/* Offset of all clocks, in nanoseconds. */
static int64_t ahead(void) {
    if (!told) return 0;
    int64_t fast = told[2] > 1 ? (told[2] - 1) * (real_now(CLOCK_MONOTONIC) - told[3]) : 0;
    return told[1] + fast;
}

static int is_steered(clockid_t id) {
    return id == CLOCK_REALTIME || id == CLOCK_MONOTONIC || id == CLOCK_BOOTTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_MONOTONIC_COARSE;
}

static int64_t now(clockid_t id) {
    int is_wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    return real_now(id) + ahead() + (is_wall && told ? told[0] : 0);
}

int clock_gettime(clockid_t id, struct timespec *time) {
    if (!real_gettime) real_gettime = REAL(clock_gettime);
    int done = real_gettime(id, time);
    if (!done && is_steered(id)) *time = of_ns(now(id));
    return done;
}

/* Remaining real time of a wait, at most PIECE. */
static int64_t piece(int64_t rest) {
    if (told && told[2] > 1) rest = rest / told[2] + 1;
    return rest < PIECE ? rest : PIECE;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
    if (timeout <= 0) return real_epoll_wait(fd, events, most, timeout);
    int64_t end = now(CLOCK_MONOTONIC) + timeout * (SECOND / 1000);
    for (;;) {
        int64_t rest = end - now(CLOCK_MONOTONIC);
        int found = real_epoll_wait(fd, events, most, rest <= 0 ? 0 : (piece(rest) + 999999) / 1000000);
        if (found || rest <= 0) return found;
    }
}

static int slept(clockid_t id, int64_t end) {
    for (int64_t rest; (rest = end - now(id)) > 0;) {
        struct timespec some = of_ns(piece(rest));
        int failed = real_nanosleep(CLOCK_MONOTONIC, 0, &some, NULL);
        if (failed) return failed;
    }
    return 0;
}

int clock_nanosleep(clockid_t id, int flags, const struct timespec *time, struct timespec *rest) {
    if (!is_steered(id)) return real_nanosleep(id, flags, time, rest);
    return slept(id, flags & TIMER_ABSTIME ? ns_of(time) : now(id) + ns_of(time));
}

int nanosleep(const struct timespec *time, struct timespec *rest) {
    (void)rest;
    int failed = slept(CLOCK_MONOTONIC, now(CLOCK_MONOTONIC) + ns_of(time));
    if (failed) errno = failed;
    return failed ? -1 : 0;
}

/* The Rust standard library waits by the system call futex, until a time of CLOCK_MONOTONIC. */
long syscall(long number, ...) {
    long args[6];
    va_list given;
    va_start(given, number);
    for (int place = 0; place < 6; place++) args[place] = va_arg(given, long);
    va_end(given);
    if (!real_syscall) real_syscall = dlsym(RTLD_NEXT, "syscall");
    const struct timespec *until = (const struct timespec *)args[3];
    int is_wait = number == SYS_futex && (args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && until && !(args[1] & FUTEX_CLOCK_REALTIME);
    if (!is_wait) return real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    int64_t end = ns_of(until);
    for (;;) {
        int64_t rest = end - now(CLOCK_MONOTONIC);
        struct timespec some = of_ns(real_now(CLOCK_MONOTONIC) + (rest <= 0 ? 0 : piece(rest)));
        long done = real_syscall(number, args[0], args[1], args[2], &some, args[4], args[5]);
        if (done != -1 || errno != ETIMEDOUT || rest <= 0) return done;
    }
}
