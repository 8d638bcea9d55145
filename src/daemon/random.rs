//! Randomness from the system.

use ring::rand::{SecureRandom, SystemRandom};

/// Random octets. Without a source of randomness the operating system is broken beyond what a
/// server can mend, so what there is comes from the clock then.
pub fn octets<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    if SystemRandom::new().fill(&mut octets).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.as_nanos()).to_be_bytes();
        for (octet, nano) in octets.iter_mut().zip(nanos.iter().rev()) {
            *octet = *nano;
        }
    }
    octets
}
