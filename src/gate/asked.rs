//! What a reverse proxy asks about, out of the headers of its request. What a client sent comes only by rows that the proxy has written itself.

use hyper::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, UPGRADE};

use super::claims;
use super::query;

/// Most octets of a URI.
const LONGEST_URI: usize = 96 << 10;
/// What Caddy, Traefik and others write.
const FORWARDED: [HeaderName; 2] = [HeaderName::from_static("x-forwarded-uri"), HeaderName::from_static("x-forwarded-method")];
/// What the snippet for nginx writes.
const ORIGINAL: [HeaderName; 2] = [HeaderName::from_static("x-original-uri"), HeaderName::from_static("x-original-method")];

/// What a reverse proxy asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateRequest {
    /// Health, or a browser that asks whether a page may ask: it is passed on without a token.
    Exempt,
    /// A token decides.
    Token {
        /// Whether the client speaks Twirp, which reads refusals in its own form.
        twirp: bool,
        /// The token, or why there is none.
        token: Result<ClientToken, GateFault>,
    },
}

/// A token that every reader finds and reads alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientToken {
    /// Three parts of base64url with dots between, at most 64 KiB.
    pub text: String,
    /// The key that it names, 1 to 256 octets. Nobody has checked that it was signed with it.
    pub issuer: String,
}

/// Why there is no token, or more than one reading. The client is answered 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateFault {
    /// The reverse proxy does not say what it was asked, or says it twice.
    #[error("the reverse proxy must say once which URI and which method it was asked for")]
    NoUri,
    /// It says it in both ways.
    #[error("there are rows of two reverse proxies, X-Forwarded-Uri and X-Original-URI: a client may have written one of them")]
    TwoUris,
    /// A URI that is too long, or no path.
    #[error("the URI must begin with a slash, and have at most 96 KiB")]
    BadUri,
    /// Something else than visible ASCII.
    #[error("the URI may hold visible ASCII alone")]
    Octets,
    /// Readers differ about a `;` or a `#`.
    #[error("the query may hold no `;` and no `#`")]
    Semicolon,
    /// Readers differ about a broken escape.
    #[error("a `%` in the query must stand before two hexadecimal digits")]
    Escape,
    /// Readers differ about a parameter that is given twice.
    #[error("the query must hold one access_token")]
    TwoTokens,
    /// A row that is given twice, or is no `Bearer`.
    #[error("there must be one Authorization row at most, as in `Bearer TOKEN`")]
    Authorization,
    /// The row and the query differ.
    #[error("Authorization and access_token must be the same token")]
    Differ,
    /// A form could hold a token too, and the gate sees no body.
    #[error("a form may not be sent: its body could name another token")]
    Form,
    /// There is none.
    #[error("there is no token")]
    NoToken,
    /// It is too long.
    #[error("a token has at most 64 KiB")]
    TooLong,
    /// It is no token.
    #[error("a token has three parts of base64url")]
    NoJwt,
    /// It holds no JSON object.
    #[error("a token's parts are JSON objects")]
    NoClaims,
    /// No issuer.
    #[error("a token names its key as `iss`")]
    NoIssuer,
    /// Readers differ about a claim that is given twice.
    #[error("no claim may be given twice, and `iss` in these letters alone")]
    TwoIssuers,
}

impl GateRequest {
    /// Reads what a reverse proxy asks. `nginx`: by the rows of that snippet.
    pub fn read(headers: &HeaderMap, nginx: bool) -> Self {
        let asked = || {
            let (own, other) = if nginx { (ORIGINAL, FORWARDED) } else { (FORWARDED, ORIGINAL) };
            if other.iter().any(|name| headers.contains_key(name)) {
                return Err(GateFault::TwoUris);
            }
            let [uri, method] = own.map(|name| single(headers, &name));
            Ok((uri?.ok_or(GateFault::NoUri)?, method?.ok_or(GateFault::NoUri)?))
        };
        match asked() {
            Ok((uri, method)) => Self::of(method.as_bytes(), uri.as_bytes(), headers),
            Err(fault) => Self::Token { twirp: false, token: Err(fault) },
        }
    }

    /// Reads a URL with a token in its query, or a bare token, as a person writes it.
    pub fn of_text(text: &str) -> Self {
        let none = HeaderMap::new();
        let rest = ["wss://", "ws://", "https://", "http://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
        match rest {
            Some(rest) => {
                let target = rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or_default();
                // Clients add the path by themselves.
                let path = if target.starts_with('/') { "" } else { "/rtc" };
                Self::of(b"GET", format!("{path}{target}").as_bytes(), &none)
            }
            None if text.starts_with('/') => Self::of(b"GET", text.as_bytes(), &none),
            None => Self::Token { twirp: false, token: ClientToken::of(text) },
        }
    }

    fn of(method: &[u8], uri: &[u8], headers: &HeaderMap) -> Self {
        let twirp = uri.starts_with(b"/twirp/");
        Self::judged(method, uri, headers).map_or(Self::Exempt, |token| Self::Token { twirp, token })
    }

    /// The token of what was asked. `None`: it needs none.
    fn judged(method: &[u8], uri: &[u8], headers: &HeaderMap) -> Option<Result<ClientToken, GateFault>> {
        let (path, query) = match path_and_query(uri) {
            Ok(parts) => parts,
            Err(fault) => return Some(Err(fault)),
        };
        let health = method == b"GET" && path == "/";
        let needs_none = (health || method == b"OPTIONS" && is_preflight(headers)) && !begins_session(headers);
        if needs_none { None } else { Some(ClientToken::found(headers, query)) }
    }
}

/// The path of a URI, and its query without the question mark.
fn path_and_query(uri: &[u8]) -> Result<(&str, &str), GateFault> {
    if uri.len() > LONGEST_URI || uri.first() != Some(&b'/') {
        return Err(GateFault::BadUri);
    }
    let uri = std::str::from_utf8(uri).ok().filter(|uri| query::is_visible(uri.as_bytes())).ok_or(GateFault::Octets)?;
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    if path.contains('#') { Err(GateFault::Semicolon) } else { Ok((path, query)) }
}

impl ClientToken {
    /// The token of a client's own request for this path and query.
    pub fn of_client(headers: &HeaderMap, path_and_query: &str) -> Result<Self, GateFault> {
        let (_, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Self::found(headers, query)
    }

    /// The token that every reader finds: in the row, in the query, or the same in both.
    fn found(headers: &HeaderMap, query: &str) -> Result<Self, GateFault> {
        if is_form(headers) {
            return Err(GateFault::Form);
        }
        let row = single(headers, &AUTHORIZATION).map_err(|_| GateFault::Authorization)?;
        let row = row.map(|row| row.to_str().ok().and_then(|row| row.strip_prefix("Bearer ")).ok_or(GateFault::Authorization));
        let (row, query) = (row.transpose()?, query::access_token(query)?);
        match (row, query.as_deref()) {
            (Some(row), Some(query)) if row != query => Err(GateFault::Differ),
            (Some(token), _) | (None, Some(token)) => Self::of(token),
            (None, None) => Err(GateFault::NoToken),
        }
    }

    fn of(text: &str) -> Result<Self, GateFault> {
        if text.is_empty() {
            return Err(GateFault::NoToken);
        }
        Ok(Self { issuer: claims::issuer(text)?, text: text.to_owned() })
    }
}

/// The only row of a name. `Err`: there are several.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, GateFault> {
    let mut rows = headers.get_all(name).iter();
    let row = rows.next();
    if rows.next().is_some() { Err(GateFault::NoUri) } else { Ok(row) }
}

/// Whether the server behind answers an OPTIONS itself, for a browser that asks first. It takes one whose row is empty for a request like any other.
fn is_preflight(headers: &HeaderMap) -> bool {
    single(headers, &ACCESS_CONTROL_REQUEST_METHOD).is_ok_and(|row| row.is_some_and(|row| !row.is_empty()))
}

/// Whether a server could begin a session for this, whatever its method. Some reverse proxies leave Upgrade out of what they ask; no client
/// can do without the other rows.
fn begins_session(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) || headers.keys().any(|name| name.as_str().starts_with("sec-websocket-"))
}

/// Whether a body may be a form: it could name another token, and is read before the query.
fn is_form(headers: &HeaderMap) -> bool {
    let mut rows = headers.get_all(CONTENT_TYPE).iter();
    let (row, more) = (rows.next(), rows.next().is_some());
    let form = |row: &HeaderValue| {
        let text = row.as_bytes().to_ascii_lowercase();
        let has = |what: &str| memchr::memmem::find(&text, what.as_bytes()).is_some();
        has("form-urlencoded") || has("form-data") || has("multipart/")
    };
    more || row.is_some_and(form)
}

#[cfg(test)]
mod tests;
