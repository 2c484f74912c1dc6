//! Exports a tape; the extension of the output's name selects the format.
//!
//! `cargo run --release -p kite-export --example export -- TAPE OUTPUT [float] [symbols] [events=FILE]`
//!
//! With `symbols`, each instrument has a symbol made from its token.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use kite_export::{Export, Format, Prices};
use kite_tape::Reel;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tape, output, options @ ..] = arguments.as_slice() else {
        return Err("usage: export TAPE OUTPUT [float] [symbols] [events=FILE]".into());
    };
    let format = Format::of_path(Path::new(output))
        .ok_or("the output must end in .parquet, .csv, .jsonl or .ndjson")?;
    let reel = Reel::open([tape])?;
    let mut export = Export::new(&reel).on_damage(|damage| eprintln!("{damage}"));
    for option in options {
        export = match option.split_once('=') {
            None if option == "float" => export.prices(Prices::Float),
            None if option == "symbols" => export.symbols(|_, token| {
                (!token.is_multiple_of(7)).then(|| format!("NSE:A&B \"{token}\", ₹"))
            }),
            Some(("events", path)) => export.events(path),
            _ => return Err(format!("unknown option {option}").into()),
        };
    }
    let started = Instant::now();
    let summary = export.to_file(output, format)?;
    eprintln!("{summary:#?}\n{output} in {:.2} s", started.elapsed().as_secs_f64());
    Ok(())
}
