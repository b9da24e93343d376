/* The least that mediating connect(2) can cost.
 *
 *   notify refuse PROGRAM ARGS...   answers EPERM, having looked at nothing
 *   notify broker PROGRAM ARGS...   reads the address, takes a copy of the socket, connects it
 *
 * One thread, no policy, no record. */
#include "filter.h"
#include <string.h>
#include <sys/uio.h>

/* Connects a copy of the caller's socket to the address that the caller named. */
static int connect_on_behalf(int listener, int pidfd, const struct seccomp_notif *call) {
    struct sockaddr_storage address;
    size_t length = call->data.args[2];
    if (length > sizeof address) {
        return -EINVAL;
    }
    struct iovec here = {&address, length};
    struct iovec there = {(void *)call->data.args[1], length};
    if (process_vm_readv((pid_t)call->pid, &here, 1, &there, 1, 0) != (ssize_t)length) {
        return -EFAULT;
    }
    int copy = (int)syscall(SYS_pidfd_getfd, pidfd, (int)call->data.args[0], 0);
    if (copy < 0) {
        return -errno;
    }
    /* What was read may be another process's if the call no longer waits. */
    int result = -ENOENT;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0) {
        result = connect(copy, (struct sockaddr *)&address, (socklen_t)length) == 0 ? 0 : -errno;
    }
    close(copy);
    return result;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: notify refuse|broker PROGRAM ARGS...\n");
        return 125;
    }
    int broker = strcmp(argv[1], "broker") == 0;
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        give_listener(pair[1], install_notifying(SYS_connect));
        execvp(argv[2], argv + 2);
        must(0, "execvp");
    }
    close(pair[1]);
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    must(pidfd >= 0, "pidfd_open");
    int listener = take_listener(pair[0], pidfd);
    for (;;) {
        struct seccomp_notif call;
        memset(&call, 0, sizeof call);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
            if (errno == EINTR) {
                continue;
            }
            break; /* ENOENT: the child has ended. */
        }
        struct seccomp_notif_resp answer = {.id = call.id};
        answer.error = broker ? connect_on_behalf(listener, pidfd, &call) : -EPERM;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    mirror(child);
}
