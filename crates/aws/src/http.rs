//! How `aws-config` asks (SSO, STS, the instance's metadata): through the same transport as everything else.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use kingtide_remote::request::transport::{Body, Call, NoAnswer, Transport};

const PATIENCE: Duration = Duration::from_secs(30);
const MOST: u64 = 1024 * 1024;

/// Our transport, in the form that `aws-config` wants.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    transport: Transport,
    patience: Duration,
}

impl Http {
    pub(crate) fn new(transport: Transport) -> Http {
        Http {
            transport,
            patience: PATIENCE,
        }
    }

    fn ask(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        // The transport says how long a body is.
        let headers = request.headers().iter().filter(|(name, _)| *name != "content-length");
        let headers: Vec<(&str, &str)> = headers.collect();
        let body = request.body().bytes().unwrap_or_default();
        let call = Call {
            method: request.method(),
            url: request.uri(),
            headers: &headers,
            body: Body::Bytes(body),
            patience: self.patience,
        };
        let answer = self.transport.send(&call).map_err(failed)?;
        let status =
            StatusCode::try_from(answer.status()).map_err(|error| ConnectorError::other(error.into(), None))?;
        let headers: Vec<(String, String)> = answer
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let body = answer.read(MOST).map_err(failed)?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }
}

fn failed(error: NoAnswer) -> ConnectorError {
    match error {
        NoAnswer::Request(_) => ConnectorError::user(error.into()),
        NoAnswer::Name(_) | NoAnswer::Connection(_) => ConnectorError::io(error.into()),
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.clone();
        HttpConnectorFuture::new(async move {
            let answered = tokio::task::spawn_blocking(move || http.ask(&request)).await;
            answered.unwrap_or_else(|error| Err(ConnectorError::other(error.into(), None)))
        })
    }
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let patience = settings.read_timeout().or(settings.connect_timeout());
        SharedHttpConnector::new(Http {
            transport: self.transport.clone(),
            patience: patience.unwrap_or(PATIENCE),
        })
    }
}
