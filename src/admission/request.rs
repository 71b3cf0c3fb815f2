//! From bytes to a change. Everything that no rule reads is skipped without being built.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Body, Groups};
use crate::change::{Change, Operation};
use crate::objects::{Kind, Object};

/// A review that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or not of the expected shape.
    #[error("the AdmissionReview cannot be read: {}", without_value(.0))]
    Json(#[from] serde_json::Error),
    /// Not text.
    #[error("the AdmissionReview cannot be read: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// Another version, or another kind of object.
    #[error(
        "expected an AdmissionReview of admission.k8s.io/v1, got `{0}`: list `v1` in admissionReviewVersions"
    )]
    Version(String),
    /// A review without a request, such as an answer.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// The answer would have no addressee.
    #[error("the AdmissionReview's request has no uid")]
    NoUid,
    /// A kind that rules are about, in a version that they do not know. To let it pass would be to fail open.
    #[error(
        "version `{version}` of `{resource}` is not known: register the webhook for `{known}` with matchPolicy Equivalent"
    )]
    Resource {
        /// The resource's plural name.
        resource: String,
        /// The version that came.
        version: String,
        /// The version that is known.
        known: &'static str,
    },
}

/// What was expected and where, without what was found: objects hold secrets, and this ends up in logs.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => text,
    }
}

/// A request, as far as it is read. Its texts are those of the body wherever they hold no escapes.
#[derive(Debug, Clone, Default)]
pub struct Request<'b> {
    /// What the answer must repeat.
    pub uid: Cow<'b, str>,
    /// The kind of the object.
    pub kind: Cow<'b, str>,
    /// The namespace.
    pub namespace: Cow<'b, str>,
    /// The name; for a name that the API server will make up, its prefix and `*`.
    pub name: Cow<'b, str>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: Cow<'b, str>,
    /// Who asks.
    pub user: Cow<'b, str>,
    /// The groups that the user is in.
    pub groups: Groups<'b>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// What rules look at; `None` for everything that no rule is about.
    pub change: Option<Change>,
}

/// Reads an `AdmissionReview`.
///
/// # Errors
/// [`DecodeError`] for anything that is not one, or that cannot be judged.
pub fn decode<'b>(body: &'b Body<'_>) -> Result<Request<'b>, DecodeError> {
    match body.short.as_deref().map(read) {
        Some(Ok(request)) => Ok(request),
        // What is wrong is told of the body as it came, with its lines and columns.
        // Checked as a whole, which is cheaper than text by text, and leaves nothing unread that is not text.
        _ => read(std::str::from_utf8(body.whole)?),
    }
}

fn read(text: &str) -> Result<Request<'_>, DecodeError> {
    let review: Review<'_> = serde_json::from_str(text)?;
    if review.api_version != "admission.k8s.io/v1" || review.kind != "AdmissionReview" {
        return Err(DecodeError::Version(format!("{} {}", review.api_version, review.kind)));
    }
    review.request.ok_or(DecodeError::NoRequest)?.into_request()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<RawRequest<'a>>,
}

/// A group, version and resource; or a group, version and kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TypeName<'a> {
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(alias = "kind", borrow)]
    resource: Cow<'a, str>,
}

/// A text of the body; `Cow` by itself is always read into a string of its own.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User<'a> {
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    groups: Option<Groups<'a>>,
}

#[derive(Debug, Default)]
struct RawRequest<'a> {
    uid: Text<'a>,
    kind: TypeName<'a>,
    resource: TypeName<'a>,
    sub_resource: Text<'a>,
    namespace: Text<'a>,
    name: Text<'a>,
    operation: Text<'a>,
    user: User<'a>,
    dry_run: bool,
    object: Slot<'a>,
    old_object: Slot<'a>,
}

/// An object, decoded where its kind was known when it came.
///
/// The API server writes the resource before the object, so that one pass over the bytes is enough; JSON
/// promises no order, so an object that comes first is kept as text.
#[derive(Debug, Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for one call, and a box would be one more allocation per review"
)]
enum Slot<'a> {
    #[default]
    Absent,
    Decoded(Object),
    Text(&'a RawValue),
}

impl Slot<'_> {
    fn decode(self, kind: Kind) -> Result<Option<Object>, serde_json::Error> {
        match self {
            Self::Absent => Ok(None),
            Self::Decoded(object) => Ok(Some(object)),
            Self::Text(text) => kind.deserialize(&mut serde_json::Deserializer::from_str(text.get())),
        }
    }
}

impl<'a> RawRequest<'a> {
    /// The kind, if rules are about it.
    fn judged_kind(&self) -> Option<Kind> {
        if !self.sub_resource.0.is_empty() {
            return None;
        }
        Kind::of(&self.resource.group, &self.resource.resource)
    }

    fn into_request(self) -> Result<Request<'a>, DecodeError> {
        if self.uid.0.is_empty() {
            return Err(DecodeError::NoUid);
        }
        let kind = self.judged_kind();
        if let Some(known) =
            kind.map(|kind| kind.resource().version).filter(|known| *known != self.resource.version)
        {
            return Err(DecodeError::Resource {
                resource: self.resource.resource.into_owned(),
                version: self.resource.version.into_owned(),
                known,
            });
        }
        let operation = match self.operation.0.as_ref() {
            "CREATE" => Some(Operation::Create),
            "UPDATE" => Some(Operation::Update),
            _ => None,
        };
        let mut request = Request {
            uid: self.uid.0,
            kind: self.kind.resource,
            namespace: self.namespace.0,
            name: self.name.0,
            operation: self.operation.0,
            user: self.user.username.unwrap_or_default().0,
            groups: self.user.groups.unwrap_or_default(),
            dry_run: self.dry_run,
            change: None,
        };
        // No rule is about deleting or connecting; `object` is null there.
        let (Some(kind), Some(operation)) = (kind, operation) else {
            return Ok(request);
        };
        let Some(object) = self.object.decode(kind)? else {
            return Err(serde_json::Error::custom(format!(
                "request.object is missing from an {}",
                request.operation
            ))
            .into());
        };
        let (namespace, name) = (&*request.namespace, &*request.name);
        let change = match operation {
            Operation::Update => Change::update(namespace, name, object, self.old_object.decode(kind)?),
            _ => Change::create(namespace, name, object),
        };
        let generated = &change.object.metadata().generate_name;
        if request.name.is_empty() && !generated.is_empty() {
            request.name = format!("{generated}*").into();
        }
        request.change = Some(change);
        Ok(request)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Uid,
    Kind,
    Resource,
    SubResource,
    Namespace,
    Name,
    Operation,
    UserInfo,
    DryRun,
    Object,
    OldObject,
    #[serde(other)]
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for RawRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestVisitor)
    }
}

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = RawRequest<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut request = RawRequest::default();
        while let Some(field) = map.next_key()? {
            match field {
                Field::Uid => request.uid = or_default(&mut map)?,
                Field::Kind => request.kind = or_default(&mut map)?,
                Field::Resource => request.resource = or_default(&mut map)?,
                Field::SubResource => request.sub_resource = or_default(&mut map)?,
                Field::Namespace => request.namespace = or_default(&mut map)?,
                Field::Name => request.name = or_default(&mut map)?,
                Field::Operation => request.operation = or_default(&mut map)?,
                Field::UserInfo => request.user = or_default(&mut map)?,
                Field::DryRun => request.dry_run = or_default(&mut map)?,
                Field::Object => request.object = slot(&mut map, &request)?,
                Field::OldObject => request.old_object = slot(&mut map, &request)?,
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(request)
    }
}

fn or_default<'de, A: MapAccess<'de>, T: Deserialize<'de> + Default>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

fn slot<'de, A: MapAccess<'de>>(map: &mut A, request: &RawRequest<'_>) -> Result<Slot<'de>, A::Error> {
    let is_wanted = matches!(request.operation.0.as_ref(), "CREATE" | "UPDATE");
    match request.judged_kind() {
        Some(kind) if is_wanted => Ok(map.next_value_seed(kind)?.map_or(Slot::Absent, Slot::Decoded)),
        _ => Ok(map.next_value::<Option<&RawValue>>()?.map_or(Slot::Absent, Slot::Text)),
    }
}
