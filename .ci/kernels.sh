# Other kernels than the running one: Debian's, booted by qemu without hardware help, with the machine's own files read-only
# below them. What runs there is the attack suite as it was built here. Sourced by .ci/long.

# Debian's suite, and the kernel that its `linux-image-amd64` stands for: what AWS Lambda runs, and what hosts run.
readonly KERNELS=(bullseye:5.10 bookworm:6.1 trixie:6.12)
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# What it takes to mount the machine's files: in some of the kernels built in.
readonly GUEST_MODULES=(virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci 9pnet 9pnet_virtio fscache netfs 9p)

# Installs the emulator. Status 77 where that can't be.
install_emulator() {
    local missing=() command
    for command in qemu-system-x86_64 busybox cpio; do command -v "$command" > /dev/null || missing+=("$command"); done
    [ ${#missing[@]} = 0 ] && return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        say "missing: ${missing[*]} (Debian's qemu-system-x86, busybox-static, cpio)"
        return 77
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends qemu-system-x86 busybox-static cpio
}

# origin_of LABEL: where this machine's own package lists of that archive come from, by the label that each Release file states.
origin_of() {
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Identifier: Packages' |
        awk -v label="$1" '{ uri = $1; sub(/^[^ ]* /, "") } $0 == label && !found++ { print uri }'
}

# fetch_kernel SUITE DIRECTORY: the newest kernel of a Debian suite, unpacked. The machine's own package lists stay as they are.
fetch_kernel() {
    local suite=$1 directory=$2 image
    [ -e "$directory/image" ] && return 0
    [ -e "$KEYRING" ] || { say "no $KEYRING: Debian's kernels can't be verified"; return 77; }
    local archive security
    archive=$(origin_of Debian)
    security=$(origin_of Debian-Security)
    if [ -z "$archive" ] || [ -z "$security" ]; then
        say "no package lists of Debian's, or of its security updates, are here: name both in /etc/apt, and run apt-get update"
        return 77
    fi
    mkdir -p "$directory/apt/lists/partial" "$directory/apt/cache/archives/partial"
    {
        printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' "$KEYRING" "$archive" "$suite"
        printf 'deb [arch=amd64 signed-by=%s] %s %s-security main\n' "$KEYRING" "$security" "$suite"
    } > "$directory/apt/sources.list"
    cat > "$directory/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$directory/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$directory/apt/lists";
Dir::Cache "$directory/apt/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
    export APT_CONFIG=$directory/apt/apt.conf
    apt-get update -q || return 77
    image=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    [ -n "$image" ] || { say "$suite has no linux-image-amd64"; return 77; }
    (cd "$directory" && apt-get download -q "$image" && dpkg-deb -x linux-image-*.deb unpacked && rm -f linux-image-*.deb)
    unset APT_CONFIG
    rm -rf "$directory/apt"
    mv "$directory/unpacked/boot/vmlinuz-"* "$directory/image"
}

# make_initramfs DIRECTORY: busybox, the modules, and .ci/guest-init.
make_initramfs() {
    local directory=$1 root=$1/initramfs name found
    rm -rf "$root"
    mkdir -p "$root"/{bin,modules,proc,dev,host}
    cp "$(command -v busybox)" "$root/bin/busybox"
    install -m 755 .ci/guest-init "$root/init"
    for name in "${GUEST_MODULES[@]}"; do
        # Of several compressions, each has its own ending; a built-in has no file.
        found=$(find "$directory/unpacked" -name "$name.ko*" | head -n 1)
        case $found in
            *.xz) xz -dc "$found" > "$root/modules/$name.ko" ;;
            *.zst) zstd -qdc "$found" > "$root/modules/$name.ko" ;;
            *.ko) cp "$found" "$root/modules/" ;;
        esac
    done
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) > "$directory/initramfs.gz"
}

# boot DIRECTORY SCRIPT LIMIT: runs a script of the machine's in the guest, as root. Its output is the serial line's.
boot() {
    local directory=$1 script=$2 limit=$3
    timeout --kill-after=10 "$limit" qemu-system-x86_64 \
        -accel tcg,thread=multi -cpu max -smp 2 -m 2048 -display none -monitor none -no-reboot \
        -kernel "$directory/image" -initrd "$directory/initramfs.gz" \
        -append "console=ttyS0 quiet panic=-1 fnguard.script=$script fnguard.target=$CARGO_TARGET_DIR" \
        -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
        -serial stdio < /dev/null
}

# The suite's program, as cargo names it.
suite_program() {
    cargo test --locked -p fnguard-attacks --test suite --no-run --message-format=json |
        python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["reason"] == "compiler-artifact" and message["target"]["name"] == "suite":
        print(message["executable"])'
}

# kernel_run SUITE RELEASE: the suite there, as root and as an ordinary user.
kernel_run() {
    local suite=$1 release=$2 directory=$ci/kernels/$2 program words script
    install_emulator || return
    fetch_kernel "$suite" "$directory" || return
    program=$(suite_program)
    make_initramfs "$directory"
    # Before 6.2 Landlock holds too little, so that the guard refuses file rules, and each policy of the suite has some: there
    # the room that knows about that runs. Emulated, races are shown and not won: a round takes a tenth of a second.
    words="platform::"
    [ "$release" != 6.12 ] || words=${FNGUARD_KERNEL_TESTS:-"platform:: arming:: posture:: network:: exec:: files:: memory:: process::"}
    script=$directory/script
    cat > "$script" <<SCRIPT
echo "kernel \$(uname -r)"
status=0
FNGUARD_ATTACKS_ROUNDS=100 "$program" $words || status=1
FNGUARD_ATTACKS_ROUNDS=100 FNGUARD_ATTACKS_AS_USER=1 "$program" $words || status=1
echo "guest: status \$status"
SCRIPT
    boot "$directory" "$script" "${FNGUARD_KERNEL_SECONDS:-3600}" | sed -u 's|\r$||' | tee "$directory/serial"
    grep -q '^guest: status 0$' "$directory/serial"
}
