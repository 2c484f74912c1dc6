//! Unpacks the corpus of fuzz targets for cargo-fuzz, or packs it again afterwards.
//!
//! `corpus unpack|pack [TARGET]...`; all targets if none is named.

use std::error::Error;
use std::{env, fs};

use fuzz_checks::corpus;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let action = match arguments.next().as_deref() {
        Some("unpack") => unpack,
        Some("pack") => pack,
        _ => return Err("usage: corpus unpack|pack [TARGET]...".into()),
    };
    let mut targets: Vec<String> = arguments.collect();
    if targets.is_empty() {
        targets = all()?;
    }
    for target in targets {
        let inputs = action(&target).map_err(|error| format!("{target}: {error}"))?;
        println!("{target}: {inputs} inputs");
    }
    Ok(())
}

/// Returns the targets that have a pack.
fn all() -> Result<Vec<String>, Box<dyn Error>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(corpus::folder())? {
        let path = entry?.path();
        if let (Some(target), Some(_)) = (path.file_stem(), path.extension()) {
            targets.push(target.to_string_lossy().into_owned());
        }
    }
    targets.sort_unstable();
    Ok(targets)
}

/// Adds the inputs of a pack to the target's folder.
fn unpack(target: &str) -> Result<usize, Box<dyn Error>> {
    let folder = corpus::folder().join(target);
    let pack = fs::read(corpus::pack_path(target))?;
    let inputs = corpus::read(&pack)?;
    fs::create_dir_all(&folder)?;
    for (place, input) in inputs.iter().enumerate() {
        fs::write(folder.join(corpus::name(place)), input)?;
    }
    Ok(inputs.len())
}

/// Replaces a pack by the contents of the target's folder.
fn pack(target: &str) -> Result<usize, Box<dyn Error>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(corpus::folder().join(target))? {
        inputs.push(fs::read(entry?.path())?);
    }
    if inputs.is_empty() {
        return Err("no input".into());
    }
    let pack = corpus::write(inputs)?;
    fs::write(corpus::pack_path(target), &pack)?;
    Ok(corpus::read(&pack)?.len())
}
