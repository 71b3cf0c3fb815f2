//! Decoding of the request in an `AdmissionReview`. Fields that no rule reads are skipped without being built.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Body;
use crate::change::{Change, Operation};
use crate::objects::{Kind, Object};
use lockstep_core::escape::excerpt;

/// The maximum number of groups that are kept by name. Directories put people into some dozens; an issuer of tokens
/// may put a million into one.
const GROUPS: usize = 64;

/// The maximum length of a uid in bytes. The API server's uids are UUIDs of 36 bytes.
const UID_LIMIT: usize = 128;
/// The maximum length of a name in the API server, in bytes; the same for the prefix of a generated name.
const NAME_LIMIT: usize = 253;
/// The maximum length of a namespace and of a kind in the API server, in bytes (labels of RFC 1123 and RFC 1035).
const LABEL_LIMIT: usize = 63;

/// The error of a review that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body is not JSON, or does not have the expected structure.
    #[error("the AdmissionReview cannot be read: {}", without_value(.0))]
    Json(#[from] serde_json::Error),
    /// A field does not have the expected type.
    #[error("the AdmissionReview cannot be read: {}", in_field(.path, .error))]
    Field {
        /// The path of the field from the root of the review.
        path: String,
        /// The expected type.
        error: serde_json::Error,
    },
    /// The body is not UTF-8.
    #[error("the AdmissionReview cannot be read: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// The object has another version or kind.
    #[error(
        "expected an AdmissionReview of admission.k8s.io/v1, got `{0}`: list `v1` in admissionReviewVersions"
    )]
    Version(String),
    /// The review has no request, as in a response.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// The request has no uid, which the response must repeat.
    #[error("the AdmissionReview's request has no uid")]
    NoUid,
    /// A value is longer than any that the API server sends. Responses repeat it, so it is not accepted.
    #[error("request.{field} has {length} bytes: the API server sends at most {most}")]
    TooLong {
        /// The field of the request.
        field: &'static str,
        /// The length of its value, in bytes.
        length: usize,
        /// The maximum length, in bytes.
        most: usize,
    },
    /// A creation or an update has no object.
    #[error("request.object is missing from the {0} request")]
    NoObject(String),
    /// A deletion has no old object.
    #[error("request.oldObject is missing from the DELETE request")]
    NoOldObject,
    /// Rules cover the kind, but in another version. Allowing it would be to fail open.
    #[error(
        "version `{version}` of `{resource}` is not known: register the webhook for `{known}` with matchPolicy Equivalent"
    )]
    Resource {
        /// The resource's plural name.
        resource: String,
        /// The version of the request.
        version: String,
        /// The version that the rules read.
        known: &'static str,
    },
}

/// The expected type and its place, without the value that was found: objects contain secrets, and errors are logged.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => text,
    }
}

/// The expected type, with the path of the field before its line and column.
fn in_field(path: &str, error: &serde_json::Error) -> String {
    let text = without_value(error);
    match text.rsplit_once(" at line ") {
        Some((expected, place)) => format!("{expected} in `{path}` at line {place}"),
        None => format!("{text} in `{path}`"),
    }
}

/// The request of a review, with the fields that are read. Its strings borrow from the body unless they contain
/// escapes.
#[derive(Debug, Clone, Default)]
pub struct Request<'b> {
    /// The uid that the response must repeat.
    pub uid: Cow<'b, str>,
    /// The kind of the object.
    pub kind: Cow<'b, str>,
    /// The namespace.
    pub namespace: Cow<'b, str>,
    /// The name; for a name that the API server will generate, its prefix and `*`.
    pub name: Cow<'b, str>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: Cow<'b, str>,
    /// The name of the user who sent the request to the API server.
    pub user: Cow<'b, str>,
    /// The user's groups.
    pub groups: Groups<'b>,
    /// Whether the request is a dry run, so that nothing will be stored.
    pub dry_run: bool,
    /// The change for the rules; `None` for a request that no rule covers.
    pub change: Option<Change>,
}

/// The groups of a user: the first 64 by name, and the number of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups<'b> {
    /// The names.
    pub names: Vec<Cow<'b, str>>,
    /// The number of further groups.
    pub more: usize,
}

/// Decodes an `AdmissionReview`.
///
/// # Errors
/// [`DecodeError`] for a body that is not a review, or that cannot be judged.
pub fn decode<'b>(body: &'b Body<'_>) -> Result<Request<'b>, DecodeError> {
    if let Some(Ok(request)) = body.without_unread().map(read) {
        return Ok(request);
    }
    // Errors describe the body as received, with its lines and columns. UTF-8 is checked for the whole body, which is
    // cheaper than string by string and covers skipped fields.
    let text = std::str::from_utf8(body.received())?;
    read(text).map_err(|error| match error {
        DecodeError::Json(error) => with_path(error, text),
        other => other,
    })
}

/// Adds the path of its field to the error. The text is decoded once more for it, which costs nothing unless there is
/// an error.
fn with_path(error: serde_json::Error, text: &str) -> DecodeError {
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, AdmissionReview<'_>>(&mut json) {
        Err(found) if found.path().iter().next().is_some() => {
            DecodeError::Field { path: excerpt(&found.path().to_string()), error }
        }
        _ => DecodeError::Json(error),
    }
}

fn read(text: &str) -> Result<Request<'_>, DecodeError> {
    let review: AdmissionReview<'_> = serde_json::from_str(text)?;
    if review.api_version != "admission.k8s.io/v1" || review.kind != "AdmissionReview" {
        return Err(DecodeError::Version(excerpt(&format!("{} {}", review.api_version, review.kind))));
    }
    review.request.ok_or(DecodeError::NoRequest)?.into_request()
}

/// A request whose object cannot be decoded.
pub(super) struct Undecoded<'b> {
    /// The fields that could be decoded.
    pub(super) request: Request<'b>,
    /// Whether it is about a workload, which is never denied.
    pub(super) is_of_workload: bool,
}

/// Decodes as much as possible of a request whose object cannot be decoded; `None` if it has no uid.
pub(super) fn decode_without_object<'b>(body: &'b Body<'_>) -> Option<Undecoded<'b>> {
    #[derive(Deserialize)]
    struct Review<R> {
        request: R,
    }
    #[derive(Deserialize)]
    struct Uid<'a> {
        #[serde(borrow)]
        uid: Text<'a>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct WithoutObject<'a> {
        #[serde(borrow)]
        kind: TypeName<'a>,
        #[serde(borrow)]
        resource: TypeName<'a>,
        #[serde(borrow)]
        namespace: Option<Text<'a>>,
        #[serde(borrow)]
        name: Option<Text<'a>>,
        #[serde(borrow)]
        operation: Option<Text<'a>>,
        #[serde(borrow)]
        user_info: User<'a>,
        dry_run: Option<bool>,
    }
    let review: Review<Uid<'_>> = serde_json::from_slice(body.received()).ok()?;
    let uid = Some(review.request.uid.0).filter(|uid| !uid.is_empty() && uid.len() <= UID_LIMIT)?;
    let review: Option<Review<WithoutObject<'_>>> = serde_json::from_slice(body.received()).ok();
    let request = review.map(|review| review.request).unwrap_or_default();
    let resource = &request.resource;
    let is_of_workload = Kind::of(&resource.group, &resource.resource).is_some_and(Kind::is_workload);
    let request = Request {
        uid,
        kind: request.kind.resource,
        namespace: request.namespace.unwrap_or_default().0,
        name: request.name.unwrap_or_default().0,
        operation: request.operation.unwrap_or_default().0,
        user: request.user_info.username.unwrap_or_default().0,
        groups: request.user_info.groups.unwrap_or_default(),
        dry_run: request.dry_run.unwrap_or_default(),
        change: None,
    };
    Some(Undecoded { request, is_of_workload })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionReview<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<AdmissionRequest<'a>>,
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

/// A string that borrows from the body. serde always reads a plain `Cow` into a `String`.
#[derive(Debug, Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User<'a> {
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    groups: Option<Groups<'a>>,
}

#[derive(Debug, Default)]
struct AdmissionRequest<'a> {
    uid: Text<'a>,
    kind: TypeName<'a>,
    resource: TypeName<'a>,
    sub_resource: Text<'a>,
    namespace: Text<'a>,
    name: Text<'a>,
    operation: Text<'a>,
    user: User<'a>,
    dry_run: bool,
    object: RawObject<'a>,
    old_object: RawObject<'a>,
}

/// An object that is decoded at once if its kind is already known.
///
/// The API server writes the resource before the object, so one pass over the bytes suffices. JSON guarantees no
/// order, so an object before its resource is kept as text.
#[derive(Debug, Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for one call, and a box would be one more allocation per review"
)]
enum RawObject<'a> {
    #[default]
    Absent,
    Decoded(Object),
    Text(&'a RawValue),
}

impl RawObject<'_> {
    /// The object; `field` is its name in the request.
    fn decode(self, kind: Kind, field: &str) -> Result<Option<Object>, DecodeError> {
        let text = match self {
            Self::Absent => return Ok(None),
            Self::Decoded(object) => return Ok(Some(object)),
            Self::Text(text) => text.get(),
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let mut track = serde_path_to_error::Track::new();
        let decoded = kind.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
        decoded.map_err(|error| DecodeError::Field {
            path: excerpt(&format!("request.{field}.{}", track.path())),
            error,
        })
    }
}

impl<'a> AdmissionRequest<'a> {
    /// The kind, if rules cover it.
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
        within("uid", &self.uid.0, UID_LIMIT)?;
        within("kind.kind", &self.kind.resource, LABEL_LIMIT)?;
        within("namespace", &self.namespace.0, LABEL_LIMIT)?;
        within("name", &self.name.0, NAME_LIMIT)?;
        let kind = self.judged_kind();
        if let Some(known) =
            kind.map(|kind| kind.resource().version).filter(|known| *known != self.resource.version)
        {
            return Err(DecodeError::Resource {
                resource: excerpt(&self.resource.resource),
                version: excerpt(&self.resource.version),
                known,
            });
        }
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
        let Some((kind, operation)) = kind.zip(judged_operation(kind, &request.operation)) else {
            return Ok(request);
        };
        let (namespace, name) = (&*request.namespace, &*request.name);
        if operation == Operation::Delete {
            let Some(object) = self.old_object.decode(kind, "oldObject")? else {
                return Err(DecodeError::NoOldObject);
            };
            // `kubectl delete --all` deletes a collection: the API server sends each object without its name.
            let own = object.metadata().name.clone();
            within("oldObject.metadata.name", &own, NAME_LIMIT)?;
            let name = if name.is_empty() { own.as_str() } else { name };
            request.change = Some(Change::delete(namespace, name, object, &request.user));
            if request.name.is_empty() {
                request.name = own.into();
            }
            return Ok(request);
        }
        let Some(object) = self.object.decode(kind, "object")? else {
            return Err(DecodeError::NoObject(excerpt(&request.operation)));
        };
        let generated = &object.metadata().generate_name;
        within("object.metadata.generateName", generated, NAME_LIMIT)?;
        let shown = (request.name.is_empty() && !generated.is_empty()).then(|| format!("{generated}*"));
        request.change = Some(if operation == Operation::Update {
            Change::update(namespace, name, object, self.old_object.decode(kind, "oldObject")?)
        } else {
            Change::create(namespace, name, object)
        });
        if let Some(shown) = shown {
            request.name = shown.into();
        }
        Ok(request)
    }
}

/// The operation of a request, if rules judge it on the kind.
fn judged_operation(kind: Option<Kind>, word: &str) -> Option<Operation> {
    let operation = Operation::ALL.into_iter().find(|operation| operation.word() == word)?;
    kind?.is_judged_on(operation).then_some(operation)
}

fn within(field: &'static str, value: &str, most: usize) -> Result<(), DecodeError> {
    let length = value.len();
    if length > most { Err(DecodeError::TooLong { field, length, most }) } else { Ok(()) }
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

impl<'de: 'a, 'a> Deserialize<'de> for AdmissionRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestVisitor)
    }
}

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = AdmissionRequest<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut request = AdmissionRequest::default();
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
                Field::Object => request.object = object(&mut map, &request)?,
                Field::OldObject => request.old_object = object(&mut map, &request)?,
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

fn object<'de, A: MapAccess<'de>>(
    map: &mut A,
    request: &AdmissionRequest<'_>,
) -> Result<RawObject<'de>, A::Error> {
    let kind = request.judged_kind();
    match kind.filter(|_| judged_operation(kind, &request.operation.0).is_some()) {
        Some(kind) => Ok(map.next_value_seed(kind)?.map_or(RawObject::Absent, RawObject::Decoded)),
        None => Ok(map.next_value::<Option<&RawValue>>()?.map_or(RawObject::Absent, RawObject::Text)),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Groups<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(GroupsVisitor)
    }
}

struct GroupsVisitor;

impl<'de> Visitor<'de> for GroupsVisitor {
    type Value = Groups<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of groups")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut groups = Groups::default();
        while groups.names.len() < GROUPS {
            let Some(Text(name)) = list.next_element()? else { return Ok(groups) };
            groups.names.push(name);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            groups.more = groups.more.checked_add(1).ok_or_else(|| de::Error::custom("too many groups"))?;
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_groups_are_kept_as_a_few_names_and_a_number() {
        let json = serde_json::to_string(&vec!["g\n"; 1_000_000]).unwrap();
        let groups: Groups<'_> = serde_json::from_str(&json).unwrap();
        assert_eq!((groups.names.len(), groups.more), (GROUPS, 1_000_000 - GROUPS));
        assert_eq!(groups.names[0], "g\n");
        assert_eq!(serde_json::from_str::<Groups<'_>>("[]").unwrap(), Groups::default());
        assert!(serde_json::from_str::<Groups<'_>>("[1]").is_err());
        let error = serde_json::from_str::<Groups<'_>>("1").unwrap_err().to_string();
        assert!(error.contains("expected a list of groups"), "{error}");
    }

    #[test]
    fn values_longer_than_the_api_server_sends_are_rejected() {
        let with = |field: &str, length: usize| {
            let mut review = serde_json::json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {"uid": "u", "kind": {"kind": "Pod"}, "operation": "CREATE",
                    "resource": {"version": "v1", "resource": "pods"}, "object": {"metadata": {}}},
            });
            let value = match field {
                "kind" => serde_json::json!({"kind": "x".repeat(length)}),
                "object" => serde_json::json!({"metadata": {"generateName": "x".repeat(length)}}),
                _ => "x".repeat(length).into(),
            };
            review["request"][field] = value;
            let body = review.to_string();
            decode(&Body::new(body.as_bytes())).map(drop).map_err(|error| error.to_string())
        };
        for (field, path, most) in [
            ("uid", "uid", 128),
            ("kind", "kind.kind", 63),
            ("namespace", "namespace", 63),
            ("name", "name", 253),
            ("object", "object.metadata.generateName", 253),
        ] {
            assert_eq!(with(field, most), Ok(()), "{field}");
            let expected =
                format!("request.{path} has {} bytes: the API server sends at most {most}", most + 1);
            assert_eq!(with(field, most + 1), Err(expected));
        }
        let long = format!(r#"{{"request": {{"uid": "{}"}}}}"#, "u".repeat(129));
        assert!(decode_without_object(&Body::new(long.as_bytes())).is_none());
    }

    #[test]
    fn a_request_is_decoded_without_its_object_as_far_as_possible() {
        let body = Body::new(
            br#"{"request": {"uid": "u", "kind": {"kind": "Pod"}, "namespace": "n", "operation": "CREATE",
            "userInfo": {"username": "eve", "groups": ["g"]}, "dryRun": true, "object": {"spec": []}}}"#,
        );
        let request = decode_without_object(&body).unwrap().request;
        assert_eq!((&*request.uid, &*request.kind, &*request.user), ("u", "Pod", "eve"));
        assert_eq!((request.groups.names.len(), request.dry_run, request.change), (1, true, None));
        let body = Body::new(br#"{"request": {"uid": "u", "namespace": 1}}"#);
        let request = decode_without_object(&body).unwrap().request;
        assert_eq!((&*request.uid, &*request.namespace), ("u", ""));
        for body in [&b"{}"[..], br#"{"request": {"uid": ""}}"#, b"[", br#"{"request": {"uid": 1}}"#] {
            assert!(decode_without_object(&Body::new(body)).is_none());
        }
    }
}
