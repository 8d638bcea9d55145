//! Patterns as OpenSSH's files have them: `*` stands for any octets, `?` for one.

/// Whether a pattern fits the whole of a text. Case counts. Costs at most the product of both
/// lengths.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // What follows the last `*`, and from where on it is to fit next.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', after)), _) => {
                retry = Some((after, text));
                pattern = after;
            }
            (Some((wanted, after)), Some((octet, left))) if *wanted == b'?' || wanted == octet => {
                (pattern, text) = (after, left);
            }
            (None, None) => return true,
            _ => {
                let Some((after, [_, left @ ..])) = retry else {
                    return false;
                };
                retry = Some((after, left));
                (pattern, text) = (after, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_fit() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("abc", "abc", true),
            ("abc", "abd", false),
            ("?", "", false),
            ("?", "a", true),
            ("?", "ab", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*b", "abc", false),
            ("a*c*e", "abcde", true),
            ("a*c*f", "abcde", false),
            ("*aab", "aaaaab", true),
            ("a?c*", "abc", true),
            ("**?", "", false),
            ("192.0.2.*", "192.0.2.1", true),
            ("192.0.2.*", "192.0.20.1", false),
            ("[*]:22??", "[h]:2222", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!fits(&pattern, &"a".repeat(1_000)));
    }
}
