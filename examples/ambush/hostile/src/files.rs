//! Files outside /tmp: what makes an attacker stay, and what makes one a vandal.

use crate::instruction::{Instruction, Outcome};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

/// The function's own folder: the next cold start loads what lies there.
pub fn own_code(it: &Instruction) -> io::Result<Outcome> {
    fs::write(&it.to, &it.nonce)?;
    Ok(Outcome::Done)
}

/// A line in a start-up file.
pub fn append_bashrc(it: &Instruction) -> io::Result<Outcome> {
    let mut file = OpenOptions::new().append(true).create(true).open(&it.to)?;
    writeln!(file, "# {}", it.nonce)?;
    Ok(Outcome::Done)
}

/// A mode is no content: Landlock does not hold chmod.
pub fn chmod(it: &Instruction) -> io::Result<Outcome> {
    fs::set_permissions(&it.to, PermissionsExt::from_mode(0o777))?;
    Ok(Outcome::Done)
}

/// Made where making is allowed, then moved to where it is not.
pub fn rename_out(it: &Instruction) -> io::Result<Outcome> {
    fs::write(&it.proof, &it.nonce)?;
    if let Err(error) = fs::rename(&it.proof, &it.to) {
        // Another file system, as on Lambda: a link does not cross it either, so copy.
        if error.kind() != io::ErrorKind::CrossesDevices {
            return Err(error);
        }
        fs::copy(&it.proof, &it.to)?;
    }
    Ok(Outcome::Done)
}

/// The second Shai-Hulud (2025) destroyed what it could not steal.
pub fn wipe(it: &Instruction) -> io::Result<Outcome> {
    fs::remove_file(&it.to)?;
    Ok(Outcome::Done)
}
