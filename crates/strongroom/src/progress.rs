//! Progress bars: on standard error, if a terminal watches, for work that takes over a second.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

/// Shows after a second and vanishes when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    show: Option<JoinHandle<()>>,
}

/// Shorter work is done before a bar could be read.
const PATIENCE: Duration = Duration::from_secs(1);

impl Progress {
    /// Work of unknown length.
    pub(crate) fn spinner(what: &'static str) -> Self {
        Self::new(ProgressBar::no_length(), "{spinner} {msg} {elapsed}", what)
    }

    /// Work on a number of bytes that is told as it goes.
    pub(crate) fn bytes(what: &'static str) -> Self {
        Self::new(ProgressBar::new(0), "{msg} [{bar:30}] {bytes}/{total_bytes} {eta}", what)
    }

    /// Work on a number of things that is told as it goes.
    pub(crate) fn entries(what: &'static str) -> Self {
        Self::new(ProgressBar::new(0), "{msg} [{bar:30}] {percent}% {eta}", what)
    }

    /// To be told from another thread.
    pub(crate) fn bar(&self) -> Bar {
        Bar(self.bar.clone())
    }

    fn new(bar: ProgressBar, template: &str, what: &'static str) -> Self {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        let shown = bar.clone();
        let show = io::stderr().is_terminal().then(|| {
            tokio::spawn(async move {
                tokio::time::sleep(PATIENCE).await;
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(Duration::from_millis(100));
            })
        });
        Self { bar, show }
    }

    /// How far it is.
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

/// The bar of a [`Progress`].
#[derive(Debug, Clone)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// How far it is.
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(show) = self.show.take() {
            show.abort();
        }
        self.bar.finish_and_clear();
    }
}

/// A line that is written anew again and again, if a terminal watches, below what is printed.
#[derive(Debug)]
pub(crate) struct Live(ProgressBar);

impl Live {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if !io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// What the line says now.
    pub(crate) fn show(&self, text: String) {
        self.0.set_message(text);
    }

    /// Prints without the line in between.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
