//! What can still be told of a review whose object cannot be read: whom to answer, and who asked for what.

use serde::Deserialize;

use super::{Groups, Request};

#[derive(Deserialize)]
struct Review<R> {
    request: R,
}

#[derive(Deserialize)]
struct Uid {
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Outline<'a> {
    kind: Kind,
    namespace: Option<String>,
    name: Option<String>,
    operation: Option<String>,
    #[serde(borrow)]
    user_info: User<'a>,
    dry_run: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kind {
    kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User<'a> {
    username: Option<String>,
    #[serde(borrow)]
    groups: Option<Groups<'a>>,
}

/// The request, with no more of it than can be read; `None` if there is no uid to answer to.
pub(super) fn of(body: &[u8]) -> Option<Request<'_>> {
    let review: Review<Uid> = serde_json::from_slice(body).ok()?;
    let uid = Some(review.request.uid).filter(|uid| !uid.is_empty())?;
    let outline: Option<Review<Outline<'_>>> = serde_json::from_slice(body).ok();
    let outline = outline.map(|review| review.request).unwrap_or_default();
    Some(Request {
        uid: uid.into(),
        kind: outline.kind.kind.unwrap_or_default().into(),
        namespace: outline.namespace.unwrap_or_default().into(),
        name: outline.name.unwrap_or_default().into(),
        operation: outline.operation.unwrap_or_default().into(),
        user: outline.user_info.username.unwrap_or_default().into(),
        groups: outline.user_info.groups.unwrap_or_default(),
        dry_run: outline.dry_run.unwrap_or_default(),
        change: None,
    })
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn what_can_be_read_is_kept() {
        let request = of(
            br#"{"request": {"uid": "u", "kind": {"kind": "Pod"}, "namespace": "n", "operation": "CREATE",
            "userInfo": {"username": "eve", "groups": ["g"]}, "dryRun": true, "object": {"spec": []}}}"#,
        );
        let request = request.unwrap();
        assert_eq!((&*request.uid, &*request.kind, &*request.user), ("u", "Pod", "eve"));
        assert_eq!((request.groups.names.len(), request.dry_run, request.change), (1, true, None));
        let request = of(br#"{"request": {"uid": "u", "namespace": 1}}"#).unwrap();
        assert_eq!((&*request.uid, &*request.namespace), ("u", ""));
        for nobody in [&b"{}"[..], br#"{"request": {"uid": ""}}"#, b"[", br#"{"request": {"uid": 1}}"#] {
            assert!(of(nobody).is_none());
        }
    }
}
