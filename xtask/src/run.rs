//! Runs programs: arguments as a list, never through a shell.

use std::{
    env,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

/// One program to run in the root of the repository.
pub(crate) struct Step {
    command: Command,
    shown: String,
    quiet: bool,
}

/// Which of a program's two streams is read line by line (and still shown).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Step {
    /// A call of the cargo that runs us.
    pub(crate) fn cargo(args: &[&str]) -> Self {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        Self::from(&cargo, "cargo", args)
    }

    /// A call of any other program.
    pub(crate) fn new(program: &str, args: &[&str]) -> Self {
        Self::from(program, program, args)
    }

    fn from(program: &str, shown: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).current_dir(root());
        // What `cargo run` told us about ourselves would look to build scripts like a change.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&*name);
            }
        }
        Self { command, shown: format!("{shown} {}", args.join(" ")), quiet: false }
    }

    /// Does not show the command.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Whether the program can be run and is content; its output is not shown.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        self.command.status().is_ok_and(|status| status.success())
    }

    /// What the program prints to its standard output.
    pub(crate) fn output(mut self) -> Result<String, String> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = self.command.output().map_err(|e| format!("{}: {e}", self.shown))?;
        if !output.status.success() {
            return Err(format!("{}: {}", self.shown, output.status));
        }
        String::from_utf8(output.stdout).map_err(|e| format!("{}: {e}", self.shown))
    }

    /// Runs the program and shows what it prints.
    pub(crate) fn run(mut self) -> Result<(), String> {
        if !self.quiet {
            println!("$ {}", self.shown);
        }
        let status = self.command.status();
        self.judge(status)
    }

    /// As [`Step::run`], and hands each line of one stream, without colours, to `each`.
    pub(crate) fn watch(
        mut self,
        stream: Stream,
        mut each: impl FnMut(&str),
    ) -> Result<(), String> {
        println!("$ {}", self.shown);
        if io::stderr().is_terminal() {
            self.command.env("CARGO_TERM_COLOR", "always");
        }
        match stream {
            Stream::Out => self.command.stdout(Stdio::piped()),
            Stream::Err => self.command.stderr(Stdio::piped()),
        };
        let mut child = self.command.spawn().map_err(|e| format!("{}: {e}", self.shown))?;
        let pipe: Option<Box<dyn Read>> = match stream {
            Stream::Out => child.stdout.take().map(|p| Box::new(p) as _),
            Stream::Err => child.stderr.take().map(|p| Box::new(p) as _),
        };
        let mut reader = BufReader::new(pipe.ok_or("no pipe")?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(|e| e.to_string())? > 0 {
            // A closed terminal is no reason to fail the check.
            let _ = match stream {
                Stream::Out => io::stdout().write_all(&line),
                Stream::Err => io::stderr().write_all(&line),
            };
            each(plain(&String::from_utf8_lossy(&line)).trim_end());
            line.clear();
        }
        let status = child.wait();
        self.judge(status)
    }

    fn judge(&self, status: io::Result<std::process::ExitStatus>) -> Result<(), String> {
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{}: {status}", self.shown)),
            Err(e) => Err(format!("{}: {e}", self.shown)),
        }
    }
}

/// The root of the repository: of the one in which cargo was called, also if this program was
/// compiled in another clone that shares its target folder.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    here.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR"))).join("..")
}

/// The line without terminal colours.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(plain("\u{1b}[32;1m     Summary\u{1b}[0m [ 1s ]"), "     Summary [ 1s ]");
    }
}
