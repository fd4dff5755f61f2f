//! What things cost in us-east-1, in dollars: Linux on x86, as the pages that are named have it this year.

/// <https://aws.amazon.com/fargate/pricing/>
const VCPU: f64 = 0.04048;
const GIB: f64 = 0.004445;
/// Spot capacity costs "up to 70 %" less.
pub(super) const SPOT: f64 = 0.3;
/// <https://aws.amazon.com/vpc/pricing/>: a public address, a NAT gateway, for an hour.
pub(super) const ADDRESS: f64 = 0.005;
pub(super) const NAT: f64 = 0.045;
/// <https://aws.amazon.com/privatelink/pricing/>: an interface endpoint in a zone, for an hour.
pub(super) const ENDPOINT: f64 = 0.01;
/// <https://aws.amazon.com/eks/pricing/>: a cluster, for an hour.
pub(super) const EKS: f64 = 0.10;
/// <https://aws.amazon.com/cloudwatch/pricing/>: an alarm, a metric of one's own, a month.
pub(super) const ALARM: f64 = 0.10;
pub(super) const METRIC: f64 = 0.30;
/// <https://aws.amazon.com/kms/pricing/>: a key, a month.
pub(super) const KEY: f64 = 1.0;
/// <https://aws.amazon.com/secrets-manager/pricing/>: a secret, a month.
pub(super) const SECRET: f64 = 0.40;
/// <https://aws.amazon.com/s3/pricing/>: a write or a listing.
pub(super) const WRITE: f64 = 0.005 / 1000.0;
/// <https://aws.amazon.com/step-functions/pricing/>: a transition.
pub(super) const TRANSITION: f64 = 0.025 / 1000.0;
/// Hours of a month, and weeks.
pub(super) const MONTH: f64 = 730.0;
pub(super) const WEEKS: f64 = MONTH / 168.0;

/// Of a task for an hour, without its address.
pub(super) fn task(vcpus: f64, gib: f64) -> f64 {
    vcpus * VCPU + gib * GIB
}
