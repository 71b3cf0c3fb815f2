//! CRDs in a control plane.

use std::time::Duration;

use hyper::Request;
use hyper::header::CONTENT_TYPE;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, CustomResourceExt};
use lockstep_core::topology::GatewayTopology;

use super::definitions::Definition;
use super::metallb::definitions;
use super::{ControlPlane, Error, MetalLb, ReportKinds, Result};

/// The time limit until the API server establishes a CRD, which takes less than a second.
const ESTABLISH_DEADLINE: Duration = Duration::from_secs(30);

impl ControlPlane {
    /// Applies every CRD of a MetalLB release, and returns when their objects can be created.
    ///
    /// # Errors
    /// As [`super::metallb_crds`] and [`Self::install_crd`].
    pub async fn install_metallb(&self, version: MetalLb) -> Result<()> {
        self.install(move || definitions(version)).await
    }

    /// Applies the CRDs of the kinds of reports, and returns when their objects can be created.
    ///
    /// # Errors
    /// As [`super::metallb_crds`] and [`Self::install_crd`].
    pub async fn install_reports(&self, kinds: ReportKinds) -> Result<()> {
        self.install(move || kinds.definitions()).await
    }

    async fn install(&self, find: impl FnOnce() -> Result<Vec<Definition>> + Send + 'static) -> Result<()> {
        // The first call may download, so it must not block the thread of the test's other tasks.
        let definitions = tokio::task::spawn_blocking(find)
            .await
            .map_err(|error| Error::failed(format_args!("the search for CRDs broke off: {error}")))??;
        for Definition { name, yaml } in definitions {
            self.install_crd(&name, &yaml).await?;
        }
        Ok(())
    }

    /// Installs the CRD of topologies.
    ///
    /// # Errors
    /// As [`Self::install_crd`].
    pub async fn install_topologies(&self) -> Result<()> {
        let crd = serde_json::to_string(&GatewayTopology::crd()).map_err(|error| {
            Error::failed(format_args!("cannot write the definition of topologies: {error}"))
        })?;
        self.install_crd(GatewayTopology::crd_name(), &crd).await
    }

    /// Applies a CRD, in YAML or JSON, and returns when its objects can be created. The name is the CRD's own:
    /// `<plural>.<group>`. During the next two seconds, the API server delays every creation by two seconds, so
    /// install all CRDs before the first object.
    ///
    /// # Errors
    /// If the API server rejects the CRD or does not establish it.
    pub async fn install_crd(&self, name: &str, yaml: &str) -> Result<()> {
        let cannot = |error: &dyn std::error::Error| {
            Error::failed(format_args!("cannot install the definition `{name}`: {error}"))
        };
        let client = self.client().await?;
        let path = format!(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=lockstep-tests&force=true"
        );
        let request = Request::patch(path)
            .header(CONTENT_TYPE, "application/apply-patch+yaml")
            .body(yaml.as_bytes().to_vec())
            .map_err(|error| cannot(&error))?;
        client.request_text(request).await.map_err(|error| cannot(&error))?;

        let crds: Api<CustomResourceDefinition> = Api::all(client);
        tokio::time::timeout(
            ESTABLISH_DEADLINE,
            await_condition(crds, name, conditions::is_crd_established()),
        )
        .await
        .map_err(|error| cannot(&error))?
        .map_err(|error| cannot(&error))?;
        Ok(())
    }
}
