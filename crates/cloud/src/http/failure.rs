//! From what HTTP says to what the caller should do.

use std::{
    error::Error,
    io,
    time::{Duration, SystemTime},
};

use backup::ObjectName;
use reqwest::{StatusCode, header};

use super::{Answer, redact, redact::Redactor};
use crate::{CloudError, error::boxed, services::TOO_MANY_FILES};

/// A service may ask for patience, but not for ever.
const LONGEST_WISH: Duration = Duration::from_secs(24 * 3600);

/// A request that did not do what it should.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    message: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No whole answer: whether the request had an effect is unknown.
    NoAnswer,
    /// It will be another answer in a moment, or after so long.
    Busy { retry_after: Option<Duration> },
    /// This status.
    Answered { status: StatusCode, retry_after: Option<Duration> },
    /// What answers is not who it should be.
    NotTrusted,
    /// The answer is not one that this service gives.
    Nonsense,
    /// The answer goes on and on.
    TooLong,
    /// The service cannot answer what we ask for.
    Hopeless,
    /// The request could not be made.
    Unsendable,
}

impl Failure {
    /// The status that the service answered, if it did.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self.kind {
            Kind::Answered { status, .. } => Some(status),
            _ => None,
        }
    }

    /// An answer that makes no sense, for instance JSON without the field it must have.
    pub(crate) fn nonsense(what: &str) -> Self {
        Self {
            message: format!("the service's answer is not understood: {what}"),
            kind: Kind::Nonsense,
        }
    }

    /// As an answer that will be another one in a moment, or when the service says.
    pub(crate) fn into_busy(self) -> Self {
        let retry_after = match self.kind {
            Kind::Answered { retry_after, .. } | Kind::Busy { retry_after } => retry_after,
            _ => None,
        };
        Self { message: self.message, kind: Kind::Busy { retry_after } }
    }

    /// As if the service had answered this status: what it said tells more than its own.
    pub(crate) fn into_status(self, status: StatusCode) -> Self {
        Self { message: self.message, kind: Kind::Answered { status, retry_after: None } }
    }

    /// As what came instead of the list of a folder: if that is too long, it will be the next time.
    pub(crate) fn of_a_list(self) -> Self {
        match self.kind {
            Kind::TooLong => Self { message: TOO_MANY_FILES.to_owned(), kind: Kind::Hopeless },
            _ => self,
        }
    }

    /// As what is wrong with the call about an object.
    pub(crate) fn about(self, name: &ObjectName) -> CloudError {
        match self.reaction() {
            Reaction::Change => CloudError::Refused { name: name.clone(), source: boxed(self) },
            reaction => self.into_cloud(reaction),
        }
    }

    /// As what is wrong with the cloud as a whole.
    pub(crate) fn about_cloud(self) -> CloudError {
        let reaction = self.reaction();
        self.into_cloud(reaction)
    }

    pub(super) fn of(error: &reqwest::Error) -> Self {
        let kind = if is_about_certificate(error) {
            Kind::NotTrusted
        } else if error.is_builder() {
            Kind::Unsendable
        } else {
            Kind::NoAnswer
        };
        Self { message: redact::chain(error), kind }
    }

    pub(super) fn too_slow(what: &str, limit: Duration) -> Self {
        Self { message: format!("{what} for {limit:?}"), kind: Kind::NoAnswer }
    }

    pub(super) fn too_long(limit: u64) -> Self {
        Self { message: format!("the answer is longer than {limit} bytes"), kind: Kind::TooLong }
    }

    pub(super) fn bad_header(name: &str) -> Self {
        let message = format!("what should go into the header {name} has characters that cannot");
        Self { message, kind: Kind::Unsendable }
    }

    pub(super) fn answered(answer: &Answer, redactor: &Redactor) -> Self {
        let status = answer.status;
        let said = redactor.message(&answer.body);
        let message = match (status.is_redirection(), answer.header("location")) {
            (true, Some(place)) => {
                let place = redactor.message(without_query(place).as_bytes());
                format!("the service sends us to {place}: use that address")
            }
            _ if said.is_empty() => format!("the service answered {status}"),
            _ => format!("the service answered {status}: {said}"),
        };
        Self { message, kind: Kind::Answered { status, retry_after: wish(answer) } }
    }

    fn reaction(&self) -> Reaction {
        let status = match self.kind {
            Kind::NoAnswer => return Reaction::Wait(None),
            Kind::Busy { retry_after } => return Reaction::Wait(retry_after),
            // A proxy in a bad mood, or a page that asks to sign in to a network: it will pass.
            Kind::Nonsense | Kind::TooLong => return Reaction::Wait(None),
            Kind::Hopeless => return Reaction::Leave,
            Kind::NotTrusted | Kind::Unsendable => return Reaction::Move,
            Kind::Answered { status, retry_after } => match status.as_u16() {
                // 500 and 502 to 504 come and go, 501 stays. 423: Nextcloud and ownCloud lock a file
                // for as long as they work on it themselves.
                408 | 423 | 425 | 429 | 500 | 502..=504 | 509 | 520..=530 => {
                    return Reaction::Wait(retry_after);
                }
                other => other,
            },
        };
        match status {
            300..=399 => Reaction::Move,
            401 | 403 | 407 | 511 => Reaction::Permit,
            402 | 507 => Reaction::FreeSpace,
            404 | 410 => Reaction::Move,
            405 | 501 | 505 => Reaction::Leave,
            _ => Reaction::Change,
        }
    }

    fn into_cloud(self, reaction: Reaction) -> CloudError {
        let source = boxed(self);
        match reaction {
            Reaction::Wait(retry_after) => CloudError::Unavailable { source, retry_after },
            Reaction::Permit => CloudError::Unauthorized { source },
            Reaction::FreeSpace => CloudError::Full { source },
            Reaction::Leave => CloudError::TooOld { source },
            Reaction::Move | Reaction::Change => CloudError::BadAddress { source },
        }
    }
}

/// What the caller should do.
enum Reaction {
    Wait(Option<Duration>),
    Permit,
    FreeSpace,
    /// Use another service, or a newer one.
    Leave,
    /// Use another address.
    Move,
    /// Use another name or size.
    Change,
}

/// How long the service asks to wait: a number of seconds, or a date. The date is compared with the
/// service's own, so that no other clock matters.
fn wish(answer: &Answer) -> Option<Duration> {
    let text = answer.header(header::RETRY_AFTER.as_str())?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_WISH));
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let (then, now): (SystemTime, SystemTime) =
        (date(text)?, date(answer.header(header::DATE.as_str())?)?);
    Some(then.duration_since(now).unwrap_or_default().min(LONGEST_WISH))
}

/// Whether the other side could not prove who it is.
fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if tls(error).is_some_and(|e| {
            matches!(
                e,
                rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented
            )
        }) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What TLS says, within errors of the system that hold one another: those leave out, as their
/// source, what they hold themselves.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => tls(error.get_ref()?),
        None => error.downcast_ref(),
    }
}

fn without_query(place: &str) -> &str {
    place.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
