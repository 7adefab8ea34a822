//! Results go to standard output, for people or as JSON; everything else goes to standard error.

use std::{
    fmt::Display,
    io::{self, Write},
};

use serde::Serialize;

use crate::exit::{Failure, Result};

/// Writes results in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// One result: a line of JSON, or what `human` makes of it.
    pub(crate) fn result<D: Display>(
        self,
        value: &impl Serialize,
        human: impl FnOnce() -> D,
    ) -> Result<()> {
        if self.json {
            let json = serde_json::to_string(value).map_err(|e| Failure::output(&e.into()))?;
            self.line(json)
        } else {
            self.line(human())
        }
    }

    /// One line, and out with it: whoever reads may wait for it.
    pub(crate) fn line(self, text: impl Display) -> Result<()> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Some lines, or none.
    pub(crate) fn lines(self, text: &str) -> Result<()> {
        if text.is_empty() { Ok(()) } else { self.line(text) }
    }

    /// Bytes as they are.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|e| Failure::output(&e))
    }

    /// A remark for the person at the terminal; programs that read JSON do not get it.
    pub(crate) fn note(self, text: impl Display) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// Lines with aligned columns; the last column is as long as it likes.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A row of a [`table`].
pub(crate) fn row<const N: usize>(cells: [&dyn Display; N]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

/// A number of bytes for people.
pub(crate) fn bytes(n: u64) -> String {
    let mut size = n as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{n} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [row([&"a", &1, &"x"]), row([&"long", &22, &"the rest"])];
        assert_eq!(table(&rows), "a     1   x\nlong  22  the rest");
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
    }
}
