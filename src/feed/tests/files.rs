//! Single files.

use std::io::{self, Read};

use super::super::attributes;
use super::super::snapshot::{self, SnapshotReader};
use super::super::{FeedError, Octets, Sealed, delta};
use super::{Random, attributes_of, data, sealed, serials, written};
use crate::payload::{Asn, Delta, Kind, Kinds, PayloadSet, Vrp};
use crate::rtr::image::Image;
use crate::rtr::pdu::{Action, Pdu};
use crate::rtr::{ProtocolError, Version};
use crate::sign::Digest;

fn read(file: Octets<'_>, chunk: usize) -> Result<PayloadSet, FeedError> {
    let mut reader = SnapshotReader::new(file.digest);
    for piece in file.octets.chunks(chunk) {
        reader.push(piece)?;
    }
    reader.finish(Digest::of(file.octets))
}

fn vrp(text: &str, asn: u32) -> Vrp {
    Vrp::new(text.parse().unwrap(), 24, Asn::new(asn)).unwrap()
}

fn pdus(list: &[Pdu]) -> Vec<u8> {
    let octets = list.iter().map(|pdu| pdu.octets(Version::V2));
    octets.collect::<Vec<_>>().concat()
}

fn prefix(action: Action, text: &str) -> Pdu {
    let vrp = vrp(text, 1);
    Pdu::Prefix { action, vrp }
}

#[test]
fn a_snapshot_is_what_a_router_receives() {
    let mut random = Random::new(1);
    for _ in 0..50 {
        let data = data(&mut random);
        let set = data.payload();
        let octets = written(|out| snapshot::write(set, out));
        let image = Image::full(Version::V2, set);
        let segments: Vec<u8> = image.segments(Kinds::ALL).flatten().copied().collect();
        assert_eq!(octets, segments);
        let file = sealed(&octets);
        assert_eq!(snapshot::digest(set), file.digest);
        for chunk in [1, 7, 4_096] {
            assert_eq!(read(file, chunk).as_ref(), Ok(set));
        }
    }
}

#[test]
fn a_large_set_is_written_in_pieces() {
    let mut most = 0;
    struct Pieces<'a>(&'a mut usize);
    impl io::Write for Pieces<'_> {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            *self.0 = (*self.0).max(octets.len());
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let vrps = (0..20_000).rev().map(|number| {
        let vrp = Vrp::new(
            format!("10.0.0.0/{}", 8).parse().unwrap(),
            8,
            Asn::new(number),
        );
        match vrp.unwrap() {
            Vrp::V4(vrp) => vrp,
            Vrp::V6(_) => unreachable!(),
        }
    });
    let set = PayloadSet::from_records(vrps.collect(), Vec::new(), Vec::new(), Vec::new());
    let mut out = Sealed::new(Pieces(&mut most));
    snapshot::write(&set.unwrap(), &mut out).unwrap();
    assert_eq!(out.finish().octets, 400_000);
    assert!(most < 70_000, "{most}");
}

#[test]
fn the_octets_of_a_step_are_these() {
    let set = |list: &[&str]| {
        let mut vrps = Vec::new();
        for text in list {
            if let Vrp::V4(vrp) = vrp(text, 1) {
                vrps.push(vrp);
            }
        }
        PayloadSet::from_records(vrps, Vec::new(), Vec::new(), Vec::new()).unwrap()
    };
    let step = Delta::between(
        &set(&["10.2.0.0/24", "10.1.0.0/24"]),
        &set(&["10.3.0.0/24"]),
    );
    let octets = written(|out| delta::write(&step, out));
    #[rustfmt::skip]
    let expected = [
        2, 4, 0, 0, 0, 0, 0, 20, 1, 24, 24, 0, 10, 3, 0, 0, 0, 0, 0, 1,
        2, 4, 0, 0, 0, 0, 0, 20, 0, 24, 24, 0, 10, 1, 0, 0, 0, 0, 0, 1,
        2, 4, 0, 0, 0, 0, 0, 20, 0, 24, 24, 0, 10, 2, 0, 0, 0, 0, 0, 1,
    ];
    assert_eq!(octets, expected);
    assert_eq!(delta::read(sealed(&octets), None), Ok(step));
}

#[test]
fn steps_come_back_with_what_they_replace() {
    let mut random = Random::new(2);
    let (mut with, mut without) = (0, 0);
    for _ in 0..40 {
        let serials = serials(&mut random, 3);
        for entry in serials.last().unwrap().entries() {
            let step = entry.delta();
            let octets = written(|out| delta::write(step, out));
            let replaced = written(|out| delta::write_replaced(step, out));
            let second = delta::replaces(step).then(|| sealed(&replaced));
            assert_eq!(delta::read(sealed(&octets), second).as_ref(), Ok(step));
            if second.is_none() {
                without += 1;
                assert!(replaced.is_empty());
                continue;
            }
            with += 1;
            // Without the second file it is another step, or none at all.
            assert_ne!(delta::read(sealed(&octets), None).as_ref(), Ok(step));
        }
    }
    assert!(with > 20 && without > 0, "{with} {without}");
}

#[test]
fn a_changed_bit_or_a_cut_is_always_found() {
    let mut random = Random::new(3);
    let serials = serials(&mut random, 4);
    let last = serials.last().unwrap();
    let set = snapshot::digest(last.payload());
    let step = last.entries().find(|entry| delta::replaces(entry.delta()));
    let step = step.unwrap().delta();
    let files = [
        written(|out| snapshot::write(last.payload(), out)),
        written(|out| delta::write(step, out)),
        written(|out| delta::write_replaced(step, out)),
        written(|out| attributes::write(last.data(), &set, out)),
    ];
    let [_, plain, replaced, _] = &files;
    let readable = |number: usize, octets: &[u8]| {
        let digest = sealed(&files[number]).digest;
        let file = Octets { octets, digest };
        match number {
            0 => read(file, 100).is_ok(),
            1 => delta::read(file, Some(sealed(replaced))).is_ok(),
            2 => delta::read(sealed(plain), Some(file)).is_ok(),
            _ => attributes_of(file).is_ok(),
        }
    };
    for (number, file) in files.iter().enumerate() {
        assert!(readable(number, file));
        for bit in 0..file.len() * 8 {
            let mut octets = file.clone();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert!(!readable(number, &octets), "bit {bit} of file {number}");
        }
        for length in 0..file.len() {
            assert!(
                !readable(number, &file[..length]),
                "{length} of file {number}"
            );
        }
        let longer = [&file[..], &file[..1]].concat();
        assert!(!readable(number, &longer));
    }
}

#[test]
fn what_has_the_right_digest_is_still_looked_at() {
    let comes = |text| prefix(Action::Announce, text);
    let goes = |text| prefix(Action::Withdraw, text);
    let snapshot = |octets: &[u8]| read(sealed(octets), 64).unwrap_err();
    let step = |octets: &[u8]| delta::read(sealed(octets), None).unwrap_err();
    let order = |offset, kind| FeedError::Order { offset, kind };
    let pdu = |offset, cause| FeedError::Pdu { offset, cause };

    let (a, b) = ("10.2.0.0/24", "10.1.0.0/24");
    assert_eq!(
        snapshot(&pdus(&[comes(b), comes(a)])),
        order(20, Kind::Ipv4)
    );
    assert_eq!(
        snapshot(&pdus(&[comes(a), comes(a)])),
        order(20, Kind::Ipv4)
    );
    let v6 = "2001:d00::/24";
    assert_eq!(
        snapshot(&pdus(&[comes(v6), comes(a)])),
        order(32, Kind::Ipv4)
    );
    let foreign = pdu(20, ProtocolError::UnknownWithdrawal);
    assert_eq!(snapshot(&pdus(&[comes(a), goes(b)])), foreign);
    let reset = pdu(0, ProtocolError::Unexpected { pdu_type: 8 });
    assert_eq!(snapshot(&pdus(&[Pdu::CacheReset])), reset);
    let mut other = pdus(&[comes(a)]);
    other[0] = 1;
    let version = ProtocolError::UnexpectedVersion { found: 1 };
    assert_eq!(snapshot(&other), pdu(0, version));
    for place in [2, 3, 11] {
        let mut reserved = pdus(&[comes(a)]);
        reserved[place] = 1;
        assert_eq!(snapshot(&reserved), FeedError::Reserved { offset: 0 });
    }
    let mut flags = pdus(&[comes(a)]);
    flags[8] = 3;
    assert_eq!(snapshot(&flags), FeedError::Reserved { offset: 0 });
    let cut = pdus(&[comes(a), comes(b)]);
    assert_eq!(snapshot(&cut[..39]), FeedError::Truncated { offset: 20 });
    let mut long = pdus(&[comes(a)]);
    long[5] = 1;
    let length = ProtocolError::Length {
        pdu_type: 4,
        found: 65_536 + 20,
    };
    assert_eq!(snapshot(&long), pdu(0, length));

    // Withdrawals are in the reverse order, and behind the announcements of their kind.
    assert_eq!(step(&pdus(&[goes(a), goes(b)])), order(20, Kind::Ipv4));
    assert_eq!(step(&pdus(&[goes(b), goes(b)])), order(20, Kind::Ipv4));
    assert_eq!(step(&pdus(&[goes(b), comes(a)])), order(20, Kind::Ipv4));
    let contradiction = FeedError::Contradiction;
    assert_eq!(step(&pdus(&[comes(a), goes(a)])), contradiction(Kind::Ipv4));
    let customer = Asn::new(5);
    // A customer cannot lose what it did not have.
    let lost = pdus(&[Pdu::WithdrawAspa { customer }]);
    assert_eq!(step(&lost), contradiction(Kind::Aspa));
    let second = pdus(&[comes(a)]);
    let second = delta::read(sealed(&lost), Some(sealed(&second)));
    assert_eq!(second, Err(contradiction(Kind::Ipv4)));
}

#[test]
fn no_more_is_read_than_was_announced() {
    let octets = pdus(&[prefix(Action::Announce, "10.2.0.0/24")]);
    let digest = sealed(&octets).digest;
    let (expected, found) = (20, 21);
    let wrong = FeedError::Length { expected, found };
    let mut reader = SnapshotReader::new(digest);
    reader.push(&octets).unwrap();
    assert_eq!(reader.push(&[2]), Err(wrong));
}

#[test]
fn attributes_belong_to_one_set() {
    let mut random = Random::new(4);
    let (one, other) = (data(&mut random), data(&mut random));
    let set = snapshot::digest(one.payload());
    let octets = written(|out| attributes::write(&one, &set, out));
    let read = || attributes_of(sealed(&octets)).unwrap();
    assert_eq!(read().join(one.payload().clone(), &set).as_ref(), Ok(&one));
    let wrong = snapshot::digest(other.payload());
    let refused = read().join(other.payload().clone(), &wrong);
    assert_eq!(refused, Err(FeedError::OtherSet));
    // 4 octets of magic, 4 of version, 32 of digest, 16 of counts: then the names.
    for (place, octet, what) in [
        (0, b'X', "another kind of file"),
        (7, 2, "an unknown version"),
        (55, 99, "the file is cut off"),
        (55, 0, "more than there are payloads"),
        (57, 1, "too many trust anchors"),
        (56 + 8, 0xff, "a name that is not UTF-8"),
        (octets.len() - 4, 0xff, "an unknown trust anchor"),
    ] {
        let mut wrong = octets.clone();
        wrong[place] = octet;
        let error = attributes_of(sealed(&wrong)).unwrap_err();
        assert_eq!(error, FeedError::Attributes(what), "{place}");
    }
    for length in 0..octets.len() {
        assert!(attributes_of(sealed(&octets[..length])).is_err());
        // A connection that breaks is not a file that is wrong.
        let mut broken = octets[..length].chain(Broken);
        let error = attributes::read(&mut broken, sealed(&octets).digest).unwrap_err();
        assert_eq!(error.to_string(), "gone", "{length}");
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "gone"))
    }
}
