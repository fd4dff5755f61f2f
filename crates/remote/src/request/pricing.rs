//! AWS's price list.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::json::{JSON_1_1, Protocol};

const PRICING: Protocol = Protocol {
    service: Service::Pricing,
    target: "AWSPriceListService",
    content_type: JSON_1_1,
};

/// A price.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offer {
    /// `EUW1-Fargate-vCPU-Hours:perCPU`
    pub usage: String,
    /// For one unit, of the first step where there are several.
    pub dollars: f64,
    /// `hours`, `GB-Mo`, …
    pub unit: String,
    /// From when it holds: `2026-10-01T00:00:00Z`.
    pub since: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    price_list: Vec<Value>,
    #[serde(default)]
    next_token: Option<String>,
}

/// The prices on demand of a service's products that have all these attributes.
///
/// # Errors
/// Of any kind.
pub fn offers(client: &Client, service: &str, attributes: &[(&str, &str)]) -> Result<Vec<Offer>, RequestError> {
    let filters: Vec<Value> = attributes
        .iter()
        .map(|(name, value)| json!({ "Type": "TERM_MATCH", "Field": name, "Value": value }))
        .collect();
    let mut body = json!({ "ServiceCode": service, "Filters": filters, "FormatVersion": "aws_v1" });
    let mut offers = Vec::new();
    loop {
        let answer: Answer = PRICING.ask(client, "pricing:GetProducts", &body)?;
        offers.extend(answer.price_list.iter().flat_map(of_product));
        match answer.next_token.filter(|token| !token.is_empty()) {
            Some(token) => body["NextToken"] = json!(token),
            None => return Ok(offers),
        }
    }
}

/// A product is a text of JSON in the JSON.
fn of_product(product: &Value) -> Option<Offer> {
    let product: Value = match product.as_str() {
        Some(text) => serde_json::from_str(text).ok()?,
        None => product.clone(),
    };
    let terms = product["terms"]["OnDemand"].as_object()?;
    let term = terms.values().next()?;
    let mut steps: Vec<&Value> = term["priceDimensions"].as_object()?.values().collect();
    let from = |step: &Value| {
        let text = step["beginRange"].as_str().unwrap_or_default();
        text.parse::<f64>().unwrap_or_default()
    };
    steps.sort_by(|one, other| from(one).total_cmp(&from(other)));
    let step = steps.first()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Offer {
        usage: text(&product["product"]["attributes"]["usagetype"]),
        dollars: step["pricePerUnit"]["USD"].as_str()?.parse().ok()?,
        unit: text(&step["unit"]),
        since: text(&term["effectiveDate"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_of_a_price_is_taken() {
        let product = json!({
            "product": { "attributes": { "usagetype": "EU-TimedStorage-ByteHrs" } },
            "terms": { "OnDemand": { "X.Y": { "effectiveDate": "2026-10-01T00:00:00Z", "priceDimensions": {
                "b": { "beginRange": "51200", "unit": "GB-Mo", "pricePerUnit": { "USD": "0.0220000000" } },
                "a": { "beginRange": "0", "unit": "GB-Mo", "pricePerUnit": { "USD": "0.0230000000" } },
            } } } },
        });
        let expected = Offer {
            usage: "EU-TimedStorage-ByteHrs".to_owned(),
            dollars: 0.023,
            unit: "GB-Mo".to_owned(),
            since: "2026-10-01T00:00:00Z".to_owned(),
        };
        assert_eq!(of_product(&json!(product.to_string())), Some(expected));
    }
}
