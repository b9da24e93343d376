#!/usr/bin/env python3
"""Adds up what the steps of .ci/run have shown: reads their logs, compares failures with the list of those that are
excused, and prints the counts. The last line is `N passed, N failed`; the exit status is 1 if anything failed.

    tally.py LOGS EXCUSED root|user SECONDS

LOGS/steps has a line for each step: name, kind (`step`, `tests`, or `not-run`), exit status, seconds, and of one that is
not run the reason. Kinds of tests in the logs: libtest's, and the attack suite's line `attacks as WHO: N held, N not
possible here, N failed, of N`. The ambush's lines of attempts that are not possible here are counted as excused: it fails
by itself where its own list does not excuse one. SECONDS is how long everything took.
"""

import pathlib
import re
import sys

# How long the whole may take on two cores.
LIMIT = 25 * 60
# Status of a step that needs root, where there is none.
NEEDS_ROOT = 77

# The lists of the suites that excuse by their own means.
SUITES = [
    "tests/attacks/excused.txt",
    "tests/lambda/excused.txt",
    "tests/lambda-sandbox/excused.txt",
    "examples/ambush/excused.toml",
]

RUNNING = re.compile(r"^\s+(?:Running (?:unittests )?(\S+)|Doc-tests (\S+))")
TEST = re.compile(r"^test (.+?)(?: - (?:should panic|compile fail|compile))* \.\.\. (ok|FAILED|ignored)\b")
RESULT = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored")
ATTACKS = re.compile(r"^attacks as \S+: (\d+) held, (\d+) not possible here, (\d+) failed, of (\d+)")
AMBUSH = re.compile(r"^unguarded, as .+: (\d+) of (\d+) attempts succeeded, (\d+) not possible here \((\d+) excused\)")
EXCUSE = re.compile(r"^(root|user|any)\s+(\S+)\s+#\s*(\S.*)$")


def read_excuses(path):
    """Entries by name; the value is for whom, and the reason."""
    excuses = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = EXCUSE.match(line)
        if not entry:
            sys.exit(f"{path}:{number}: expected `root|user|any NAME # reason`, found: {line}")
        whom, name, reason = entry.groups()
        excuses[(whom, name)] = reason
    return excuses


def read_tests(text):
    """Passed tests as a number, failed and ignored ones by name."""
    passed, failed, ignored = 0, [], []
    target = "?"
    counted = [0, 0, 0]
    stated = [0, 0, 0]
    for line in text.splitlines():
        running = RUNNING.match(line)
        if running:
            target = pathlib.Path(running.group(1)).stem if running.group(1) else f"doc-{running.group(2)}"
            continue
        attacks = ATTACKS.match(line)
        if attacks:
            held, impossible, lost, _ = map(int, attacks.groups())
            passed += held
            # Excused by the suite's own list, or among the lost.
            ignored += ["attacks"] * impossible
            failed += ["attacks"] * lost
            continue
        result = RESULT.match(line)
        if result:
            stated = [a + int(b) for a, b in zip(stated, result.groups())]
            continue
        test = TEST.match(line)
        if test:
            name, outcome = test.groups()
            name = f"{target}::{name}".replace(" ", "_")
            if outcome == "ok":
                passed += 1
                counted[0] += 1
            elif outcome == "FAILED":
                failed.append(name)
                counted[1] += 1
            else:
                ignored.append(name)
                counted[2] += 1
    # A test that prints in the middle of its own line is not recognised; libtest's own counts are.
    passed += max(0, stated[0] - counted[0])
    failed += ["a-test-whose-line-is-unreadable"] * max(0, stated[1] - counted[1])
    ignored += ["a-test-whose-line-is-unreadable"] * max(0, stated[2] - counted[2])
    return passed, failed, ignored


def read_ambush(text):
    """How many attempts were not possible here and excused by the ambush's own list."""
    return sum(int(found.group(4)) for line in text.splitlines() if (found := AMBUSH.match(line)))


def main():
    logs, excused, who, seconds_in_all = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    excuses = read_excuses(excused)
    used = set()

    def is_excused(name, whom):
        for entry in ((whom, name), ("any", name)):
            if entry in excuses:
                used.add(entry)
                return True
        return False

    passed_in_all, failures, excused_in_all, not_run = 0, [], 0, 0
    steps = [line.split("\t") for line in (logs / "steps").read_text().splitlines()]
    if not steps:
        failures.append("no step was run")
    for name, kind, status, seconds, *reason in steps:
        if kind == "not-run":
            print(f"{name}: not run, because {' '.join(reason)}")
            not_run += 1
            continue
        status = int(status)
        whom = "user" if name.endswith("-as-user") else who
        passed, failed, ignored = 0, [], []
        if status == NEEDS_ROOT and who == "user":
            print(f"{name}: excused, as it needs root")
            excused_in_all += 1
            continue
        if kind == "tests":
            passed, failed, ignored = read_tests((logs / f"{name}.log").read_text(errors="replace"))
            if status != 0 and not failed:
                failed = [name]
            if passed == 0 and not failed:
                failed = [f"{name}:no-tests"]
        elif status == 0:
            passed = 1
        else:
            failed = [name]
        lost = []
        excused_here = read_ambush((logs / f"{name}.log").read_text(errors="replace")) if name.startswith("ambush") else 0
        for one in failed + [one for one in ignored if one != "attacks"]:
            if is_excused(one, whom):
                excused_here += 1
            else:
                lost.append(one)
        excused_here += ignored.count("attacks")
        print(f"{name} (as {whom}): {passed} passed, {len(lost)} failed, {excused_here} excused, {seconds} s")
        for one in lost:
            print(f"    failed and not excused: {one}")
        passed_in_all += passed
        failures += lost
        excused_in_all += excused_here
    ran_everything = {"tests-as-is", "tests-as-user"} <= {step[0] for step in steps}
    for entry in sorted(set(excuses) - used):
        # Only a whole run as root shows that an excuse is not needed.
        if ran_everything and who == "root":
            print(f"    excused and not needed: {entry[0]} {entry[1]}")
            failures.append(entry[1])
    lists = ", ".join([str(excused), *SUITES])
    print(f"excused: {excused_in_all} (each is named in one of {lists})")
    print(f"not run: {not_run} (each is named above)")
    minutes = f"{seconds_in_all // 60} min {seconds_in_all % 60} s"
    print(f"took {minutes}" + (f": MORE than the {LIMIT // 60} minutes that it may take" if seconds_in_all > LIMIT else ""))
    print(f"{passed_in_all} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


main()
