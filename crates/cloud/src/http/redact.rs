//! Takes secrets out of what becomes a message.

use std::{error::Error, fmt, sync::Arc};

/// More of what a service says does not help anybody.
const LONGEST: usize = 200;

/// Knows the secrets of a request.
#[derive(Clone, Default)]
pub(super) struct Redactor(Vec<Arc<str>>);

impl Redactor {
    pub(super) fn add(&mut self, secret: &str) {
        // A word as short as this is no secret, and cutting it out would garble the message.
        if secret.len() >= 8 {
            self.0.push(secret.into());
        }
    }

    /// What a service said, as one line of plain text without markup and secrets.
    pub(super) fn message(&self, body: &[u8]) -> String {
        // Before anything is cut off: half a secret would not be recognised.
        let mut text = String::from_utf8_lossy(body.get(..64 * 1024).unwrap_or(body)).into_owned();
        for secret in &self.0 {
            text = text.replace(&**secret, "***");
        }
        let mut plain = String::new();
        let mut in_tag = false;
        for c in text.chars() {
            match c {
                '<' => in_tag = true,
                '>' if in_tag => {
                    in_tag = false;
                    plain.push(' ');
                }
                _ if in_tag => {}
                c if c.is_control() => plain.push(' '),
                c => plain.push(c),
            }
        }
        let words: Vec<&str> = plain.split_whitespace().collect();
        words.join(" ").chars().take(LONGEST).collect()
    }
}

/// Says nothing of what it knows.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({})", self.0.len())
    }
}

/// An error and its causes in one line. An address in it is not repeated: it may hold a password.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = match error.downcast_ref::<reqwest::Error>() {
            // Its text is general and ends with the address.
            Some(e) if e.url().is_some() => "sending the request failed".to_owned(),
            _ => error.to_string(),
        };
        // Several libraries repeat the cause in the message.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_secrets_are_taken_out_of_a_message() {
        let mut redactor = Redactor::default();
        redactor.add("Bearer");
        redactor.add("very-secret-token");
        let body = b"<Error><Code>Denied</Code>\n<M>you sent very-secret-token</M></Error>";
        assert_eq!(redactor.message(body), "Denied you sent ***");
        let long = [b"x".repeat(195), b"very-secret-token".to_vec()].concat();
        assert!(!redactor.message(&long).contains("very"));
        assert!(!format!("{redactor:?}").contains("very"));
    }
}
