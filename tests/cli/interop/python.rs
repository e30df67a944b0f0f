//! Python with the packages of the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The time limit of an installation, in seconds.
const INSTALL_SECONDS_MAX: &str = "300";

/// A virtual environment with the packages.
pub struct Python {
    program: PathBuf,
}

fn beside(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/interop").join(file)
}

/// Returns whether a command succeeds within the time limit.
fn runs(program: &Path, args: &[&str]) -> bool {
    let mut command = Command::new("timeout");
    command.arg(INSTALL_SECONDS_MAX).arg(program).args(args);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn makes_environment(at: &Path) -> bool {
    runs(Path::new("python3"), &["-m", "venv", "--clear", at.to_str().unwrap()])
}

impl Python {
    /// Returns Python with the packages, from an earlier run or newly installed; none if they cannot be installed.
    ///
    /// # Panics
    /// They cannot be installed, and `CI` is set.
    pub fn installed() -> Option<Self> {
        let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
        let python = Self { program: environment.join("bin/python") };
        let requirements = beside("requirements.txt");
        let install = ["-m", "pip", "install", "--quiet", "--requirement", requirements.to_str().unwrap()];
        let had = python.is_ready() || (makes_environment(&environment) && runs(&python.program, &install));
        if had {
            return Some(python);
        }
        assert!(std::env::var_os("CI").is_none(), "needs python3 (3.11 or newer) with venv, and PyPI");
        eprintln!("SKIPPED: needs python3 (3.11 or newer) with venv, and PyPI");
        None
    }

    /// Returns whether the environment exists with exactly these packages.
    fn is_ready(&self) -> bool {
        let requirements = beside("requirements.txt");
        let offline =
            ["-m", "pip", "install", "--quiet", "--no-index", "--requirement", requirements.to_str().unwrap()];
        self.program.exists() && runs(&self.program, &offline)
    }

    /// Verifies a log. Returns the output, or the error.
    pub fn check(&self, log: &str, key: &str, credential: &str, more: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.arg(beside("check.py")).args([log, key]).args(more);
        command.env("TENURE_AUTHORIZATION", format!("Bearer {credential}")).env("NO_PROXY", "*");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}
