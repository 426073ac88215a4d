//! Running other programs, from the root of the workspace.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fmt, io};

/// What went wrong, for people.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |directory| root().join(directory))
}

/// The file of a program that the shell would find, also among those for administrators.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(administrators).map(|place| place.join(name)).find(|file| file.is_file())
}

/// A program to be run. Its arguments are shown before it is.
pub(crate) struct Program(Command);

/// A program by its name.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Program {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    Program(command)
}

/// The cargo of the pinned toolchain.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Program {
    program("cargo").args(arguments)
}

/// The nightly cargo, for sanitizers and Miri.
pub(crate) fn nightly_cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Program {
    program("cargo").args(["+nightly"]).args(arguments)
}

impl Program {
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it in a folder of the workspace.
    pub(crate) fn within(mut self, folder: impl AsRef<Path>) -> Self {
        self.0.current_dir(root().join(folder));
        self
    }

    /// Runs it; what it says goes where our own words go.
    ///
    /// # Errors
    ///
    /// It could not be run, or failed.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        println!("$ {self}");
        let status = self.0.status();
        if self.explain(status)?.success() { Ok(()) } else { Err(Failure(format!("failed: {self}"))) }
    }

    /// Runs it for the person at the terminal, who may type and interrupt.
    ///
    /// # Errors
    ///
    /// As for [`Program::run`].
    pub(crate) fn run_attended(mut self) -> Result<(), Failure> {
        self.0.stdin(Stdio::inherit());
        self.run()
    }

    /// Runs it unseen and returns what it wrote to its standard output.
    ///
    /// # Errors
    ///
    /// It could not be run, or failed; with what it said.
    pub(crate) fn read(self) -> Result<String, Failure> {
        self.read_both().map(|[output, _errors]| output)
    }

    /// As [`Program::read`], but with its standard error beside.
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn read_both(mut self) -> Result<[String; 2], Failure> {
        let output = self.output()?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if output.status.success() {
            return Ok(said);
        }
        Err(Failure(format!("failed: {self}\n{}", said.concat())))
    }

    /// Whether it runs, unseen, and succeeds.
    pub(crate) fn succeeds(mut self) -> bool {
        self.output().is_ok_and(|output| output.status.success())
    }

    fn output(&mut self) -> Result<Output, Failure> {
        let output = self.0.output();
        self.explain(output)
    }

    fn explain<T>(&self, result: io::Result<T>) -> Result<T, Failure> {
        result.map_err(|error| Failure(format!("cannot run {self}: {error}")))
    }
}

/// As one would type it.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0.get_envs() {
            write!(f, "{}='{}' ", name.display(), value.unwrap_or_default().display())?;
        }
        write!(f, "{}", self.0.get_program().display())?;
        self.0.get_args().try_for_each(|argument| write!(f, " {}", argument.display()))
    }
}
