/* allow PROGRAM ARGS...: becomes the program under a filter of one instruction. */
#include "filter.h"

int main(int argc, char **argv) {
    must(argc > 1 || (errno = EINVAL, 0), "usage: allow PROGRAM ARGS...");
    must(install_empty(0) == 0, "seccomp");
    execvp(argv[1], argv + 1);
    must(0, "execvp");
}
