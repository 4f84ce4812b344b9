//! A directory as a compressed archive that is made while it is sent and unpacked while it is
//! received: tar on flate2 on the stream.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    thread,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use mkcp_ecosystem::Duplex;
use tempfile::tempdir;

use crate::{pattern::pattern, transport::Transport};

pub fn tar_and_flate2_move_a_directory<T: Transport>() {
    let (original, copy) = (tempdir().unwrap(), tempdir().unwrap());
    make_tree(original.path());
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| {
            unpack(&server, copy.path());
            server.shared().write_all(b"done").unwrap();
        });
        pack(&client, original.path());
        let mut answer = [0; 4];
        client.shared().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"done");
    });
    let (sent, received) = (tree(original.path()), tree(copy.path()));
    assert!(sent.keys().eq(received.keys()), "{:?}", received.keys());
    for (name, entry) in &sent {
        assert!(received[name] == *entry, "{} differs", name.display());
    }
}

fn pack<S: Duplex>(stream: &S, directory: &Path) {
    let encoder = GzEncoder::new(stream.shared(), Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    builder.follow_symlinks(false);
    builder.append_dir_all("", directory).unwrap();
    // The trailer of gzip is what ends the stream.
    builder.into_inner().unwrap().finish().unwrap();
}

fn unpack<S: Duplex>(stream: &S, directory: &Path) {
    let decoder = GzDecoder::new(BufReader::new(stream.shared()));
    let mut archive = tar::Archive::new(decoder);
    archive.set_preserve_permissions(true);
    archive.unpack(directory).unwrap();
    // The archive ends before the gzip stream does, whose checksum counts too.
    io::copy(&mut archive.into_inner(), &mut io::sink()).unwrap();
}

fn make_tree(root: &Path) {
    let deep = root.join("a/b/c/d");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir(root.join("empty directory")).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    fs::write(root.join("text"), "the same again\n".repeat(50_000)).unwrap();
    fs::write(deep.join("incompressible"), pattern(3_000_000, 1)).unwrap();
    fs::write(deep.join("n".repeat(150)), b"longer than a header of tar").unwrap();
    for number in 0..200 {
        let file = root.join("a").join(number.to_string());
        fs::write(file, pattern(number * 37, number as u64)).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        symlink("../text", root.join("a/link")).unwrap();
        let program = root.join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o750)).unwrap();
    }
}

/// What a directory holds, by path.
fn tree(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            let content = if kind.is_symlink() {
                Content::Link(fs::read_link(&path).unwrap())
            } else if kind.is_dir() {
                pending.push(path.clone());
                Content::Directory
            } else {
                Content::File(fs::read(&path).unwrap())
            };
            let name = path.strip_prefix(root).unwrap().to_owned();
            entries.insert(name, Entry::new(&kind, content));
        }
    }
    entries
}

#[derive(PartialEq)]
struct Entry {
    content: Content,
    mode: u32,
}

#[derive(PartialEq)]
enum Content {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

impl Entry {
    #[cfg(unix)]
    fn new(kind: &fs::Metadata, content: Content) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let mode = kind.permissions().mode();
        Self { content, mode }
    }

    #[cfg(not(unix))]
    fn new(_: &fs::Metadata, content: Content) -> Self {
        Self { content, mode: 0 }
    }
}
