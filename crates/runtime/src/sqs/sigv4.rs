//! AWS Signature Version 4: who signed a request, and whether the signature holds. In the `Authorization` header, or in the URL
//! (presigned). Pure: the time and the secrets are arguments. `sigv4/canonical.rs` is what a signature covers.
//!
//! Any region will do, and a session token is part of what is signed but not looked at: keys are of one kind here.

mod canonical;

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use sha2::Sha256;

use self::canonical::Covered;
use super::fault::{Code, Fault};
use super::percent;
use kingtide_core::hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const SERVICE: &str = "sqs";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const TARGET: &str = "x-amz-target";
/// How far the caller's clock may be off, as with AWS.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// The longest that a presigned request may be good for, as with AWS: seven days, in seconds.
const MOST_EXPIRES_S: u64 = 7 * 24 * 60 * 60;

/// What a request says about its signature.
struct Claim {
    access_key: String,
    /// The date's day, region and service: what the signing key is for.
    day: String,
    region: String,
    service: String,
    /// As it was written, `20150830T123600Z`.
    date: String,
    signed_headers: String,
    signature: String,
    /// Of a presigned request: how long it is good for.
    expires: Option<Duration>,
}

/// The access key id of whoever signed, once the signature is found to hold.
///
/// # Errors
/// Says what is wrong with the signature, or that there is none, as AWS does.
pub fn verify(
    head: &Parts,
    body: &[u8],
    now: SystemTime,
    secret: impl Fn(&str) -> Option<String>,
) -> Result<String, Fault> {
    verify_for(SERVICE, head, body, now, secret)
}

/// The access key id that a request names, whether or not it could prove it.
pub(super) fn claimed_access_key(head: &Parts) -> Option<String> {
    let in_header = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((_, credential)) = in_header.and_then(|header| header.split_once("Credential=")) {
        return Some(credential.split_once('/')?.0.to_owned());
    }
    let credential = parameter(head, "X-Amz-Credential")?;
    Some(credential.split_once('/')?.0.to_owned())
}

fn verify_for(
    service: &str,
    head: &Parts,
    body: &[u8],
    now: SystemTime,
    secret: impl Fn(&str) -> Option<String>,
) -> Result<String, Fault> {
    let claim = Claim::of(head)?;
    if claim.service != service {
        let message = format!(
            "Credential should be scoped to correct service: '{service}', and not to '{}'.",
            claim.service
        );
        return Err(Fault::new(Code::SignatureDoesNotMatch, message));
    }
    check_time(&claim, now)?;
    let secret = secret(&claim.access_key).ok_or_else(|| {
        let message = "The security token included in the request is invalid: there is no such access key id here.";
        Fault::new(Code::InvalidClientTokenId, message)
    })?;
    let covered = Covered {
        head,
        body,
        signed_headers: &claim.signed_headers,
        presigned: claim.expires.is_some(),
    };
    let scope = format!("{}/{}/{}/{TERMINATOR}", claim.day, claim.region, claim.service);
    let hash = hex::encode(&covered.hash()?);
    let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{hash}", claim.date);
    let mut key = keyed(format!("AWS4{secret}").as_bytes(), claim.day.as_bytes());
    for part in [&claim.region, &claim.service, TERMINATOR] {
        key = keyed(&key, part.as_bytes());
    }
    let signature = hex::decode(&claim.signature).unwrap_or_default();
    // In constant time, whatever it is compared with.
    mac(&key, to_sign.as_bytes()).verify_slice(&signature).map_err(|_| {
        let message = "The request signature we calculated does not match the signature you provided. Check your AWS \
                           Secret Access Key and signing method.";
        Fault::new(Code::SignatureDoesNotMatch, message)
    })?;
    Ok(claim.access_key)
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac
}

fn keyed(key: &[u8], message: &[u8]) -> Vec<u8> {
    mac(key, message).finalize().into_bytes().to_vec()
}

fn incomplete(message: impl Into<String>) -> Fault {
    Fault::new(Code::IncompleteSignature, message)
}

/// A parameter of the URL.
fn parameter(head: &Parts, name: &str) -> Option<String> {
    let pairs = head.uri.query()?.split('&');
    let (_, value) = pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(written, _)| *written == name)?;
    String::from_utf8(percent::decode(value.as_bytes(), false).into_owned()).ok()
}

impl Claim {
    fn of(head: &Parts) -> Result<Claim, Fault> {
        let mut headers = head.headers.get_all(AUTHORIZATION).iter();
        match (headers.next(), headers.next()) {
            (Some(header), None) => Claim::of_header(head, header),
            (Some(_), Some(_)) => Err(incomplete("The request has more than one Authorization header.")),
            (None, _) if parameter(head, "X-Amz-Algorithm").is_some() => Claim::of_url(head),
            (None, _) => Err(Fault::new(
                Code::MissingAuthenticationToken,
                "The request must be signed (AWS Signature Version 4), and is not: give the client an access key id and \
                 its secret.",
            )),
        }
    }

    fn of_header(head: &Parts, header: &HeaderValue) -> Result<Claim, Fault> {
        let header = header
            .to_str()
            .map_err(|_| incomplete("The Authorization header is no text."))?;
        let (algorithm, parts) = header.split_once(' ').unwrap_or((header, ""));
        check_algorithm(algorithm)?;
        let part = |name: &str| {
            let values = parts.split(',').filter_map(|part| part.trim().split_once('='));
            let found = values.into_iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.trim().to_owned()).ok_or_else(|| {
                incomplete(format!(
                    "Authorization header requires '{name}' parameter. Authorization={algorithm}"
                ))
            })
        };
        let date = head
            .headers
            .get(DATE)
            .and_then(|date| date.to_str().ok())
            .ok_or_else(|| {
                incomplete(
                    "Authorization header requires existence of an 'X-Amz-Date' header. Authorization=AWS4-HMAC-SHA256",
                )
            })?;
        let claim = Claim::scoped(
            &part("Credential")?,
            date.to_owned(),
            part("SignedHeaders")?,
            part("Signature")?,
            None,
        )?;
        claim.check_covers(head, &["x-amz-date", TARGET])?;
        Ok(claim)
    }

    fn of_url(head: &Parts) -> Result<Claim, Fault> {
        let part = |name: &str| {
            parameter(head, name).ok_or_else(|| {
                incomplete(format!(
                    "AWS query-string parameters must include '{name}'; without it the URL is not signed."
                ))
            })
        };
        check_algorithm(&part("X-Amz-Algorithm")?)?;
        let expires = part("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|seconds| *seconds <= MOST_EXPIRES_S);
        let expires = expires
            .ok_or_else(|| incomplete("X-Amz-Expires must be a number of seconds, and at most 604800 (seven days)."))?;
        let claim = Claim::scoped(
            &part("X-Amz-Credential")?,
            part("X-Amz-Date")?,
            part("X-Amz-SignedHeaders")?,
            part("X-Amz-Signature")?,
            Some(Duration::from_secs(expires)),
        )?;
        claim.check_covers(head, &[TARGET])?;
        Ok(claim)
    }

    fn scoped(
        credential: &str,
        date: String,
        signed_headers: String,
        signature: String,
        expires: Option<Duration>,
    ) -> Result<Claim, Fault> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, day, region, service, TERMINATOR] = parts[..] else {
            return Err(incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/{TERMINATOR}, got \
                 '{credential}'."
            )));
        };
        if !date.starts_with(day) || day.len() != 8 {
            return Err(Fault::new(
                Code::SignatureDoesNotMatch,
                format!(
                    "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{day}' != '{date}'."
                ),
            ));
        }
        Ok(Claim {
            access_key: access_key.to_owned(),
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            date,
            signed_headers,
            signature,
            expires,
        })
    }

    /// What must be signed when it is there at all, beside the host: without that a signature could be moved to another
    /// request.
    fn check_covers(&self, head: &Parts, names: &[&str]) -> Result<(), Fault> {
        let is_signed = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let unsigned = names
            .iter()
            .filter(|name| head.headers.contains_key(**name))
            .chain([&"host"])
            .find(|name| !is_signed(name));
        match unsigned {
            None => Ok(()),
            Some(name) => Err(Fault::new(
                Code::SignatureDoesNotMatch,
                format!("'{name}' must be a signed header in the AWS signature."),
            )),
        }
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), Fault> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(incomplete(format!(
        "Unsupported AWS 'algorithm': '{algorithm}' (only AWS Signature Version 4, {ALGORITHM})."
    )))
}

/// `20150830T123600Z` as a point in time.
fn moment(written: &str) -> Option<SystemTime> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (day, time) = written.strip_suffix('Z')?.split_once('T')?;
    if day.len() != 8 || time.len() != 6 || !is_digits(day) || !is_digits(time) {
        return None;
    }
    let (year, month, day) = (&day[..4], &day[4..6], &day[6..]);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

fn written(at: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.replace(['-', ':'], "")
}

fn check_time(claim: &Claim, now: SystemTime) -> Result<(), Fault> {
    let date = &claim.date;
    let at = moment(date).ok_or_else(|| {
        incomplete(format!(
            "Date must be in ISO-8601 'basic format', as 20150830T123600Z. Got '{date}'."
        ))
    })?;
    let advice = |off: Duration| {
        let minutes = off.as_secs().div_ceil(60);
        format!("The clocks of the caller and of this machine differ by {minutes} minutes: set the wrong one.")
    };
    if let Ok(ahead) = at.duration_since(now)
        && ahead > SKEW
    {
        let (now, latest) = (written(now), written(now + SKEW));
        let message = format!(
            "Signature not yet current: {date} is still later than {latest} ({now} + 5 min.). {}",
            advice(ahead)
        );
        return Err(Fault::new(Code::SignatureDoesNotMatch, message));
    }
    let Ok(age) = now.duration_since(at) else {
        return Ok(());
    };
    match claim.expires {
        Some(expires) if age > expires => {
            let message = format!(
                "Request has expired: it was signed at {date} to be good for {} seconds, and now it is {}.",
                expires.as_secs(),
                written(now)
            );
            Err(Fault::new(Code::RequestExpired, message))
        }
        None if age > SKEW => {
            let (now, earliest) = (written(now), written(now - SKEW));
            let message = format!(
                "Signature expired: {date} is now earlier than {earliest} ({now} - 5 min.). {}",
                advice(age)
            );
            Err(Fault::new(Code::SignatureDoesNotMatch, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
