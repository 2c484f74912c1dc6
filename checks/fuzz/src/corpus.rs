//! The corpus of a fuzz target in one file, instead of a thousand small ones.
//!
//! A pack holds the number of its inputs, then each input after its length, in order of length and
//! without duplicates. Numbers have 32 bits, little-endian. An input is named by its index.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Every target's corpus is larger than this.
const FEWEST_INPUTS: usize = 20;

/// Returns the folder of the packs and of cargo-fuzz's folders, one per target.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// Returns the path of a target's pack.
pub fn pack_path(target: &str) -> PathBuf {
    folder().join(target).with_extension("pack")
}

/// Returns the file name of the unpacked input at this index.
pub fn name(index: usize) -> String {
    format!("{index:05}")
}

/// Runs every input of a target's pack through a check.
///
/// # Panics
/// Panics if the check panics, or if the pack is missing, damaged or too small.
pub fn replay(target: &str, check: fn(&[u8])) {
    let path = pack_path(target);
    let pack = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let inputs = read(&pack).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(inputs.len() >= FEWEST_INPUTS, "a corpus of only {} inputs", inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        // Before the check, so that the input of a panic is known.
        println!("{target}/{}", name(index));
        check(input);
    }
}

/// Reads the inputs of a pack.
///
/// # Errors
/// Returns an error if the pack is truncated or bytes follow the last input.
pub fn read(pack: &[u8]) -> io::Result<Vec<&[u8]>> {
    let mut rest = pack;
    let count = split_number(&mut rest)?;
    let mut inputs = Vec::new();
    for _ in 0..count {
        let length = split_number(&mut rest)?;
        let input;
        (input, rest) = rest.split_at_checked(length).ok_or_else(truncated)?;
        inputs.push(input);
    }
    if rest.is_empty() { Ok(inputs) } else { Err(io::Error::other("bytes after the last input")) }
}

fn split_number(rest: &mut &[u8]) -> io::Result<usize> {
    let (number, after) = rest.split_first_chunk().ok_or_else(truncated)?;
    *rest = after;
    Ok(u32::from_le_bytes(*number) as usize)
}

fn truncated() -> io::Error {
    io::Error::other("the pack is truncated")
}

/// Writes a pack of these inputs.
///
/// # Errors
/// Returns an error if there are more than 2^32 inputs, or if one is longer than that.
pub fn write(mut inputs: Vec<Vec<u8>>) -> io::Result<Vec<u8>> {
    let number = |number: usize| u32::try_from(number).map_err(io::Error::other);
    inputs.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    inputs.dedup();
    let mut pack = number(inputs.len())?.to_le_bytes().to_vec();
    for input in inputs {
        pack.extend(number(input.len())?.to_le_bytes());
        pack.extend(input);
    }
    Ok(pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Vec<Vec<u8>> {
        vec![b"longest".to_vec(), b"b".to_vec(), vec![], b"a".to_vec(), b"b".to_vec()]
    }

    #[test]
    fn a_pack_holds_each_input_once_and_the_shortest_first() {
        let pack = write(inputs()).unwrap();
        assert_eq!(read(&pack).unwrap(), [&b""[..], b"a", b"b", b"longest"]);
    }

    #[test]
    fn a_pack_that_is_cut_or_has_trailing_bytes_is_rejected() {
        let mut pack = write(inputs()).unwrap();
        for end in 0..pack.len() {
            assert!(read(&pack[..end]).is_err(), "{end}");
        }
        pack.push(0);
        assert!(read(&pack).is_err());
    }

    #[test]
    fn every_pack_is_written_as_it_is_read() {
        for file in fs::read_dir(folder()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pack") {
                let pack = fs::read(&path).unwrap();
                let inputs = read(&pack).unwrap().into_iter().map(<[u8]>::to_vec).collect();
                assert_eq!(write(inputs).unwrap(), pack, "{}", path.display());
            }
        }
    }

    #[test]
    #[should_panic(expected = "no-such-target.pack")]
    fn a_missing_pack_fails_the_replay() {
        replay("no-such-target", |_| ());
    }
}
