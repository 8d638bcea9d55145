//! Files with environment variables, as `/etc/default/stayrtr` is one.

/// The variables of a file: `NAME=VALUE` lines, `export` before them or not, values quoted or not,
/// comments and lines that go on after a backslash.
pub(super) fn variables(text: &str) -> Result<Vec<(String, String)>, String> {
    let joined = text.replace("\\\n", "");
    let mut variables = Vec::new();
    for line in joined.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("not of the form NAME=VALUE (found {line:?})"));
        };
        variables.push((name.trim().to_owned(), unquoted(value.trim())?));
    }
    Ok(variables)
}

/// A value without the quotes around it. Quotes further on are for whoever splits it into words.
fn unquoted(value: &str) -> Result<String, String> {
    if value.starts_with(['"', '\'']) {
        words(value).map(|words| words.join(" "))
    } else {
        Ok(value.to_owned())
    }
}

/// The words of a text, split where a shell does.
pub(super) fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    // `None` between two words; a word may be empty when it stands in quotes.
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            ('"' | '\'', None) => {
                word.get_or_insert_default();
                quote = Some(letter);
            }
            (letter, Some(open)) if letter == open => quote = None,
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_words_are_split_as_a_shell_does() {
        let text = "# x\nA=-bind :323 -x\nexport B=\"a b\"\nC='-u \"q\"' \nD=a\\\n b\nE=-x 'y z'\n";
        let read = variables(text).unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|(a, b)| (&**a, &**b)).collect();
        let expected = [
            ("A", "-bind :323 -x"),
            ("B", "a b"),
            ("C", "-u \"q\""),
            ("D", "a b"),
            ("E", "-x 'y z'"),
        ];
        assert_eq!(read, expected);
        let split = words("-a 'b c'd  \"e\"=f '' g\\ h").unwrap();
        assert_eq!(split, ["-a", "b cd", "e=f", "", "g h"]);
        assert!(words("'a").is_err());
        assert!(variables("just words").is_err());
    }
}
