//! Chunks make no difference, and an end that comes too soon is seen.

use super::{Random, all_own, assert_same, lenient, outcome, read, read_in};
use crate::json::Limits;

#[test]
fn chunks_make_no_difference() {
    let mut random = Random::new(3);
    for (name, document) in all_own() {
        let whole = outcome(read(&document));
        let octets = outcome(read_in(&document, &lenient(), &mut || 1));
        assert_same(&octets, &whole, &name);
        for most in [3, 50, 300, 70_000] {
            let size = &mut || 1 + random.below(most);
            let chunks = outcome(read_in(&document, &lenient(), size));
            assert_same(&chunks, &whole, &name);
        }
    }
}

#[test]
fn chunks_make_no_difference_at_the_limits() {
    let mut random = Random::new(4);
    for (name, document) in all_own() {
        if document.len() > 4000 {
            continue;
        }
        for _ in 0..100 {
            let limits = Limits {
                row_octets: 1 + random.below(200),
                token_octets: 8 + random.below(40),
                depth: 1 + random.below(6),
                rows: 1 + random.below(12),
                ..lenient()
            };
            let whole = outcome(read_in(&document, &limits, &mut || usize::MAX));
            let octets = outcome(read_in(&document, &limits, &mut || 1));
            assert_same(&octets, &whole, &format!("{name} {limits:?}"));
            let chunks = outcome(read_in(&document, &limits, &mut || 1 + random.below(60)));
            assert_same(&chunks, &whole, &format!("{name} {limits:?}"));
        }
    }
}

#[test]
fn a_document_that_is_cut_is_refused() {
    for (name, document) in all_own() {
        if document.len() > 4000 || read(&document).is_err() {
            continue;
        }
        let json = matches!(document.first(), Some(b'{' | b'['));
        let document = document.trim_ascii_end();
        for end in 0..document.len() {
            let cut = &document[..end];
            // At the end of a line nothing can tell.
            if json || !cut.ends_with(b"\n") {
                assert!(read(cut).is_err(), "{name} {end}");
                let chunks = read_in(cut, &lenient(), &mut || 61);
                assert!(chunks.is_err(), "{name} {end}");
            }
        }
    }
}
