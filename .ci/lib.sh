# What .ci/run and .ci/long share: where things are built, steps and their tally, the ordinary user. Sourced by bash.

# The ordinary user: nobody, who is in every passwd.
readonly ORDINARY=65534
# What the tests and the ambush call.
readonly PACKAGES=(gcc iproute2 libc6-dev linux-libc-dev musl-tools nodejs procps python3 python3-venv util-linux)
readonly COMMANDS=(cc ip musl-gcc node ps python3 setpriv unshare)
readonly CARGO_DENY=0.20.2
# Seconds that one command may take.
readonly STEP_LIMIT=${FNGUARD_CI_STEP_LIMIT:-3000}

say() { printf '%s\n' "$*"; }
die() { printf '.ci: %s\n' "$*" >&2; exit 2; }

# Chooses where things lie so that the ordinary user reaches them too.
prepare() {
    checkout=$PWD
    if [ "$(id -u)" = 0 ] && ! reachable "$checkout"; then
        # A checkout below a private home: work on a copy that everybody may read.
        copy=${FNGUARD_CI_COPY:-$(mktemp -d /var/tmp/fnguard-ci.XXXXXXXX)}
        chmod 755 "$copy"
        say "the ordinary user can't reach $checkout: going on in $copy"
        tar -C "$checkout" --exclude=./target --exclude=./fuzz/target -cf - . | tar -C "$copy" --no-same-owner -xf -
        chmod -R a+rX "$copy"
        export FNGUARD_CI_RESULTS=$checkout
        exec "$copy/.ci/$(basename "$0")" "$@"
    fi
    ci=${FNGUARD_CI_DIR:-$checkout/target/ci}
    mkdir -p "$ci"
    export CARGO_TARGET_DIR=$ci/target
    export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_TERM_COLOR=never
    logs=$ci/logs
    rm -rf "$logs"
    mkdir -p "$logs"
    : > "$logs/steps"
    if [ "$(id -u)" = 0 ]; then
        share_toolchain
        share_registry
    fi
    began=$SECONDS
}

# Whether the ordinary user may read a directory and everything above it.
reachable() {
    setpriv --reuid="$ORDINARY" --regid="$ORDINARY" --clear-groups test -r "$1" -a -x "$1" 2>/dev/null
}

# The compiler, where the ordinary user can't reach it, is linked to from where it can.
share_toolchain() {
    local sysroot
    sysroot=$(rustc --print sysroot)
    if ! reachable "$sysroot"; then
        local shared=$ci/toolchain
        if [ ! -e "$shared/bin/cargo" ]; then
            rm -rf "$shared"
            mkdir -p "$shared"
            cp -al "$sysroot/bin" "$sysroot/lib" "$shared/" 2>/dev/null || {
                rm -rf "$shared"
                mkdir -p "$shared"
                cp -a "$sysroot/bin" "$sysroot/lib" "$shared/"
            }
        fi
        sysroot=$shared
    fi
    # The system's programs before those of a private home, such as a Python that only root reaches.
    export PATH=$sysroot/bin:/usr/local/bin:/usr/bin:/bin:$PATH
    unset RUSTUP_TOOLCHAIN
}

# One registry for both users, or the second would build everything anew. What is downloaded already is copied.
share_registry() {
    local own=${CARGO_HOME:-$HOME/.cargo}
    export CARGO_HOME=$ci/cargo-home
    mkdir -p "$CARGO_HOME/registry"
    for part in cache index; do
        if [ -d "$own/registry/$part" ]; then cp -au "$own/registry/$part" "$CARGO_HOME/registry/"; fi
    done
    for file in config config.toml; do
        if [ -e "$own/$file" ]; then cp -a "$own/$file" "$CARGO_HOME/"; fi
    done
}

# Gives the ordinary user what was built and downloaded so far. Before anything is built beside it: files that go away
# meanwhile would fail it.
hand_over() {
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$ci/home"
        chown -R "$ORDINARY:$ORDINARY" "$CARGO_TARGET_DIR" "$CARGO_HOME" "$ci/home"
    fi
}

# Runs a command as the ordinary user, without groups and without a capability to regain, on what was handed over.
as_user() {
    if [ "$(id -u)" != 0 ]; then
        say "not root: what ran above ran as an ordinary user already"
        return 77
    fi
    setpriv --reuid="$ORDINARY" --regid="$ORDINARY" --clear-groups --inh-caps=-all --bounding-set=-all \
        env HOME="$ci/home" TMPDIR=/tmp timeout --kill-after=30 "$STEP_LIMIT" "$@"
}

wanted() { [ -z "${FNGUARD_CI_STEPS:-}" ] || [[ " $FNGUARD_CI_STEPS " == *" $1 "* ]]; }

# step NAME COMMAND…: passes or fails as a whole. Status 77: not possible here.
step() {
    local name=$1 start=$SECONDS status=0
    shift
    wanted "$name" || return 0
    say "── $name"
    # In a subshell of its own, so that a failure within a function ends it.
    set +e
    (set -e; timeout_for "$@") 2>&1 | tee "$logs/$name.log"
    status=${PIPESTATUS[0]}
    set -e
    printf '%s\t%s\t%s\t%s\n' "$name" "${KIND:-step}" "$status" "$((SECONDS - start))" >> "$logs/steps"
    say "── $name: status $status, $((SECONDS - start)) s"
}

# tests NAME COMMAND…: the same, and each test that the log names counts for itself.
tests() { KIND=tests step "$@"; }

# beside_start COMMAND: runs it, with its steps, beside what follows. beside_end waits for it, and shows what it wrote.
beside_start() {
    (renice -n 10 -p "$BASHPID" > /dev/null; "$@") > "$logs/beside.log" 2>&1 &
    beside=$!
}
beside_end() {
    local status=0
    wait "$beside" || status=$?
    cat "$logs/beside.log"
    # Steps note their own failures; what ended before its steps did would be missed.
    [ "$status" = 0 ] || printf 'beside\tstep\t%s\t0\n' "$status" >> "$logs/steps"
}

# not_run NAME REASON: named and counted, so that nobody takes it for passed.
not_run() {
    wanted "$1" || return 0
    say "── $1: not run, because $2"
    printf '%s\tnot-run\t0\t0\t%s\n' "$1" "$2" >> "$logs/steps"
}

# Functions can't be run by timeout(1): as_user brings its own, the others end by themselves.
timeout_for() {
    if [ "$(type -t "$1")" = function ]; then "$@"; else timeout --kill-after=30 "$STEP_LIMIT" "$@"; fi
}

install_packages() {
    local missing=() command
    for command in "${COMMANDS[@]}"; do command -v "$command" > /dev/null || missing+=("$command"); done
    python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
    if [ ${#missing[@]} = 0 ] && [ -e /usr/include/linux/landlock.h ]; then
        say "every command that is needed is there"
        return 0
    fi
    say "missing: ${missing[*]:-headers}"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        say "install: ${PACKAGES[*]} (Debian's names)"
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends "${PACKAGES[@]}"
}

toolchain_is_new_enough() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    found=$(rustc --version | cut -d ' ' -f 2)
    say "rustc $found, at least $wanted"
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]
}

# What every platform without the guard gets, by its cfg, since no other target can be built here: the library without a
# warning, and a guarded program that runs, and says that nothing is guarded; with real events waiting, a release build refuses.
other_platforms() {
    export FNGUARD_OTHER_PLATFORM=1 CARGO_TARGET_DIR=$ci/other
    cargo clippy --locked --package fnguard -- -D warnings
    # What a release build is told by: its debug assertions are off. Its dependencies need not be built a second time for that.
    local assertions status=0 said=$logs/elsewhere.stderr program=$CARGO_TARGET_DIR/debug/fnguard-elsewhere-tests
    for assertions in true false; do
        cargo build --locked --package fnguard-elsewhere-tests \
            --config "profile.dev.package.fnguard.debug-assertions=$assertions" \
            --config "profile.dev.package.fnguard-elsewhere-tests.debug-assertions=$assertions"
        [ "$(ORDER_KEY=secret "$program" 2> "$said")" = "order 7 with a key of 6" ]
        cat "$said"
        [ "$(grep -c 'nothing is guarded' "$said")" = 1 ]
    done
    ORDER_KEY=secret AWS_LAMBDA_RUNTIME_API=127.0.0.1:9 "$program" 2> "$said" || status=$?
    cat "$said"
    [ "$status" = 125 ] && grep -q '"code":"not_armed"' "$said"
}

# Every package as crates.io would get it, the private ones with the rest. Their builds from the packaged files are .ci/long's.
package_all() {
    local verify=--no-verify
    [ "${1:-}" = --verify ] && verify=
    # shellcheck disable=SC2086  # nothing, or one word
    cargo package --locked --workspace --allow-dirty $verify
}

cargo_deny() {
    local tools=$ci/tools
    if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $CARGO_DENY" ]; then
        # Unoptimised: it is built longer than it runs.
        CARGO_TARGET_DIR=$ci/tools-target cargo install --locked --quiet --debug --root "$tools" "cargo-deny@$CARGO_DENY"
        rm -rf "$ci/tools-target"
    fi
    "$tools/bin/cargo-deny" --offline --locked --workspace check licenses bans sources --hide-inclusion-graph
}

# Adds everything up. The verdict is tally.py's.
finish() {
    local who=root
    [ "$(id -u)" = 0 ] || who=user
    python3 .ci/tally.py "$logs" .ci/excused.txt "$who" "$((SECONDS - began))"
}
