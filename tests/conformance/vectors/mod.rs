//! The vector files, each in full; the counts are asserted so that nothing is skipped silently.

mod aspa;
mod ordering;
mod pdus;
mod rov;
mod serials;
mod slurm;
mod versions;

use rutter::rtr::Version;
use serde_json::Value;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The cases of a list of a file, which must be as many as the file's index says.
fn cases<'a>(file: &'a Value, list: &str, count: usize) -> &'a [Value] {
    let cases = file[list].as_array().unwrap();
    assert_eq!(cases.len(), count, "{list}");
    cases
}

fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap()
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    T::try_from(value.as_u64().unwrap()).ok().unwrap()
}

fn version(value: &Value) -> Version {
    Version::from_octet(number(value)).unwrap()
}

fn octets(value: &Value) -> Vec<u8> {
    crate::pair::hex(value.as_str().unwrap())
}
