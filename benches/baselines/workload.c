/* Calls the kernel and tells what it took. One line a batch on stdin ("N": that many calls), one
 * line on stdout: nanoseconds a call.
 *
 *   workload connect PORT ERRNO   the median of N connects to 127.0.0.1:PORT, each of which must
 *                                 end with ERRNO (0: success)
 *   workload read|write|futex|epoll_wait|openat
 *                                 the mean of N calls
 *
 * A call that does not end as it should ends the program: a figure of something else is none. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static int compare(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static double connects(long count, const struct sockaddr_in *to, int expected) {
    long long *took = calloc((size_t)count, sizeof *took);
    if (!took) {
        fail("calloc");
    }
    /* Closed by a reset: nothing stays in TIME_WAIT, and ports do not run out. */
    struct linger reset = {1, 0};
    for (long index = 0; index < count; index++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0) {
            fail("socket");
        }
        long long began = now();
        int result = connect(fd, (const struct sockaddr *)to, sizeof *to);
        took[index] = now() - began;
        if ((result == 0 ? 0 : errno) != expected) {
            fail("connect");
        }
        close(fd);
    }
    qsort(took, (size_t)count, sizeof *took, compare);
    double median = (double)took[count / 2];
    free(took);
    return median;
}

static double calls(long count, const char *which) {
    int file = -1, poller = -1;
    unsigned int word = 0;
    char byte = 0;
    struct epoll_event event;
    if (strcmp(which, "read") == 0) {
        file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    } else if (strcmp(which, "write") == 0) {
        file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    } else if (strcmp(which, "epoll_wait") == 0) {
        poller = epoll_create1(EPOLL_CLOEXEC);
    }
    long failed = 0;
    long long began = now();
    if (strcmp(which, "read") == 0) {
        for (long index = 0; index < count; index++) failed += read(file, &byte, 1) != 1;
    } else if (strcmp(which, "write") == 0) {
        for (long index = 0; index < count; index++) failed += write(file, &byte, 1) != 1;
    } else if (strcmp(which, "futex") == 0) {
        for (long index = 0; index < count; index++)
            failed += syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) != 0;
    } else if (strcmp(which, "epoll_wait") == 0) {
        for (long index = 0; index < count; index++) failed += epoll_wait(poller, &event, 1, 0) != 0;
    } else if (strcmp(which, "openat") == 0) {
        for (long index = 0; index < count; index++) {
            int fd = openat(AT_FDCWD, "/etc/hosts", O_RDONLY | O_CLOEXEC);
            failed += fd < 0 || close(fd) != 0;
        }
    } else {
        errno = EINVAL;
        fail(which);
    }
    double mean = (double)(now() - began) / (double)count;
    if (failed != 0) {
        fail(which);
    }
    if (file >= 0) close(file);
    if (poller >= 0) close(poller);
    return mean;
}

int main(int argc, char **argv) {
    if (argc < 2 || (strcmp(argv[1], "connect") == 0 && argc != 4)) {
        fprintf(stderr, "usage: workload connect PORT ERRNO | read | write | futex | epoll_wait | openat\n");
        return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int is_connect = strcmp(argv[1], "connect") == 0;
    if (is_connect) {
        to.sin_port = htons((unsigned short)atoi(argv[2]));
    }
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        long count = strtol(line, NULL, 10);
        if (count <= 0) {
            return 2;
        }
        printf("%.1f\n", is_connect ? connects(count, &to, atoi(argv[3])) : calls(count, argv[1]));
        fflush(stdout);
    }
    return 0;
}
