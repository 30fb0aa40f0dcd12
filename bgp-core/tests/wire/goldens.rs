//! Golden messages: `golden/*.hex` hold octets with a comment for each field, `golden/*.txt` what
//! they mean. `UPDATE_GOLDEN=1` writes the texts anew.
//!
//! A line `# how:` says on which session the message is read (`external`, `two-octet`, `add-path`,
//! `extended-next-hop`; without any: internal, four octets), and what writing gives: the same
//! octets, or `one-way` other octets of the same meaning, or with `faulty` nothing.

use crate::{both, internal, read, writing};
use bgp_core::wire::{Context, EncodeError, Message, encode_message, frame};
use bytes::BytesMut;
use std::path::{Path, PathBuf};
use std::{env, fs};

struct Golden {
    path: PathBuf,
    octets: Vec<u8>,
    context: Context,
    is_one_way: bool,
    is_faulty: bool,
}

fn goldens() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/golden");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .collect();
    paths.sort();
    paths.into_iter().map(golden).collect()
}

fn golden(path: PathBuf) -> Golden {
    let text = fs::read_to_string(&path).unwrap();
    let mut golden = Golden {
        path,
        octets: Vec::new(),
        context: internal(),
        is_one_way: false,
        is_faulty: false,
    };
    for line in text.lines() {
        if let Some(how) = line.strip_prefix("# how: ") {
            how.split_whitespace().for_each(|word| golden.how(word));
        }
        let digits = line.split('#').next().unwrap().split_whitespace();
        golden
            .octets
            .extend(digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()));
    }
    golden
}

impl Golden {
    fn how(&mut self, word: &str) {
        match word {
            "external" => self.context.internal = false,
            "two-octet" => self.context.four_octet_as = false,
            "add-path" => self.context.add_path = both(),
            "extended-next-hop" => self.context.extended_next_hop = both(),
            "one-way" => self.is_one_way = true,
            "faulty" => self.is_faulty = true,
            other => panic!("{}: what is {other}?", self.path.display()),
        }
    }

    fn check(&self) {
        let name = self.path.display();
        let message = read(&self.octets, &self.context).unwrap();
        let text = format!("{message:#?}\n");
        let expected = self.path.with_extension("txt");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        let expected = fs::read_to_string(expected).unwrap_or_default();
        assert_eq!(text, expected, "{name}");

        let mut out = BytesMut::new();
        let written = encode_message(&message, &writing(&self.context), &mut out);
        if self.is_faulty {
            assert_eq!(written, Err(EncodeError::NotOneMessage), "{name}");
            return;
        }
        assert_eq!(written, Ok(()), "{name}");
        assert_eq!(
            out != self.octets[..],
            self.is_one_way,
            "{name}: {out:02x?}"
        );
        assert_eq!(read(&out, &self.context), Ok(message), "{name}");
    }
}

#[test]
fn golden_messages_are_read_and_written_as_ever() {
    let goldens = goldens();
    assert!(goldens.len() > 40, "{} golden messages", goldens.len());
    goldens.iter().for_each(Golden::check);
}

/// Cut anywhere, a message is incomplete; with its length adjusted it is an error or says
/// something else.
#[test]
fn a_golden_message_cut_at_any_octet_is_never_taken_for_whole() {
    for golden in goldens() {
        let whole = read(&golden.octets, &golden.context).unwrap();
        for length in 0..golden.octets.len() {
            let mut cut = golden.octets[..length].to_vec();
            assert_eq!(frame(&cut, golden.context.max_len), Ok(None));
            if length >= 19 {
                cut[16..18].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
                let read: Result<Message, _> = read(&cut, &golden.context);
                assert_ne!(read.as_ref(), Ok(&whole), "{}", golden.path.display());
            }
        }
    }
}
