//! Public keys as OpenSSH's files have them, and what they are good for.

use ssh_key::PublicKey;
use ssh_key::public::KeyData;

/// Reads the kind of a key and the key in Base64, with white space between and perhaps a comment
/// behind them; `None` when that is no key, or when the kind is not the one of the key.
pub(super) fn read(text: &str) -> Option<KeyData> {
    let mut words = text.split_ascii_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let key = PublicKey::from_openssh(&format!("{kind} {key}")).ok()?;
    Some(key.into())
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Strength {
    /// Ed25519, ECDSA, and RSA of 2048 to 8192 bits.
    Strong,
    /// DSA, and RSA of another size.
    Weak,
    /// A certificate, a key that asks for a touch, or one of an unknown kind.
    Foreign,
}

/// How strong a key is. RSA of more than 8192 bits is weak in another way: whoever shows such a
/// key lets us compute.
pub(super) fn strength(key: &KeyData) -> Strength {
    match key {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) => Strength::Strong,
        KeyData::Rsa(key) if (2048..=8192).contains(&key.key_size()) => Strength::Strong,
        KeyData::Rsa(_) | KeyData::Dsa(_) => Strength::Weak,
        _ => Strength::Foreign,
    }
}

/// Keys for tests, as `ssh-keygen` wrote them.
#[cfg(test)]
pub(super) mod samples {
    pub(in crate::net::ssh) const ED25519: &str = "\
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM3GDOT1K0LBTyprpQ6ZLFwO22pJwtrdtDvUweMUu2Ow";
    pub(in crate::net::ssh) const OTHER_ED25519: &str = "\
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILHSh2mknd1MYhaNMh51KQS6aYJ9x5MBlFb2BV1tqE+/";
    pub(in crate::net::ssh) const ECDSA: &str = "\
    ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBPOaBVkcIQ0UbAyAkk\
    fNpCMejeGc6BiF/7DpetPqb8rOPRB8tYalGgA3r2taoQYtmrejkUjjuUJsf2W24zGYhyGMXvOuhuqABLKKH4SfQezH\
    pDZXFf8mxwq8yN74JTUcWg==";
    pub(in crate::net::ssh) const RSA: &str = "\
    ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCz/asT643JLAX87+EwvDfcimOvNBKAKaIQrIhrBLPPIXWGT86Bu8\
    XI7t0xRlEu4DVOJyPcRjhRsBBHqL7tSWKNKjgLzBiMaw+tM4znFIC/Gti0S2vuzXV/t1XY9h4obXda2dB9PYJfSNdv\
    KistWuMCsIMq9nSx8EyMAhvcJxFfahTrO3Z+bZVl9GvEpF+Ru/fQZa6wPV3NS5/qzRCnk6GHfX7BeCWlaHsmcgbAqw\
    kjvDKpdjJ7evwrg5qVA/khTQAot5Akio583b+EUh4xOofB8VFVvQyN9mt2iHzNZB1eNPUTfnIIAVR57yuu4O8uLVbT\
    uQd0c7+d4o21MquueF+X";
    pub(in crate::net::ssh) const SHORT_RSA: &str = "\
    ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCdBdtHeWnHyz47ERVzhBHUszJzudQvrN3wMXiTEG7wT8G57LUnbF\
    SwD3Q3sEiBtASyAgJ/Qnyk07xtT1SP2AfWklNDjpUN2S9OOznDACUOgrO+t7gondL5c6IpbJp/J2ZW59EsEf818ikF\
    oY1UsQ08t0bLT+OBXl6pwq7BIpjjAQ==";
    pub(in crate::net::ssh) const DSA: &str = "\
    ssh-dss AAAAB3NzaC1kc3MAAACBAO1hDM3iCMAIicE01GmeEdoeysxN+pE+g85HH8Z4nZ0TtlOgGVh9iKO1caw0RV\
    YTVOH96m7lZFb1wLIDQfuGY3242p7LVSxK42f9G+dlFdtfMGgJ+K4+t65eRPHnPRnQtjvwp5JnrpT+CvIJLFZG94I0\
    npBl13thqIGNYdqOidUNAAAAFQD5CAukEHPGZz8Cur01F/jQIO/NwwAAAIEAxfkH90hEhQvAzD5N9vbSa7mtvrPlXx\
    BYU9eKjWXX917u8QDXiokCHDbobetEQKrlUHTbnmeq4+jyXpCx4Afk4pJgk70LvFQvYGDm9DrDsDwb8SGndkP8e/RE\
    mGWZBkfncslttCpnHVlH13A2HaVUaKXiL9aARMqDl7se+PrIOnYAAACAQ0RC71mVD9w7XoqNF+8NyFXpHLFTOokyal\
    vLGEx1DY29Mhiw1FTtYetBrFuC5p6iWwDZLzCrsEo5isCIHDbzbhWIAp52TW8a4FYxpT+WPfRdUzPjd+eH21pdSt8G\
    o2zE9cwoOXuZksYbmgvjAK7CCcC+Sm7+fpY5MsojvUs3sgY=";
}
