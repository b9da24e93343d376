# A person at a terminal: an interactive shell in a pseudo-terminal of its own starts a guarded cat,
# stops it by ^Z, continues it by fg, and talks to it. Ends with 0 if all of that was seen.
import os, pty, re, select, sys, time

fnguard = sys.argv[1]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])

seen = b""


def expect(pattern, what):
    """Reads until the pattern has come; what came before it is forgotten."""
    global seen
    deadline = time.monotonic() + 20
    while True:
        match = re.search(pattern, seen)
        if match:
            seen = seen[match.end():]
            return match
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit(f"{what}: nothing like {pattern!r} in {seen!r}")
        try:
            seen += os.read(terminal, 65536)
        except OSError:
            sys.exit(f"{what}: the terminal closed after {seen!r}")


def type_in(text):
    os.write(terminal, text.encode())


type_in("PS1='$(echo prompt)> '; set +o history\n")
expect(rb"\nprompt> ", "the shell's prompt")
type_in(f"{fnguard} run -- cat\n")
expect(rb"armed", "the guard's first line")
type_in("before\n")
expect(rb"before\r\n(.*\n)?before\r\n", "an echo before the stop")
type_in("\x1a")
expect(rb"Stopped", "the shell's word of the stop")
type_in("jobs -r | wc -l\n")
expect(rb"\r\n0\r\n", "no job running")
type_in("fg\n")
expect(rb"run -- cat\r\n", "fg's echo")
type_in("after\n")
expect(rb"after\r\n(.*\n)?after\r\n", "an echo after the stop")
type_in("\x04")
expect(rb"prompt> ", "the prompt again")
type_in("echo status=$?\n")
expect(rb"\r\nstatus=0\r\n", "cat's status")
type_in(f"{fnguard} run -- cat\n")
expect(rb"armed", "the guard's first line")
type_in("once\n")
expect(rb"once\r\n(.*\n)?once\r\n", "an echo")
type_in("\x03")
expect(rb"prompt> ", "the prompt after ^C")
type_in("echo status=$?\n")
expect(rb"\r\nstatus=130\r\n", "the status of what ^C ended")
type_in("exit\n")
os.close(terminal)
os.waitpid(pid, 0)
