//! Writes `docs/policy.md` and `docs/guard.schema.json` from the table of keys.
//!
//! ```text
//! cargo run -p fnguard-policy --features source --example generate-docs
//! ```

use fnguard_policy::source::reference;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::create_dir_all(&docs)?;
    for (name, text) in
        [("policy.md", reference::markdown()), ("guard.schema.json", reference::json_schema())]
    {
        let path = docs.join(name);
        std::fs::write(&path, text)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
