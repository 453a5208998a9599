//! Writes what was decided on a request: approval and certificate, or the refusal.

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};
use tracing::info;

use super::authority::Authority;
use super::decide::{Grant, Reason, is_approved};
use super::signers::Signer;
use crate::MANAGER;
use crate::failure::{self, Failure};
use crate::metrics::ControllerMetrics;
use crate::pace::Pace;

/// What writes.
pub struct Answer {
    /// To the apiserver.
    pub client: Client,
    /// How fast it may.
    pub pace: Pace,
    /// Counts it.
    pub metrics: ControllerMetrics,
}

/// Which part of a request is written.
#[derive(Clone, Copy)]
enum Part {
    Approval,
    Status,
}

impl Answer {
    /// Approves, where nobody has, and signs.
    pub async fn sign(
        &self,
        mut request: CertificateSigningRequest,
        signer: &Signer,
        grant: &Grant,
        authority: &Authority,
    ) -> Result<(), Failure> {
        let name = request.name_any();
        let certificate = authority.sign(signer, grant).map_err(|fault| {
            Failure::Refused(format!("sign the certificate of node `{}`: {fault}", grant.node))
        })?;
        if !is_approved(&request) {
            add(
                &mut request,
                "Approved",
                "OwnNode",
                "who asks stands for that node",
            );
            request = match self.write(Part::Approval, &request).await? {
                Some(request) => request,
                None => return Ok(()),
            };
        }
        let status = request.status.get_or_insert_default();
        status.certificate = Some(ByteString(certificate.into_bytes()));
        if self.write(Part::Status, &request).await?.is_some() {
            self.metrics.count_verdict(signer.label, "Signed");
            info!(request = name, node = grant.node, signer = signer.name, "signed");
        }
        Ok(())
    }

    /// Refuses for good. What somebody else has approved cannot be denied; it fails.
    pub async fn refuse(
        &self,
        mut request: CertificateSigningRequest,
        signer: &Signer,
        reason: &Reason,
    ) -> Result<(), Failure> {
        let (part, kind) = if is_approved(&request) {
            (Part::Status, "Failed")
        } else {
            (Part::Approval, "Denied")
        };
        add(&mut request, kind, reason.as_str(), &reason.to_string());
        if self.write(part, &request).await?.is_some() {
            self.metrics.count_verdict(signer.label, reason.as_str());
            let user = request.spec.username.as_deref().unwrap_or_default();
            info!(request = request.name_any(), user, signer = signer.name, %reason, "refused");
        }
        Ok(())
    }

    /// Writes a part at the version that was read; `None`: the request is gone.
    async fn write(
        &self,
        part: Part,
        request: &CertificateSigningRequest,
    ) -> Result<Option<CertificateSigningRequest>, Failure> {
        self.pace.wait().await?;
        let requests: Api<CertificateSigningRequest> = Api::all(self.client.clone());
        let (name, params) = (
            request.name_any(),
            PostParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PostParams::default()
            },
        );
        let (written, what) = match part {
            Part::Approval => (
                requests
                    .replace_subresource("approval", &name, &params, request)
                    .await,
                "approval",
            ),
            Part::Status => (
                requests.replace_status(&name, &params, request).await,
                "certificate",
            ),
        };
        match written {
            Ok(request) => {
                self.metrics.count_write(what);
                Ok(Some(request))
            }
            Err(error) => failure::of(error).map_or(Ok(None), Err),
        }
    }
}

fn add(request: &mut CertificateSigningRequest, kind: &str, reason: &str, message: &str) {
    let now = Time(Timestamp::now());
    let condition = CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        // Names in it are the requester's: as long as he likes.
        message: Some(message.chars().take(1024).collect()),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now),
    };
    let status = request.status.get_or_insert_default();
    status.conditions.get_or_insert_default().push(condition);
}
