//! TOML values to ours, each with its own words for what it is not.

use super::diagnostic::{Span, suggestion};
use bgp_core::complaint::Complaint;
use bgp_core::config::{MAX_LONG_LIVED, MAX_TIMER};
use bgp_core::family::{Family, FamilySet};
use bgp_core::policy::{Action, PrefixRange, parse_prefix};
use bgp_core::prefix::IpNet;
use bgp_core::types::Asn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A value with its place in the source.
pub(super) type Value<'s> = Spanned<DeValue<'s>>;

/// Why a value, or a part of it, cannot be taken.
pub(super) struct Refusal {
    pub(super) span: Span,
    pub(super) complaint: Complaint,
}

/// What can be read from a TOML value.
pub(super) trait FromToml: Sized {
    /// Reads it, or says everything that is wrong with it.
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>>;
}

pub(super) fn refuse<T>(
    value: &Value<'_>,
    found: impl Into<String>,
    allowed: impl Into<String>,
    advice: impl Into<String>,
) -> Result<T, Vec<Refusal>> {
    Err(vec![Refusal {
        span: value.span(),
        complaint: Complaint::new(found, allowed, advice),
    }])
}

/// The value in a few words, for "found …".
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => format!("the date {value}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The text of a string.
pub(super) fn text<'v>(
    value: &'v Value<'_>,
    allowed: &str,
    example: &str,
) -> Result<&'v str, Vec<Refusal>> {
    let DeValue::String(text) = value.get_ref() else {
        let advice = format!("write it in quotes, like {example:?}");
        return refuse(value, describe(value.get_ref()), allowed, advice);
    };
    Ok(text)
}

/// A number that is not negative and at most `max`.
pub(super) fn integer(value: &Value<'_>, allowed: &str, max: u64) -> Result<u64, Vec<Refusal>> {
    if let Some(number) = number(value).filter(|number| *number <= max) {
        return Ok(number);
    }
    let advice = match value.get_ref() {
        DeValue::Integer(_) => "choose a number in this range",
        DeValue::String(_) => "write the number without quotes",
        DeValue::Float(_) => "write a whole number",
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            "write a number"
        }
    };
    refuse(value, describe(value.get_ref()), allowed, advice)
}

/// The value, if it is a number that is not negative.
fn number(value: &Value<'_>) -> Option<u64> {
    let DeValue::Integer(number) = value.get_ref() else {
        return None;
    };
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl FromToml for bool {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let DeValue::Boolean(flag) = value.get_ref() else {
            let advice = "write it without quotes";
            return refuse(value, describe(value.get_ref()), "true or false", advice);
        };
        Ok(*flag)
    }
}

impl FromToml for String {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        text(value, "a string", "text").map(str::to_owned)
    }
}

impl FromToml for Asn {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let number = integer(value, "an AS number, 1 to 4294967295", u64::from(u32::MAX))?;
        Ok(Self(u32::try_from(number).unwrap_or(u32::MAX)))
    }
}

impl FromToml for u16 {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let number = integer(value, "a port, 1 to 65535", u64::from(Self::MAX))?;
        Ok(Self::try_from(number).unwrap_or(Self::MAX))
    }
}

impl FromToml for u32 {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let number = integer(value, "1 to 4294967295", u64::from(Self::MAX))?;
        Ok(Self::try_from(number).unwrap_or(Self::MAX))
    }
}

impl FromToml for usize {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let number = integer(value, "a number of peers", u64::from(u32::MAX))?;
        Ok(Self::try_from(number).unwrap_or(Self::MAX))
    }
}

impl FromToml for Ipv4Addr {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        const ALLOWED: &str = "four octets in the form of an IPv4 address";
        if let Some(number) = number(value).and_then(|number| u32::try_from(number).ok()) {
            let advice = format!("write \"{}\"", Self::from(number));
            return refuse(value, describe(value.get_ref()), ALLOWED, advice);
        }
        let text = text(value, ALLOWED, "10.0.0.1")?;
        text.parse().or_else(|_| {
            let advice = "write it like \"10.0.0.1\"";
            refuse(
                value,
                format!("{text:?} is no IPv4 address"),
                ALLOWED,
                advice,
            )
        })
    }
}

impl FromToml for IpAddr {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        const ALLOWED: &str = "an IPv4 or IPv6 address";
        let text = text(value, ALLOWED, "10.0.0.1")?;
        text.parse().or_else(|_| {
            let advice = if text.contains('/') {
                "for a range of addresses use a group with accept"
            } else if text.parse::<SocketAddr>().is_ok() {
                "leave the port out; it has a key of its own, port"
            } else if text.contains('%') {
                "leave the interface out: link-local peers cannot be configured"
            } else {
                "write it like \"10.0.0.1\" or \"2001:db8::1\"; host names are not resolved"
            };
            refuse(value, format!("{text:?} is no address"), ALLOWED, advice)
        })
    }
}

impl FromToml for SocketAddr {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        const ALLOWED: &str = "ADDRESS:PORT";
        let text = text(value, ALLOWED, "0.0.0.0:179")?;
        match text.parse::<Self>() {
            Ok(address) if address.port() != 0 => Ok(address),
            Ok(address) => refuse(
                value,
                format!("{address} has port 0"),
                ALLOWED,
                "peers must know the port: 179 unless they are told another",
            ),
            Err(_) => {
                let advice = match text.parse::<IpAddr>() {
                    Ok(address) => format!("write {:?}", Self::new(address, 179).to_string()),
                    Err(_) => "write it like \"0.0.0.0:179\" or \"[::]:179\"".to_owned(),
                };
                refuse(
                    value,
                    format!("{text:?} is no address with port"),
                    ALLOWED,
                    advice,
                )
            }
        }
    }
}

impl FromToml for Duration {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        const ALLOWED: &str = "whole seconds (90), or a number with its unit: ms, s, m or h";
        match duration(value) {
            Some(span) if span <= MAX_TIMER => Ok(span),
            Some(_) => refuse(
                value,
                describe(value.get_ref()),
                format!("at most {}", format_duration(MAX_TIMER)),
                "choose a shorter time",
            ),
            None => refuse(
                value,
                describe(value.get_ref()),
                ALLOWED,
                "write it like 90, \"90s\" or \"1500ms\"",
            ),
        }
    }
}

/// How long routes may be long-lived stale (RFC 9494): longer than any other time.
pub(super) struct LongLived(pub(super) Duration);

impl FromToml for LongLived {
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>> {
        match duration(value) {
            Some(span) if (MAX_TIMER..=MAX_LONG_LIVED).contains(&span) => Ok(Self(span)),
            Some(span) if span > MAX_LONG_LIVED => refuse(
                value,
                describe(value.get_ref()),
                format!("at most {}", format_duration(MAX_LONG_LIVED)),
                "choose a shorter time, \"24h\" for instance",
            ),
            Some(_) | None => Duration::from_toml(value, source).map(Self),
        }
    }
}

/// A span of time in any of its forms.
pub(super) fn duration(value: &Value<'_>) -> Option<Duration> {
    match value.get_ref() {
        DeValue::String(text) => parse_duration(text),
        DeValue::Integer(_) => number(value).map(Duration::from_secs),
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// The text that [`FromToml`] reads as `span`, which has no fractions of a millisecond.
pub(super) fn format_duration(span: Duration) -> String {
    if span.subsec_millis() == 0 {
        format!("{}s", span.as_secs())
    } else {
        format!("{}ms", span.as_millis())
    }
}

/// A value that is one of a few words.
pub(super) fn word<T: Copy>(
    value: &Value<'_>,
    what: &str,
    words: &[(&str, T)],
) -> Result<T, Vec<Refusal>> {
    let names = words.iter().map(|(name, _)| *name);
    let allowed = names.clone().collect::<Vec<_>>().join(", ");
    let example = words.first().map_or("", |(name, _)| *name);
    let text = text(value, &allowed, example)?;
    let found = words.iter().find(|(name, _)| *name == text);
    match found {
        Some((_, meaning)) => Ok(*meaning),
        None => refuse(
            value,
            format!("{what} {text:?}"),
            &allowed,
            suggestion(text, names, "choose one of these"),
        ),
    }
}

impl FromToml for Action {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let words = [("accept", Self::Accept), ("reject", Self::Reject)];
        word(value, "action", &words)
    }
}

impl FromToml for Family {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let names = Self::ALL.map(|family| (family.to_string(), family));
        let words: Vec<_> = names.iter().map(|(name, f)| (name.as_str(), *f)).collect();
        word(value, "family", &words)
    }
}

impl FromToml for FamilySet {
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>> {
        Vec::<Family>::from_toml(value, source).map(|families| families.into_iter().collect())
    }
}

impl FromToml for IpNet {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let text = text(value, "ADDRESS/LENGTH", "10.0.0.0/16")?;
        parse_prefix(text).map_err(|fault| {
            vec![Refusal {
                span: value.span(),
                complaint: fault.complaint(),
            }]
        })
    }
}

impl FromToml for PrefixRange {
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>> {
        let text = text(
            value,
            "a prefix, with bounds or without",
            "10.0.0.0/8 le 26",
        )?;
        text.parse().map_err(|error: bgp_core::policy::RangeError| {
            let within = within_string(value, source, text, error.offset, error.len);
            vec![Refusal {
                span: within.unwrap_or(value.span()),
                complaint: error.fault.complaint(),
            }]
        })
    }
}

/// The place of a part of a string in the source; `None` where escapes make it unsure.
fn within_string(
    value: &Value<'_>,
    source: &str,
    text: &str,
    offset: usize,
    len: usize,
) -> Option<Span> {
    let start = value.span().start + 1;
    let written = source.get(start..start + text.len())?;
    (written == text).then(|| start + offset..start + offset + len)
}

impl<T: FromToml> FromToml for Vec<T> {
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>> {
        let DeValue::Array(items) = value.get_ref() else {
            return refuse(
                value,
                describe(value.get_ref()),
                "a list",
                "put it in square brackets, like [ … ]",
            );
        };
        let mut taken = Self::new();
        let mut refused = Vec::new();
        for item in items.iter() {
            match T::from_toml(item, source) {
                Ok(item) => taken.push(item),
                Err(refusals) => refused.extend(refusals),
            }
        }
        if refused.is_empty() {
            Ok(taken)
        } else {
            Err(refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for (text, millis) in [
            ("90s", 90_000),
            ("1500ms", 1_500),
            ("2m", 120_000),
            ("1 h", 3_600_000),
            ("0s", 0),
        ] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse_duration(text), Some(span), "{text}");
            assert_eq!(parse_duration(&format_duration(span)), Some(span));
        }
        for text in [
            "",
            "90",
            "s",
            "-1s",
            "1.5s",
            "90sec",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
