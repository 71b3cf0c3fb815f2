//! Property tests: values and places agree, and no text panics.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Any JSON value, with strings and keys that are hard for YAML.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,6}",
        Just("yes".to_owned()),
        Just("017".to_owned()),
        Just("<<".to_owned()),
        Just("a: b\n# c\n".to_owned()),
        Just("é\u{1F600}\ttab".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..5)
                .prop_map(|map: BTreeMap<String, Value>| Value::from(serde_json::Map::from_iter(map))),
        ]
    })
}

/// Asserts that the text at the place of every value, read alone, is the value again.
fn check_places(document: &Document, value: &Value, path: &mut Vec<String>) -> Result<(), TestCaseError> {
    let place = document.positions.find(&*path);
    prop_assert!(place.is_exact, "{path:?} has no place");
    match value {
        Value::Object(fields) => {
            for (key, below) in fields {
                path.push(key.clone());
                let at = document.positions.find(&*path).key.unwrap();
                prop_assert_eq!(
                    reread(document.source.slice(at)),
                    Value::from(key.as_str()),
                    "key {:?}",
                    path
                );
                check_places(document, below, path)?;
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, below) in items.iter().enumerate() {
                path.push(index.to_string());
                check_places(document, below, path)?;
                path.pop();
            }
        }
        scalar => {
            let text = document.source.slice(place.value);
            // The text of a block scalar has another meaning without its header.
            let is_block = scalar.as_str().is_some_and(|text| text.contains('\n')) && !text.starts_with('"');
            if !is_block {
                prop_assert_eq!(&reread(text), scalar, "{:?}", path);
            }
        }
    }
    Ok(())
}

/// A scalar, read as the only one of its document.
fn reread(text: &str) -> Value {
    let documents = parsed(&format!("a: {text}\n"));
    documents[0].value["a"].clone()
}

proptest! {
    #[test]
    fn values_and_places_agree_in_json(value in value(), pretty in any::<bool>()) {
        let root = json!({"root": value});
        let text = if pretty { serde_json::to_string_pretty(&root) } else { serde_json::to_string(&root) }.unwrap();
        let document = &parsed(&format!("{text}\n{text}"))[1];
        prop_assert_eq!(&document.value, &root);
        check_places(document, &root, &mut Vec::new())?;
    }

    #[test]
    fn values_and_places_agree_in_yaml(value in value()) {
        let root = json!({"root": value});
        let text = serde_saphyr::to_string(&root).unwrap();
        let documents = parsed(&format!("# comment\n---\n{text}---\n{text}"));
        prop_assert_eq!(documents.len(), 2);
        prop_assert_eq!(&documents[1].value, &root, "{}", text);
        check_places(&documents[1], &root, &mut Vec::new())?;
    }

    #[test]
    fn any_text_is_read_or_rejected_without_a_panic(text in "\\PC{0,60}|[\\[\\]{}:,&*#|>'\"a\n -]{0,40}") {
        for problem in parse(&text).problems {
            prop_assert!(!problem.to_string().is_empty());
            let (source, span) = problem.at.unwrap();
            prop_assert!(source.text().get(span.start..span.end).is_some(), "{span:?} of {text:?}");
        }
    }
}
