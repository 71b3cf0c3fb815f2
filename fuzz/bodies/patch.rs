//! Patches: a patch applies to the object as received, makes what the edits ask for, and leaves nothing to patch.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lockstep::admission::{Body, Decision, edited, review};
use lockstep::change::Phase;
use serde_json::Value;

use super::review::SNAPSHOT;

pub(super) fn body(bytes: &[u8]) {
    // As the API server writes it: no name twice.
    let Ok(mut sent) = serde_json::from_slice::<Value>(bytes) else { return };
    let text = sent.to_string();
    let body = Body::new(text.as_bytes());
    let Ok(answered) = review(&body, Phase::Mutate, &SNAPSHOT) else { return };
    let Decision::Judged { verdict, patch: Some(_) } = &answered.decision else { return };
    let answer: Value = serde_json::from_slice(&answered.response).expect("an answer is JSON");
    let patch = BASE64_STANDARD.decode(answer["response"]["patch"].as_str().expect("there is a patch"));
    let patch: json_patch::Patch =
        serde_json::from_slice(&patch.expect("a patch is base64")).expect("a patch is a JSON patch");
    let received = sent["request"]["object"].clone();
    let mut patched = received.clone();
    json_patch::patch(&mut patched, &patch).expect("the patch applies to the object as received");
    assert_eq!(patched, edited(&received, &verdict.edits).expect("the edits apply"));

    sent["request"]["object"] = patched;
    let text = sent.to_string();
    let body = Body::new(text.as_bytes());
    match review(&body, Phase::Mutate, &SNAPSHOT).expect("the patched object is judged").decision {
        Decision::Judged { patch, .. } => assert_eq!(patch, None, "a second mutation changes nothing"),
        Decision::Undecodable { .. } => panic!("the patched object cannot be decoded"),
    }
}
