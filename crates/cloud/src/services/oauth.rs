//! Access tokens (OAuth 2.0, RFC 6749): given, or made from a refresh token when one is needed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;
use url::form_urlencoded;

use crate::{
    CloudError, Result,
    access::{Secret, Secrets, no_credentials},
    error::boxed,
    http::{Answer, Failure, Http, Method, Request, Url},
};

/// A token is renewed so long before it ends.
const EARLY: Duration = Duration::from_secs(60);

/// No token is believed to live longer than this, whatever the service says.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// The variables from which a service's tokens come.
pub(super) struct Variables {
    pub(super) refresh: &'static str,
    pub(super) client: &'static str,
    pub(super) client_secret: &'static str,
    /// A token as it is, which ends some day.
    pub(super) token: &'static str,
    /// What is said if none of them is set.
    pub(super) how: &'static str,
}

/// Who may ask for a token.
struct Grant {
    /// Where tokens are made.
    endpoint: Url,
    client: String,
    /// Programs on a user's machine cannot keep one, so many services do without.
    client_secret: Option<Secret>,
    refresh: Secret,
}

/// The token in use.
pub(super) struct Tokens {
    grant: Option<Grant>,
    current: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    text: Arc<Secret>,
    /// When it ends, if that is known.
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Tokens {
    /// As many as are needed, if there is a refresh token; else the one that there is. `endpoint` is
    /// where tokens are made.
    pub(super) fn find(secrets: &Secrets, from: &Variables, endpoint: Url) -> Result<Self> {
        if let Some(refresh) = secrets.secret(from.refresh)? {
            let client = secrets.variable(from.client).ok_or_else(|| {
                no_credentials(&format!("{} is set, but not {}", from.refresh, from.client))
            })?;
            let client_secret = secrets.secret(from.client_secret)?;
            let grant = Some(Grant { endpoint, client, client_secret, refresh });
            return Ok(Self { grant, current: Mutex::default() });
        }
        let token = secrets.secret(from.token)?.ok_or_else(|| no_credentials(from.how))?;
        let token = Token { text: Arc::new(token), until: None };
        Ok(Self { grant: None, current: Mutex::new(Some(token)) })
    }

    /// Sends a request with a token, and once more with a new one if the service no longer takes it.
    pub(super) async fn send<'a>(
        &self,
        http: &'a Http,
        make: impl Fn() -> Request<'a>,
    ) -> Result<Answer> {
        let mut renewed = false;
        loop {
            let token = self.token(http).await?;
            let bearer = Secret::new(format!("Bearer {}", token.text.expose()));
            let request = make().secret_header("authorization", bearer.expose());
            let answer = request.send().await.map_err(Failure::about_cloud)?;
            if answer.status != StatusCode::UNAUTHORIZED || renewed || self.grant.is_none() {
                return Ok(answer);
            }
            renewed = true;
            self.forget(&token);
        }
    }

    async fn token(&self, http: &Http) -> Result<Token> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fresh = |token: &Token| token.until.is_none_or(|until| until > Instant::now());
        if let Some(token) = current.filter(fresh) {
            return Ok(token);
        }
        let Some(grant) = &self.grant else {
            return Err(CloudError::Unauthorized { source: boxed("there is no token") });
        };
        // Several calls may ask at once: each gets a token that is valid.
        let token = grant.ask(http).await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    fn forget(&self, old: &Token) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|token| Arc::ptr_eq(&token.text, &old.text)) {
            *current = None;
        }
    }
}

impl Grant {
    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("refresh_token", self.refresh.expose());
        form.append_pair("client_id", &self.client);
        if let Some(secret) = &self.client_secret {
            form.append_pair("client_secret", secret.expose());
        }
        form.finish()
    }

    async fn ask(&self, http: &Http) -> Result<Token> {
        let mut request = http
            .request(Method::POST, self.endpoint.clone())
            .header("content-type", "application/x-www-form-urlencoded");
        for secret in [Some(&self.refresh), self.client_secret.as_ref()].into_iter().flatten() {
            // As it is, and as it stands in the form: a service may repeat either.
            let encoded: String =
                form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect();
            request = request.secret(secret.expose()).secret(&encoded);
        }
        let answer = request.body(self.form()).send().await.map_err(Failure::about_cloud)?;
        match answer.status {
            // `invalid_grant`: it was revoked. `invalid_client`: it belongs to another program.
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
                Err(CloudError::Unauthorized { source: boxed(answer.failure()) })
            }
            _ => {
                let answer = answer.success().map_err(Failure::about_cloud)?;
                let granted: Granted = serde_json::from_slice(&answer.body)
                    .map_err(|_| Failure::nonsense("no token").about_cloud())?;
                let life =
                    granted.expires_in.map(|life| Duration::from_secs(life).min(LONGEST_LIFE));
                let until = life.map(|life| Instant::now() + life.saturating_sub(EARLY));
                Ok(Token { text: Arc::new(Secret::new(granted.access_token)), until })
            }
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}
