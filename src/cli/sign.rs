//! `rutter keygen`, `rutter sign` and `rutter verify`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// `rutter keygen`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).args(["out", "public_of"])))]
pub struct Keygen {
    /// Where the private key goes; a file that is there is never written over
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where the public key goes [default: the private one's name with .pub behind it]
    #[arg(long, value_name = "FILE", requires = "out")]
    pub public: Option<PathBuf>,
    /// The kind of key; GoRTR's signature needs es256
    #[arg(long, value_parser = ["es256", "eddsa"], default_value = "es256")]
    pub algorithm: String,
    /// Print the public key of this private one instead
    #[arg(long, value_name = "FILE")]
    pub public_of: Option<PathBuf>,
}

pub(super) const KEYGEN_EXAMPLES: &str = "\
Examples:
  rutter keygen --out /etc/rutter/export.key
      Make a pair of keys: export.key, which only its owner may read, for `export.sign-key` and
      `export.gortr-key`, and export.key.pub, for `verify-key` of those who follow.
  rutter keygen --algorithm eddsa --out export.key --public export.pub
  rutter keygen --public-of export.key > export.pub
      The public key of a private one that is there; GoRTR's, from openssl, is one, too.

A change of keys: give the new public key to those who verify, beside the old one; then sign with
the new private key; then take the old public key away.

Exit status: 0 when the keys are made; 2 when they are not.";

/// `rutter sign`.
#[derive(Args, Debug)]
pub struct Sign {
    /// The document; `-` is standard input
    #[arg(value_name = "FILE")]
    pub document: PathBuf,
    /// The private key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Seconds for which the signature counts
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(60..=31_536_000))]
    pub valid: u64,
    /// Sign as GoRTR does: the document is written anew, with `signature` and `signatureDate`
    #[arg(long)]
    pub gortr: bool,
    /// Where the statement goes, or with --gortr the document [default: the document's name with
    /// .jws behind it, or standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

pub(super) const SIGN_EXAMPLES: &str = "\
Examples:
  rutter sign --key export.key rpki.json
      Write rpki.json.jws: a statement on rpki.json, to be served beside it. Sources with
      `verify-key` and `rutter verify` want one.
  rutter sign --key export.key --gortr --out signed.json rpki.json
      Write the document anew with the two signatures that GoRTR looks for, which stand in it.

A statement is a compact JWS (RFC 7515, ES256 or EdDSA) of the SHA-256 and the length of the exact
octets, the serial of the document, and the times from when and until when it counts. The octets
are those without compression, so that one statement is good for rpki.json and rpki.json.gz.
GoRTR's signatures are over the VRPs and two dates; nobody who goes by them should take anything
else from the document, and sources with `verify-scheme = \"gortr\"` do not.

Exit status: 0 when it is signed; 2 when it is not.";

/// `rutter verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// A file, http(s)://…, or a feed: feed+https://… or feed+file:FOLDER
    #[arg(value_name = "ENDPOINT|FILE")]
    pub what: String,
    /// A public key, repeatable; a signature by any of them is good
    #[arg(long, value_name = "FILE", required = true)]
    pub key: Vec<PathBuf>,
    /// How it is signed: by a statement beside it, or by GoRTR's fields in it; feeds have
    /// signatures of their own
    #[arg(long, value_parser = ["jws", "gortr"], default_value = "jws")]
    pub scheme: String,
    /// Seconds until it must be complete
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
}

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  rutter verify --key export.pub rpki.json
      Whether rpki.json.jws, beside it, is a good statement on rpki.json.
  rutter verify --key export.pub https://leader.example/rpki.json
  rutter verify --key gortr.pub --scheme gortr https://cache.example/rpki.json
  rutter verify --key leader.pub feed+https://leader.example/feed/
      The manifest of a feed, and every file that it needs to be followed.

Everything is read to its end. What a source with `verify-key` would take is good here.

Exit status: 0 when it is good; 1 when it is not: a signature that is bad, missing or no longer
counts, or octets that are not those that were signed; 2 when that cannot be known.";
