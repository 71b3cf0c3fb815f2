//! A failing input made as small as it can be, for whoever must understand it.

/// The smallest text found that still fails: without documents, lines, words and bytes that do not matter.
pub fn shrunk(input: &[u8], fails: &mut dyn FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut smallest = input.to_vec();
    for separator in [&b"\n---\n"[..], b"\n", b" ", b""] {
        loop {
            let before = smallest.len();
            smallest = without_parts(&smallest, separator, fails);
            if smallest.len() == before {
                break;
            }
        }
    }
    smallest
}

/// The text without those of its parts that do not matter, long runs of them first (`ddmin`, Zeller 2002).
fn without_parts(text: &[u8], separator: &[u8], fails: &mut dyn FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut parts = parts(text, separator);
    let mut run = parts.len();
    while run > 0 {
        let mut at = 0;
        while at < parts.len() {
            let mut fewer = parts.clone();
            fewer.drain(at..(at + run).min(parts.len()));
            if fails(&fewer.join(separator)) {
                parts = fewer;
            } else {
                at += run;
            }
        }
        run /= 2;
    }
    parts.join(separator)
}

fn parts<'t>(text: &'t [u8], separator: &[u8]) -> Vec<&'t [u8]> {
    if separator.is_empty() {
        return text.chunks(1).collect();
    }
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at + separator.len() <= text.len() {
        if &text[at..at + separator.len()] == separator {
            parts.push(&text[start..at]);
            at += separator.len();
            start = at;
        } else {
            at += 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

#[test]
fn a_failing_input_is_shrunk_to_what_matters() {
    let text = b"a: 1\n---\nkind: Pod\nname: x yz\n---\nb: 2\n";
    let shrunk = shrunk(text, &mut |text| text.windows(2).any(|pair| pair == b"yz"));
    assert_eq!(shrunk, b"yz");
}
