//! The protocol of services that are asked by forms and answer in XML.

use roxmltree::Document;

use super::client::{Client, Wish};
use super::endpoint::Service;
use super::errors::RequestError;
use super::percent;
use super::xml;

/// A service's protocol.
pub(super) struct Query {
    pub(super) service: Service,
    /// Of its interface.
    pub(super) version: &'static str,
}

/// What is asked for, in the order in which it was put down.
#[derive(Default)]
pub(super) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    pub(super) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Form {
        self.pairs.push((name.into(), value.into()));
        self
    }

    /// Where there is something to say.
    pub(super) fn maybe(self, name: &str, value: Option<&str>) -> Form {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// `Name.member.1` and so on; EC2 leaves out the `member`.
    pub(super) fn list<'a>(mut self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Form {
        for (index, value) in values.into_iter().enumerate() {
            self = self.with(format!("{name}.{}", index + 1), value);
        }
        self
    }
}

impl Query {
    /// Hands the answer over to be read.
    pub(super) fn ask<T>(
        &self,
        client: &Client,
        operation: &'static str,
        form: Form,
        read: impl FnOnce(&Document<'_>) -> T,
    ) -> Result<T, RequestError> {
        let name = operation.rsplit(':').next().unwrap_or_default();
        let mut body = format!("Action={name}&Version={}", self.version);
        for (name, value) in &form.pairs {
            body.push_str(&format!("&{}={}", percent::encode(name), percent::encode(value)));
        }
        let wish = Wish {
            headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            ..Wish::post(self.service, operation, body.as_bytes())
        };
        let answer = client.ask(&wish)?;
        let text = String::from_utf8_lossy(&answer);
        let document = xml::read(text.trim()).map_err(|error| RequestError::odd(operation, error))?;
        Ok(read(&document))
    }
}
