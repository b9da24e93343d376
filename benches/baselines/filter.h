/* What the baselines share: seccomp filters of one purpose each, and handing a listener over.
 * No part of fnguard: this is the least that the kernel asks for. seccomp(2), seccomp_unotify(2). */
#ifndef FILTER_H
#define FILTER_H

#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

static inline void must(int ok, const char *what) {
    if (!ok) {
        perror(what);
        _exit(125);
    }
}

/* Installs a filter that allows everything: one instruction. */
static inline int install_empty(unsigned int flags) {
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, allow};
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* Installs a filter that notifies of one call and allows the rest. */
static inline int install_notifying(int number) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, filter};
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* The parent's copy of a listener whose number the child writes to the socket. */
static inline int take_listener(int socket, int pidfd) {
    int number = -1;
    must(read(socket, &number, sizeof number) == sizeof number, "the listener's number");
    int listener = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    must(listener >= 0, "pidfd_getfd");
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    must(write(socket, "", 1) == 1, "go");
    return listener;
}

/* The child's side: tells the number, waits for the word to go on. */
static inline void give_listener(int socket, int listener) {
    char go;
    must(listener >= 0, "seccomp");
    must(write(socket, &listener, sizeof listener) == sizeof listener, "the listener's number");
    must(read(socket, &go, 1) == 1, "go");
    close(listener);
}

/* Ends as the child ended. */
static inline void mirror(pid_t child) {
    int status = 0;
    must(waitpid(child, &status, 0) == child, "waitpid");
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

#endif
