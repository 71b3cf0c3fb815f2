//! The state of a cluster, read once: every object that an assessment reads, by paged lists.
//!
//! Each page is decoded object by object into an inventory, by the functions that manifests are decoded with. What an
//! assessment does not read, such as managed fields and the specs of pods, is gone before the next object is decoded, so
//! that memory is bounded by one page and by what is kept.
//!
//! A kind that the API server does not serve is read and empty. A list that it refuses (403) leaves its [`Source`] out of
//! [`Inventory::read`], and the others are read all the same.

mod follow;
mod judged;

pub use follow::{Followed, Follower};
pub use judged::{JudgedObjects, judged};

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use kube::api::{ListParams, Request};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure;
use crate::manifests::{add_assessed, add_state};
use crate::objects::Resource;
use crate::snapshot::{Inventory, Source};
use crate::topology::{GatewayTopology, GatewayTopologySpec};

/// The number of objects in a page: as many as kubectl asks for.
const PAGE: u32 = 500;

/// The number of lists that are read at once. API priority and fairness gives a client about this many seats.
const LISTS_AT_ONCE: usize = 4;

/// The number of times that a list is tried that expires between two pages (410). The API server keeps what it lists for
/// five minutes, so a list that expires this often never ends.
const TRIES: usize = 4;

/// The group and version of MetalLB's kinds.
const METALLB: &str = "metallb.io/v1beta1";

/// The state of a cluster at the time of reading. The lists are not of one moment: each is of its own.
#[derive(Debug, Default)]
pub struct ClusterState {
    /// The objects.
    pub inventory: Inventory,
    /// The lists that could not be used, in the order of their sources.
    pub unread: Vec<Unread>,
    /// Objects that were left out because they cannot be decoded: one sentence each, with the object's name.
    pub problems: Vec<String>,
    /// The plurals of the kinds in MetalLB's group that the cluster serves; empty where they could not be read.
    pub metallb_kinds: BTreeSet<String>,
}

/// A list that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The kind.
    pub source: Source,
    /// The namespace that was asked for; `None` for all.
    pub namespace: Option<String>,
    /// The reason why it could not be used.
    pub reason: UnreadReason,
    /// The verbs that reading takes: `list`, and `watch` to follow.
    pub verbs: &'static [&'static str],
}

/// The reason why a list could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadReason {
    /// The API server refused the list (403).
    Forbidden,
    /// There are pods in MetalLB's namespace, and none of them looks like a speaker.
    NoSpeakerKnown,
}

impl Unread {
    /// The RBAC rule that allows the list.
    #[must_use]
    pub fn rule(&self) -> PolicyRule {
        let Resource { group, plural, .. } = self.source.resource();
        PolicyRule {
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(vec![plural.to_owned()]),
            verbs: self.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            ..PolicyRule::default()
        }
    }
}

/// The reason why a cluster's state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The reader may not list topologies, so that nothing says what to read.
    #[error(
        "the API server does not allow you to list topologies, which say what to read: grant the rule {{apiGroups: [\"{group}\"], resources: [\"{plural}\"], verbs: [\"list\"]}} in a ClusterRole",
        group = .0.group, plural = .0.plural
    )]
    TopologiesForbidden(Resource),
    /// A list failed.
    #[error("cannot list {what}: {cause}")]
    Failed {
        /// The list: the resource, and the namespace if there is one.
        what: String,
        /// The API server's answer, or why there was none.
        cause: String,
    },
    /// A list expired between two pages each time.
    #[error("the list of {0} changes faster than it can be read: it expired {TRIES} times; try again")]
    Expired(String),
}

/// Reads the state of a cluster with the rights of its client. `only` names a topology: if there is one of this name, the
/// objects of other topologies' namespaces are not read. `also` are topologies that the cluster does not have, and whose
/// namespaces are read, too.
///
/// Without a topology in the cluster, the objects that the built-in one names are read; the inventory has no topology then.
///
/// # Errors
/// [`StateError`]. A refused list is no error, and neither is a kind that the cluster does not serve.
pub async fn read(
    client: Client,
    only: Option<&str>,
    also: &[&GatewayTopologySpec],
) -> Result<ClusterState, StateError> {
    let topologies = list(&client, &Listing::topologies()).await?;
    let state = ClusterState::of_topologies(topologies, only)?;
    let listings = state.listings(also);
    state.with(&client, listings).await
}

/// Reads the state of every namespace, for gateways that no topology names.
///
/// # Errors
/// As [`read`].
pub async fn read_everywhere(client: Client) -> Result<ClusterState, StateError> {
    let topologies = list(&client, &Listing::topologies()).await?;
    let state = ClusterState::of_topologies(topologies, None)?;
    // Speakers are pods, and all pods are listed.
    let sources = Source::ALL.into_iter().filter(|source| *source != Source::Speakers);
    let listings = sources.map(|source| Listing {
        source: Some(source),
        resource: source.resource(),
        kind: kind_of(source).0,
        namespace: None,
    });
    state.with(&client, listings.collect()).await
}

impl ClusterState {
    /// The state as far as topologies go. If there is one of the name `only`, the others are left out.
    fn of_topologies(listed: Listed, only: Option<&str>) -> Result<Self, StateError> {
        let mut state = Self::default();
        match listed {
            Listed::Objects { inventory, problems, .. } => {
                state.inventory.absorb(*inventory);
                state.problems = problems;
            }
            Listed::NotServed => {}
            Listed::Forbidden => return Err(StateError::TopologiesForbidden(GatewayTopology::RESOURCE)),
        }
        let declared = &mut state.inventory.topologies;
        if let Some(name) = only.filter(|name| declared.contains_key(*name)) {
            declared.retain(|held, _| held == name);
        }
        Ok(state)
    }

    /// The state with what these lists have.
    async fn with(mut self, client: &Client, listings: BTreeSet<Listing>) -> Result<Self, StateError> {
        let kinds = metallb_kinds(client).await?;
        let read: Vec<(Listing, Listed)> = futures::stream::iter(listings)
            .map(async |listing| {
                let is_served = listing.is_served(kinds.as_ref());
                let listed = if is_served { list(client, &listing).await? } else { Listed::NotServed };
                Ok::<_, StateError>((listing, listed))
            })
            .buffered(LISTS_AT_ONCE)
            .try_collect()
            .await?;
        self.take(read, &["list"]);
        self.metallb_kinds = kinds.unwrap_or_default();
        Ok(self)
    }

    /// The lists that an assessment of the topologies, and of `also`, takes.
    fn listings(&self, also: &[&GatewayTopologySpec]) -> BTreeSet<Listing> {
        let built_in = GatewayTopologySpec::default();
        let declared = self.inventory.topologies.values().map(|declared| &declared.spec);
        let default = self.inventory.topologies.is_empty().then_some(&built_in);
        listings(declared.chain(default).chain(also.iter().copied()))
    }

    /// Adds what was listed.
    fn take(&mut self, read: Vec<(Listing, Listed)>, verbs: &'static [&'static str]) {
        let mut missing = BTreeSet::new();
        for (listing, listed) in read {
            let Some(source) = listing.source else { continue };
            let unread = |reason| Unread { source, namespace: listing.namespace.clone(), reason, verbs };
            match listed {
                Listed::Forbidden => self.unread.push(unread(UnreadReason::Forbidden)),
                Listed::NotServed => drop(missing.insert(source)),
                Listed::Objects { inventory, problems, count } => {
                    if source == Source::Speakers && count > 0 && inventory.speakers.is_empty() {
                        self.unread.push(unread(UnreadReason::NoSpeakerKnown));
                    }
                    self.inventory.absorb(*inventory);
                    self.problems.extend(problems);
                }
            }
        }
        self.unread
            .sort_by(|left, right| (left.source, &left.namespace).cmp(&(right.source, &right.namespace)));
        let is_unread = |source: &Source| self.unread.iter().any(|unread| unread.source == *source);
        self.inventory.read = Source::ALL.into_iter().filter(|source| !is_unread(source)).collect();
        self.inventory.lacks_metallb =
            missing.contains(&Source::AddressPools) && missing.contains(&Source::L2Advertisements);
        self.inventory.infer_settings();
    }
}

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Listing {
    /// `None` for topologies.
    source: Option<Source>,
    resource: Resource,
    kind: &'static str,
    /// `None` for all.
    namespace: Option<String>,
}

/// Where the objects of a kind are that a topology depends on.
enum Scope {
    Cluster,
    Gateway,
    MetalLb,
}

/// The result of a list.
enum Listed {
    Objects { inventory: Box<Inventory>, problems: Vec<String>, count: usize },
    NotServed,
    Forbidden,
}

impl Listing {
    fn topologies() -> Self {
        Self { source: None, resource: GatewayTopology::RESOURCE, kind: "GatewayTopology", namespace: None }
    }

    /// Whether the cluster serves the kind, as far as the kinds of MetalLB are known.
    fn is_served(&self, kinds: Option<&BTreeSet<String>>) -> bool {
        self.resource.group != "metallb.io" || kinds.is_none_or(|kinds| kinds.contains(self.resource.plural))
    }

    /// The path of the collection.
    fn path(&self) -> String {
        let Resource { group, plural, .. } = self.resource;
        let root = if group.is_empty() { "/api" } else { "/apis" };
        let root = format!("{root}/{}", self.resource.api_version());
        match &self.namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{plural}"),
        }
    }

    /// The object with its version and kind, which the items of a list do not carry.
    fn typed(&self, mut object: Value) -> Value {
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), self.resource.api_version().into());
            fields.insert("kind".to_owned(), self.kind.into());
        }
        object
    }

    /// The list in words.
    fn what(&self) -> String {
        let place =
            self.namespace.as_ref().map_or_else(String::new, |name| format!(" in namespace `{name}`"));
        format!("`{}`{place}", self.resource)
    }
}

/// The lists that an assessment of these topologies takes.
fn listings<'t>(topologies: impl Iterator<Item = &'t GatewayTopologySpec>) -> BTreeSet<Listing> {
    let topologies: Vec<&GatewayTopologySpec> = topologies.collect();
    let mut listings = BTreeSet::new();
    for source in Source::ALL {
        let (kind, scope) = kind_of(source);
        let listing =
            |namespace| Listing { source: Some(source), resource: source.resource(), kind, namespace };
        let within = |of: fn(&GatewayTopologySpec) -> &String| {
            topologies.iter().map(move |topology| Some(of(topology).clone()))
        };
        match scope {
            Scope::Cluster => drop(listings.insert(listing(None))),
            Scope::Gateway => listings.extend(within(|topology| &topology.gateway.namespace).map(listing)),
            Scope::MetalLb => listings.extend(within(|topology| &topology.metallb_namespace).map(listing)),
        }
    }
    listings
}

fn kind_of(source: Source) -> (&'static str, Scope) {
    match source {
        Source::Nodes => ("Node", Scope::Cluster),
        Source::Namespaces => ("Namespace", Scope::Cluster),
        Source::Services => ("Service", Scope::Gateway),
        Source::EndpointSlices => ("EndpointSlice", Scope::Gateway),
        Source::Pods => ("Pod", Scope::Gateway),
        Source::AddressPools => ("IPAddressPool", Scope::MetalLb),
        Source::LegacyAddressPools => ("AddressPool", Scope::MetalLb),
        Source::L2Advertisements => ("L2Advertisement", Scope::MetalLb),
        Source::BgpAdvertisements => ("BGPAdvertisement", Scope::MetalLb),
        // All pods, because a speaker of a renamed chart is known by its image only.
        Source::Speakers => ("Pod", Scope::MetalLb),
        // A speaker writes them in its own namespace (`layer2_status_controller.go`, 0.15.2).
        Source::L2Statuses => ("ServiceL2Status", Scope::MetalLb),
        Source::Deployments => ("Deployment", Scope::Gateway),
        Source::StatefulSets => ("StatefulSet", Scope::Gateway),
        Source::DaemonSets => ("DaemonSet", Scope::Gateway),
        Source::DisruptionBudgets => ("PodDisruptionBudget", Scope::Gateway),
    }
}

/// The plurals of the kinds in MetalLB's group; `None` where the reader may not ask. Every authenticated user may, by
/// `system:discovery`, so that a kind that is not served is known from one that may not be listed.
pub(super) async fn metallb_kinds(client: &Client) -> Result<Option<BTreeSet<String>>, StateError> {
    match client.list_api_group_resources(METALLB).await {
        Ok(list) => Ok(Some(list.resources.into_iter().map(|resource| resource.name).collect())),
        Err(error) => match code(&error) {
            Some(404) => Ok(Some(BTreeSet::new())),
            Some(403) => Ok(None),
            _ => Err(failed(&format!("the kinds of `{METALLB}`"), &error)),
        },
    }
}

/// The status code of the API server's answer; `None` where there was no answer.
fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn failed(what: &str, error: &kube::Error) -> StateError {
    StateError::Failed { what: what.to_owned(), cause: failure::words(error) }
}

/// The API server's answer to a list.
enum Answer<T> {
    Objects(T),
    /// The cluster does not serve the kind (404).
    NotServed,
    /// The list is refused (403).
    Forbidden,
}

/// Lists a kind by `pages`, and starts over if the list expires between two pages: half of an old list says nothing.
async fn answer<T>(
    listing: &Listing,
    mut pages: impl AsyncFnMut() -> Result<T, PageError>,
) -> Result<Answer<T>, StateError> {
    for _ in 0..TRIES {
        match pages().await {
            Ok(objects) => return Ok(Answer::Objects(objects)),
            Err(PageError::Refused(error)) => match code(&error) {
                Some(403) => return Ok(Answer::Forbidden),
                Some(404) => return Ok(Answer::NotServed),
                Some(410) => {}
                _ => return Err(failed(&listing.what(), &error)),
            },
            Err(PageError::Malformed(cause)) => {
                return Err(StateError::Failed { what: listing.what(), cause });
            }
        }
    }
    Err(StateError::Expired(listing.what()))
}

/// Lists a kind into an inventory.
async fn list(client: &Client, listing: &Listing) -> Result<Listed, StateError> {
    Ok(match answer(listing, async || pages(client, listing).await).await? {
        Answer::Objects((inventory, problems, count)) => {
            Listed::Objects { inventory: Box::new(inventory), problems, count }
        }
        Answer::NotServed => Listed::NotServed,
        Answer::Forbidden => Listed::Forbidden,
    })
}

/// The reason why a page could not be used.
enum PageError {
    Refused(kube::Error),
    Malformed(String),
}

async fn pages(client: &Client, listing: &Listing) -> Result<(Inventory, Vec<String>, usize), PageError> {
    let (mut inventory, mut problems, mut count) = (Inventory::default(), Vec::new(), 0_usize);
    each_item(client, listing, &mut |object| {
        count = count.saturating_add(1);
        problems.extend(add_object(&mut inventory, listing, object).err());
    })
    .await?;
    Ok((inventory, problems, count))
}

/// Hands out every object of a list.
async fn each_item(client: &Client, listing: &Listing, each: &mut dyn FnMut(Value)) -> Result<(), PageError> {
    let mut params = ListParams { limit: Some(PAGE), ..ListParams::default() };
    loop {
        let malformed = |error: &dyn std::error::Error| {
            PageError::Malformed(format!("the API server's answer cannot be used: {error}"))
        };
        let request = Request::new(listing.path()).list(&params).map_err(|error| malformed(&error))?;
        let text = client.request_text(request).await.map_err(PageError::Refused)?;
        let page: Page<'_> = serde_json::from_str(&text).map_err(|error| malformed(&error))?;
        for item in page.items.unwrap_or_default() {
            each(serde_json::from_str(item.get()).map_err(|error| malformed(&error))?);
        }
        match page.metadata.and_then(|metadata| metadata.next).filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

/// Adds a listed object to an inventory.
///
/// # Errors
/// A sentence that names the object, if it cannot be used.
fn add_object(inventory: &mut Inventory, listing: &Listing, object: Value) -> Result<(), String> {
    let object = listing.typed(object);
    // A workload's template is no pod of the cluster: its pods are listed themselves.
    let add = match listing.source {
        Some(Source::Deployments | Source::StatefulSets | Source::DaemonSets) => add_assessed,
        _ => add_state,
    };
    match add(inventory, &object, "") {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{}: {error}", name(&object, listing.kind))),
    }
}

/// An object by its kind, namespace and name.
fn name(object: &Value, kind: &str) -> String {
    let field = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (field("/metadata/namespace"), field("/metadata/name"));
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{kind} `{namespace}{slash}{name}`")
}

/// A page of a list. The items stay text until each is decoded by itself.
#[derive(Deserialize)]
struct Page<'p> {
    metadata: Option<PageMetadata>,
    #[serde(borrow)]
    items: Option<Vec<&'p RawValue>>,
}

#[derive(Deserialize)]
struct PageMetadata {
    /// The token of the next page.
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use axum::http::Response;
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::*;

    /// A client whose API server gives these answers, one after the other, and the requests that it sent.
    fn client(answers: Vec<(u16, Value)>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (asked, answers) = (Arc::clone(&requests), Mutex::new(VecDeque::from(answers)));
        let service = service_fn(move |request: axum::http::Request<Body>| {
            asked.lock().unwrap().push(request.uri().to_string());
            let (status, body) = answers.lock().unwrap().pop_front().expect("an answer for each request");
            let response = Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
            async { Ok::<_, kube::Error>(response.unwrap()) }
        });
        (Client::new(service, "default"), requests)
    }

    fn page(names: &[&str], next: &str) -> (u16, Value) {
        let items: Vec<_> = names.iter().map(|name| json!({"metadata": {"name": name}})).collect();
        (200, json!({"metadata": {"continue": next}, "items": items}))
    }

    fn refusal(code: u16) -> (u16, Value) {
        (code, json!({"kind": "Status", "status": "Failure", "message": "no", "reason": "x", "code": code}))
    }

    fn nodes() -> Listing {
        let listings = ClusterState::default().listings(&[]);
        listings.into_iter().find(|listing| listing.source == Some(Source::Nodes)).unwrap()
    }

    fn names(listed: &Listed) -> Vec<&str> {
        let Listed::Objects { inventory, .. } = listed else { panic!("nothing was listed") };
        inventory.nodes.keys().map(String::as_str).collect()
    }

    #[tokio::test]
    async fn a_list_is_read_page_by_page() {
        let (client, requests) = client(vec![page(&["n1", "n2"], "next"), page(&["n3"], "")]);
        assert_eq!(names(&list(&client, &nodes()).await.unwrap()), ["n1", "n2", "n3"]);
        let requests = requests.lock().unwrap();
        assert_eq!(*requests, ["/api/v1/nodes?&limit=500", "/api/v1/nodes?&limit=500&continue=next"]);
    }

    #[tokio::test]
    async fn a_list_that_expires_between_two_pages_is_read_again_from_its_beginning() {
        let (client, _) =
            client(vec![page(&["gone", "n1"], "old"), refusal(410), page(&["n1"], "new"), page(&["n2"], "")]);
        assert_eq!(names(&list(&client, &nodes()).await.unwrap()), ["n1", "n2"]);
    }

    #[tokio::test]
    async fn a_list_that_expires_every_time_is_an_error() {
        let (client, requests) = client(vec![refusal(410); 4]);
        let error = list(&client, &nodes()).await.err().unwrap().to_string();
        assert_eq!(
            error,
            "the list of `nodes` changes faster than it can be read: it expired 4 times; try again"
        );
        assert_eq!(requests.lock().unwrap().len(), 4);
    }

    #[tokio::test]
    async fn refused_and_unserved_lists_are_told_from_failures() {
        let (client, _) = client(vec![refusal(403), refusal(404), refusal(500), (200, json!([1]))]);
        assert!(matches!(list(&client, &nodes()).await, Ok(Listed::Forbidden)));
        assert!(matches!(list(&client, &nodes()).await, Ok(Listed::NotServed)));
        let error = list(&client, &nodes()).await.err().unwrap().to_string();
        assert_eq!(error, "cannot list `nodes`: no (500)");
        let error = list(&client, &nodes()).await.err().unwrap().to_string();
        assert!(
            error.starts_with("cannot list `nodes`: the API server's answer cannot be used: "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_object_that_does_not_decode_is_named_and_left_out() {
        let broken = json!({"metadata": {"name": "n2", "labels": {"a": 1}}});
        let items = json!([{"metadata": {"name": "n1"}}, broken]);
        let (client, _) = client(vec![(200, json!({"metadata": {}, "items": items}))]);
        let listed = list(&client, &nodes()).await.unwrap();
        assert_eq!(names(&listed), ["n1"]);
        let Listed::Objects { problems, .. } = listed else { panic!() };
        assert_eq!(
            problems,
            ["Node `n2`: `metadata.labels.a`: expected a string, found the number `1`: put it in quotes"]
        );
    }

    #[test]
    fn each_kind_is_listed_where_the_topologies_say() {
        let mut other = GatewayTopologySpec::default();
        other.gateway.namespace = "edge".to_owned();
        let specs = [GatewayTopologySpec::default(), other];
        let paths: Vec<String> = listings(specs.iter()).iter().map(Listing::path).collect();
        for path in [
            "/api/v1/nodes",
            "/api/v1/namespaces",
            "/api/v1/namespaces/edge/pods",
            "/api/v1/namespaces/istio-system/services",
            "/apis/discovery.k8s.io/v1/namespaces/edge/endpointslices",
            "/api/v1/namespaces/metallb-system/pods",
            "/apis/metallb.io/v1beta1/namespaces/metallb-system/servicel2statuses",
        ] {
            assert!(paths.iter().any(|listed| listed == path), "{path}: {paths:?}");
        }
        assert_eq!(paths.len(), 2 + 7 * 2 + 6, "MetalLB's namespace is listed once: {paths:?}");
    }
}
