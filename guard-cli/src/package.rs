//! `fnguard package`: puts the launcher in front of a function's archive, so that nothing of the
//! function's runs before its guard.

use crate::arguments::Package;
use crate::finding;
use anyhow::{Context, Result, anyhow, bail};
use fnguard_launcher::layout::{BOOTSTRAP, FUNCTION, POLICY, VERSION};
use fnguard_launcher::note::{self, Notes};
use fnguard_policy::model::{Compiled, ReleaseArming};
use fnguard_policy::syscalls::Arch;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The largest function that is read. Lambda takes 250 MiB unpacked, container images 10 GiB.
const LARGEST_FUNCTION: u64 = 1 << 30;

type Archive = ZipArchive<BufReader<File>>;

pub(crate) fn run(arguments: &Package, out: &mut impl Write) -> Result<ExitCode> {
    let source = &arguments.archive;
    let target = arguments.output.clone().unwrap_or_else(|| beside(source));
    let shown = source.display();
    let file = File::open(source).with_context(|| format!("can't open {shown}"))?;
    if let (Ok(a), Ok(b)) = (source.canonicalize(), target.canonicalize())
        && a == b
    {
        bail!("{shown} would be overwritten by what is made of it; give another name by -o");
    }
    let is_directory = file.metadata().is_ok_and(|found| found.is_dir());
    if is_directory {
        bail!(
            "{shown} is a directory; expected the archive that `cargo lambda build --output-format zip` makes, \
             such as {}",
            source.join("bootstrap.zip").display()
        );
    }
    let mut archive = ZipArchive::new(BufReader::new(file))
        .with_context(|| format!("{shown} is no readable zip archive"))?;
    check_names(&mut archive).with_context(|| shown.to_string())?;

    let function = read_function(&mut archive).with_context(|| shown.to_string())?;
    let notes = note::read_bytes(&function).with_context(|| {
        format!("{shown}: its {BOOTSTRAP} is no program to put a launcher before; expected what `cargo lambda build` makes")
    })?;
    if notes.launcher.is_some() {
        bail!("{shown} is packaged already: its {BOOTSTRAP} is fnguard's launcher");
    }
    let arch = (notes.arch.and_then(Arch::from_name))
        .ok_or_else(|| anyhow!("{shown}: its {BOOTSTRAP} is for an architecture that fnguard does not know; expected x86_64 or aarch64"))?;
    let policy = find_policy(arguments.policy.as_deref(), &notes, source, arch)?;
    if policy.compiled.policy.arm.release == ReleaseArming::Never {
        bail!(
            "the policy says `[arm] release = \"never\"`, and packaging is for arming; set it to \"always\""
        );
    }
    let (launcher_path, launcher) = find_launcher(arguments.launcher.as_deref(), arch)?;

    write_archive(&mut archive, &target, &launcher, policy.in_file.then_some(&policy.compiled))?;

    let size = fs::metadata(&target).map_or(0, |found| found.len());
    writeln!(out, "wrote {} ({} KiB)", target.display(), size.div_ceil(1024))?;
    writeln!(
        out,
        "  {BOOTSTRAP}: the launcher, {} ({} KiB)",
        launcher_path.display(),
        launcher.len().div_ceil(1024)
    )?;
    writeln!(
        out,
        "  {FUNCTION}: the function, {} for {arch} ({} KiB)",
        if notes.is_static { "static" } else { "dynamic" },
        function.len().div_ceil(1024)
    )?;
    let place =
        if policy.in_file { format!("{POLICY}, from") } else { "in the function's note, from".to_owned() };
    writeln!(out, "  policy: {place} {}, hash {}", policy.compiled.origin, policy.compiled.hash_hex())?;
    if let Some(note) = &policy.remark {
        writeln!(out, "  note: {note}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `orders.zip` becomes `orders-guarded.zip`.
fn beside(source: &Path) -> PathBuf {
    let mut name = source.file_stem().unwrap_or_default().to_owned();
    name.push("-guarded.zip");
    source.with_file_name(name)
}

/// Names that would be unpacked outside, or that packaging itself needs.
fn check_names(archive: &mut Archive) -> Result<()> {
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        if entry.enclosed_name().is_none() {
            bail!("the entry {:?} would be unpacked outside of the function's directory", entry.name()?);
        }
        let name = entry.name()?;
        if name == FUNCTION || name == POLICY {
            bail!("it has an entry {name:?} already: it is packaged, or uses a name that fnguard needs");
        }
    }
    Ok(())
}

fn read_function(archive: &mut Archive) -> Result<Vec<u8>> {
    let names: Vec<String> = archive
        .file_names()
        .take(8)
        .map(|name| name.map_or_else(|_| "a name that is not UTF-8".to_owned(), |name| format!("{name:?}")))
        .collect();
    let entry = archive.by_name(BOOTSTRAP).map_err(|error| match error {
        zip::result::ZipError::FileNotFound => anyhow!(
            "it has no entry \"{BOOTSTRAP}\" (found {}); expected what `cargo lambda build --output-format zip` makes",
            names.join(", ")
        ),
        other => anyhow!(other).context(format!("its {BOOTSTRAP} can't be read")),
    })?;
    let mut bytes = Vec::new();
    let count = entry
        .take(LARGEST_FUNCTION + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("its {BOOTSTRAP} is damaged"))?;
    if count as u64 > LARGEST_FUNCTION {
        bail!("its {BOOTSTRAP} is larger than {} MiB", LARGEST_FUNCTION >> 20);
    }
    Ok(bytes)
}

/// The policy of the package.
struct Policy {
    compiled: Compiled,
    /// Whether it goes into a file of its own.
    in_file: bool,
    remark: Option<String>,
}

fn find_policy(named: Option<&Path>, notes: &Notes, source: &Path, arch: Arch) -> Result<Policy> {
    let noted = notes.policy.as_deref().map(Compiled::decode);
    let from_file = |path: &Path| -> Result<Compiled> {
        finding::in_file(path).and_then(|found| found.compile_for(arch))
    };
    let default = Path::new(finding::DEFAULT_FILE);
    match (named, noted) {
        (Some(path), noted) => {
            let compiled = from_file(path)?;
            let remark = match noted {
                Some(Ok(noted)) if noted.hash != compiled.hash => Some(format!(
                    "the function's own note has another policy (from {}, hash {}), which does not count here",
                    noted.origin,
                    noted.hash_hex()
                )),
                _ => None,
            };
            Ok(Policy { compiled, in_file: true, remark })
        }
        (None, Some(noted)) => {
            let compiled =
                noted.with_context(|| format!("{}: the function's policy note", source.display()))?;
            if compiled.arch != arch.as_str() {
                bail!("the function is for {arch} and its policy for {}; build it again", compiled.arch);
            }
            let remark = compiled
                .debug_build
                .then(|| "the function is a debug build; the launcher holds it all the same".to_owned());
            Ok(Policy { compiled, in_file: false, remark })
        }
        (None, None) if default.exists() => {
            Ok(Policy { compiled: from_file(default)?, in_file: true, remark: None })
        }
        (None, None) => bail!(
            "no policy for the function: its binary has none in its note (#[guarded] puts one there), \
             --policy is not given, and there is no {} here",
            finding::DEFAULT_FILE
        ),
    }
}

/// The launcher image for an architecture.
fn find_launcher(named: Option<&Path>, arch: Arch) -> Result<(PathBuf, Vec<u8>)> {
    let how = format!(
        "build it from a checkout of fnguard {VERSION}, where this command was built, with\n  \
         RUSTFLAGS='-C target-feature=+crt-static' cargo install --locked --path guard-launcher --target {arch}-unknown-linux-gnu\n\
         or name it by --launcher FILE"
    );
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            let own = std::env::current_exe().context("can't tell where fnguard lies")?;
            let for_arch = own.with_file_name(format!("fnguard-launcher-{arch}"));
            let plain = own.with_file_name("fnguard-launcher");
            match (for_arch.exists(), plain.exists()) {
                (true, _) => for_arch,
                (false, true) => plain,
                (false, false) => bail!(
                    "the launcher is not there; looked for {} and {}\n{how}",
                    for_arch.display(),
                    plain.display()
                ),
            }
        }
    };
    let shown = path.display();
    let bytes = fs::read(&path).with_context(|| format!("can't read the launcher {shown}"))?;
    let notes = note::read_bytes(&bytes).with_context(|| format!("the launcher {shown}"))?;
    let Some(version) = notes.launcher else { bail!("{shown} is not fnguard's launcher; {how}") };
    if version != VERSION {
        bail!("the launcher {shown} is of fnguard {version}, this is {VERSION}; {how}");
    }
    if notes.arch != Some(arch.as_str()) {
        bail!(
            "the function is for {arch}, the launcher {shown} for {}; {how}",
            notes.arch.unwrap_or("another architecture")
        );
    }
    if !notes.is_static {
        bail!(
            "the launcher {shown} is dynamic: its libraries would run before the guard, and LD_PRELOAD in them; {how}"
        );
    }
    Ok((path, bytes))
}

/// Writes beside the target and renames: there is a whole archive, or none.
fn write_archive(
    archive: &mut Archive,
    target: &Path,
    launcher: &[u8],
    policy: Option<&Compiled>,
) -> Result<()> {
    let mut name =
        target.file_name().with_context(|| format!("{} is no file name", target.display()))?.to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = target.with_file_name(name);
    let file = File::options()
        .write(true)
        .create_new(true)
        .open(&partial)
        .with_context(|| format!("can't create {}", partial.display()))?;
    let written = fill(archive, file, launcher, policy).and_then(|()| Ok(fs::rename(&partial, target)?));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.with_context(|| format!("can't write {}", target.display()))
}

fn fill(
    archive: &mut Archive,
    file: impl Write + Seek,
    launcher: &[u8],
    policy: Option<&Compiled>,
) -> Result<()> {
    let mut writer = ZipWriter::new(file);
    // No time of day: the same input makes the same archive.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::DEFAULT);
    writer.start_file(BOOTSTRAP, options.unix_permissions(0o755))?;
    writer.write_all(launcher)?;
    if let Some(policy) = policy {
        writer.start_file(POLICY, options.unix_permissions(0o644))?;
        writer.write_all(&policy.encode()?)?;
    }
    for index in 0..archive.len() {
        let is_function = archive.by_index_raw(index)?.name()? == BOOTSTRAP;
        if is_function {
            // Packed anew, for its mode: what archivers elsewhere wrote may not be executable.
            let mut entry = archive.by_index(index)?;
            writer.start_file(FUNCTION, options.unix_permissions(0o755))?;
            io::copy(&mut entry, &mut writer)?;
        } else {
            writer.raw_copy_file(archive.by_index_raw(index)?)?;
        }
    }
    writer.finish()?.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name() {
        assert_eq!(beside(Path::new("a/orders.zip")), Path::new("a/orders-guarded.zip"));
    }
}
