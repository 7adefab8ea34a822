//! `completions` and `man`: what shells and manuals want to know, made from the command line itself.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use serde::Serialize;

use super::Context;
use crate::{
    cli::Cli,
    exit::{Code, Failure, Result},
};

const NAME: &str = "strongroom";

/// Prints the script.
pub(super) fn completions(context: &Context, shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    context.out.bytes(&script)
}

#[derive(Serialize)]
struct Written<'a> {
    folder: &'a Path,
}

/// Prints the page of the program, or writes that of each command into a folder.
pub(super) fn run(context: &Context, folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|e| Failure::output(&e))?;
        return context.out.bytes(&page);
    };
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.map_err(|error| {
        let what = format!("cannot write into {}", folder.display());
        Failure::new(Code::NotWritable, what, "check the folder and its permissions")
            .because(&error)
    })?;
    context.out.result(&Written { folder }, || {
        format!("wrote a page for each command into {}", folder.display())
    })
}
