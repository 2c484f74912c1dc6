use std::fs;
use std::future::Future;

use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    directory: tempfile::TempDir,
    file: TokenFile,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { file: TokenFile::new(directory.path().join("credentials")), directory }
    }

    fn write(&self, token: &str) {
        write(self.file.path(), token);
    }

    fn source(&self, token: &str) -> impl Future<Output = Option<Credentials>> + use<> {
        let request = TokenRequest::new(Credentials::new("key", token), None);
        // The limit does not apply.
        let source = self.file.source();
        async move {
            let asked = source.ask(request, Duration::ZERO);
            Some(timeout(PATIENCE, asked).await.ok()?.unwrap())
        }
    }

    /// Waits until the file has a problem, while a token is waited for.
    async fn problem(
        &self,
        asked: &mut (impl Future<Output = Option<Credentials>> + Unpin),
    ) -> TokenFileError {
        let found = async {
            loop {
                if let Some(problem) = self.file.problem() {
                    return problem;
                }
                let asked = timeout(Duration::from_millis(10), &mut *asked).await;
                assert!(asked.is_err(), "it cannot be used");
            }
        };
        timeout(PATIENCE, found).await.unwrap()
    }
}

fn write(path: &Path, token: &str) {
    fs::write(path, format!("api_key = key\naccess_token = {token}\n")).unwrap();
    set_mode(path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_rewritten_replaced_or_created_provides_its_new_token() {
    let rig = Rig::new();
    let expected = |token: &str| Some(Credentials::new("key", token));
    rig.write("monday");
    assert_eq!(rig.source("sunday").await, expected("monday"), "another process was faster");

    let mut asked = Box::pin(rig.source("monday"));
    assert!(timeout(PATIENCE / 2, &mut asked).await.is_err(), "unchanged");
    rig.write("tuesday");
    assert_eq!(asked.await, expected("tuesday"));

    let mut asked = Box::pin(rig.source("tuesday"));
    let new = rig.directory.path().join("new");
    write(&new, "wednesday");
    fs::rename(&new, rig.file.path()).unwrap();
    assert_eq!((&mut asked).await, expected("wednesday"));

    fs::remove_file(rig.file.path()).unwrap();
    let mut asked = Box::pin(rig.source("wednesday"));
    let missing = TokenFileError::from(io::Error::from(io::ErrorKind::NotFound));
    assert_eq!(rig.problem(&mut asked).await, missing);
    rig.write("thursday");
    assert_eq!(asked.await, expected("thursday"));
    assert_eq!(rig.file.problem(), None, "it ended with the wait");
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_file_that_others_can_access_or_that_is_no_file_is_waited_for() {
    let rig = Rig::new();
    rig.write("new");
    for mode in [0o640, 0o604, 0o620, 0o601] {
        set_mode(rig.file.path(), mode);
        let mut asked = Box::pin(rig.source("old"));
        assert_eq!(rig.problem(&mut asked).await, TokenFileError::Shared { mode });
        assert_eq!(rig.file.read(), Err(TokenFileError::Shared { mode }));
        set_mode(rig.file.path(), 0o400);
        assert_eq!(asked.await, Some(Credentials::new("key", "new")));
        set_mode(rig.file.path(), 0o600);
    }
    fs::remove_file(rig.file.path()).unwrap();
    fs::create_dir(rig.file.path()).unwrap();
    let mut asked = Box::pin(rig.source("old"));
    assert_eq!(rig.problem(&mut asked).await, TokenFileError::NotAFile);
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let rig = Rig::new();
    fs::write(rig.file.path(), " ".repeat(MAX_BYTES as usize + 1)).unwrap();
    set_mode(rig.file.path(), 0o600);
    assert_eq!(rig.file.read(), Err(TokenFileError::TooLarge { limit_bytes: MAX_BYTES }));
}
