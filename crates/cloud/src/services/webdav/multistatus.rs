//! Reads what a server answers to `PROPFIND`: the `multistatus` of RFC 4918, section 14.16.

use percent_encoding::percent_decode_str;
use quick_xml::{Reader, events::Event};

use crate::http::Failure;

/// What is asked for.
pub(super) const QUESTION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
    <propfind xmlns=\"DAV:\"><prop><resourcetype/><getcontentlength/><getetag/><getlastmodified/>\
    </prop></propfind>";

/// A file or a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path on the server, from the root, without percent signs.
    pub(super) path: Vec<String>,
    pub(super) is_folder: bool,
    pub(super) size: u64,
    /// When it was changed, by the server's clock, as HTTP writes dates.
    pub(super) modified: String,
}

impl Entry {
    /// The last part of its path.
    pub(super) fn name(&self) -> &str {
        self.path.last().map(String::as_str).unwrap_or_default()
    }
}

/// The entries of an answer, as they come.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Entry>, Failure> {
    let nonsense = || Failure::nonsense("no list of files");
    let text = std::str::from_utf8(body).map_err(|_| nonsense())?;
    let mut reader = Reader::from_str(text);
    let mut entries = Vec::new();
    let mut entry = Entry::default();
    let mut content = String::new();
    loop {
        match reader.read_event().map_err(|_| nonsense())? {
            Event::Start(tag) => {
                content.clear();
                match tag.local_name().as_ref() {
                    b"response" => entry = Entry::default(),
                    b"collection" => entry.is_folder = true,
                    _ => {}
                }
            }
            Event::Empty(tag) if tag.local_name().as_ref() == b"collection" => {
                entry.is_folder = true;
            }
            Event::Text(text) => content.push_str(&text.decode().map_err(|_| nonsense())?),
            Event::CData(text) => content.push_str(&text.decode().map_err(|_| nonsense())?),
            Event::GeneralRef(reference) => {
                let number = reference.resolve_char_ref().map_err(|_| nonsense())?;
                let name = reference.decode().map_err(|_| nonsense())?;
                content.push(number.or_else(|| named(&name)).ok_or_else(nonsense)?);
            }
            Event::End(tag) => match tag.local_name().as_ref() {
                b"href" if entry.path.is_empty() => entry.path = path(content.trim()),
                b"getcontentlength" => entry.size = content.trim().parse().unwrap_or_default(),
                b"getlastmodified" => entry.modified = content.trim().to_owned(),
                b"response" => entries.push(std::mem::take(&mut entry)),
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    // What is asked for is always in it itself, so there is no empty list; but a page of a proxy
    // is often well-formed.
    if entries.is_empty() { Err(nonsense()) } else { Ok(entries) }
}

/// The path of a reference, with or without the server before it.
fn path(href: &str) -> Vec<String> {
    let path = match href.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => href,
    };
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
}

/// The five characters that XML has names for.
fn named(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_write_it_each_in_their_own_way() {
        let entries = parse(
            br#"<?xml version='1.0' encoding='UTF-8'?>
            <ns0:multistatus xmlns:ns0="DAV:"><ns0:response><ns0:href>/a%20b/&amp;/</ns0:href>
            <ns0:propstat><ns0:prop><ns0:resourcetype><ns0:collection /></ns0:resourcetype>
            <ns0:getcontentlength/></ns0:prop><ns0:status>HTTP/1.1 200 OK</ns0:status>
            </ns0:propstat></ns0:response></ns0:multistatus>"#,
        );
        let folder = |path: &[&str]| Entry {
            path: path.iter().map(|p| (*p).to_owned()).collect(),
            is_folder: true,
            ..Entry::default()
        };
        assert_eq!(entries.unwrap(), [folder(&["a b", "&"])]);
        let entries = parse(
            br#"<multistatus xmlns="DAV:"><response><href>https://h:1/x/y</href><propstat><prop>
            <resourcetype></resourcetype><getcontentlength> 12 </getcontentlength>
            <getlastmodified>Wed, 21 Oct 2015 07:28:00 GMT</getlastmodified></prop></propstat>
            </response></multistatus>"#,
        );
        let entries = entries.unwrap();
        assert_eq!((entries[0].name(), entries[0].size, entries[0].is_folder), ("y", 12, false));
        assert_eq!(entries[0].modified, "Wed, 21 Oct 2015 07:28:00 GMT");
    }

    #[test]
    fn what_is_no_list_is_an_error_and_not_an_empty_one() {
        for text in ["", "<html><body>Sign in</body></html>", "<multistatus>&x;", "<multistatus/>"]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\xff").is_err());
    }
}
