//! The section `[nats]`: where the feed is published, and what of it.

use kite_nats::{DEFAULT_PREFIX, SubjectError, Subjects};

use super::document::{At, Section};
use super::feed::path;
use super::files::Files;
use crate::commands::serve::args;
use crate::commands::serve::nats::{NatsSettings, What};

/// Reads the section, if it is there.
pub(super) fn read(mut section: Section<'_>, files: &mut Files<'_>) -> Option<NatsSettings> {
    if !section.is_there() {
        return None;
    }
    let server = section.parsed("url", args::nats_server);
    let credentials = section.parsed("credentials", path);
    let roots = section.parsed("ca_file", path);
    let prefix = section.parsed("prefix", prefix);
    let what = section.parsed("what", args::one_of::<What>);
    section.require("url");
    if let Some(At { value, line }) = &server
        && value.has_password()
    {
        files.must_be_private(&section, *line, "url", "the password for NATS");
    }
    if let Some(At { value, line }) = &credentials {
        let _ = files.exists(&section, "credentials", *line, value)
            && files.is_private(&section, "credentials", *line, value, "the credentials");
    }
    if let Some(At { value, line }) = &roots {
        files.exists(&section, "ca_file", *line, value);
    }
    section.finish();
    let mut server = server?.value;
    if let Some(file) = credentials {
        server = server.credentials_file(files.resolve(&file.value));
    }
    if let Some(file) = roots {
        server = server.root_certificates(files.resolve(&file.value));
    }
    let prefix = prefix.map_or_else(|| DEFAULT_PREFIX.to_owned(), |it| it.value);
    Some(NatsSettings { server, prefix, what: what.map(|it| it.value).unwrap_or_default() })
}

fn prefix(text: &str) -> Result<String, &'static str> {
    match Subjects::new(text, &Default::default()) {
        Err(SubjectError::Prefix { .. }) => {
            Err("expected letters, digits, _ and -, and dots between them")
        }
        _ => Ok(text.to_owned()),
    }
}
