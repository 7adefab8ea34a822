//! After `lock` no key is in the memory of the process. One test in a process of its own: whatever
//! else runs beside it would leave copies that are none of its business.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::sync::Arc;

use kv_core::{
    Key, KvStore, KvStoreExt, Namespace,
    testing::memory::{Needle, scan},
};
use kv_fs::{FsStore, Settings, disk::SimDisk};
use vault::{Passphrase, RootSecret, SealedStore, Words};
use zeroize::Zeroizing;

/// A root secret, and what `docs/src/formats/envelope-v1.md` derives from it.
const ROOT: &str = "88549246920da405dc1be4622bfd908dd8c083bbf9c6ba1685a83388a85099f8";

/// What an unlocked wallet holds. Of keys that messages are hashed under, the two states of SHA-256
/// after the padded key, as a little-endian machine holds them.
fn held() -> Vec<Needle> {
    [
        ("at-rest encryption", "a92cdde17bcba22b09e65895b25ab0d9d2c56c308fd2360659d8066319a65483"),
        (
            "at-rest commitment, first state",
            "eb521698071cd9fc56ab4eacbcb1cd1a8b9e42cb35d38dd4ce0deb052d3ad5c9",
        ),
        (
            "at-rest commitment, second state",
            "b6d3d2a87e586c4d1ecbfd04c9efb932d333340518b761c8eb038bccaec2c65d",
        ),
        (
            "at-rest names, first state",
            "2a60fe342eccb4367969348283ab5b95dad7d2585c15c2ae46d2130ed51a6ad6",
        ),
        (
            "at-rest names, second state",
            "0864b3cc1a2af08b8330c48457030397638ba2c0f1a0beaaee416b3ab39db9af",
        ),
        ("backup encryption", "5b427a76c865a5cf66aaac817a357295066bb87db33171e2b16a387e1321c3e6"),
        (
            "backup commitment, first state",
            "2bbcde618a66110c7568b66730da8990f276276dd1b99a81cfbcfc3c2237866c",
        ),
        (
            "backup commitment, second state",
            "4efba8a3b22ec7594cef4a1c075cfa34009a3ddcfe4f47f54daf92a2d7c0c2cb",
        ),
        (
            "backup digest, first state",
            "b9471ee43a1556a2e9f717ca9c4c1654117ad06c1a6148f6b0904fdd458fbf53",
        ),
        (
            "backup digest, second state",
            "4f44f6bf49a24dadba92031e181bb882d4fc655e945e68c1b95ca86948355338",
        ),
        ("cloud identity", "b135a86d0fd25c143d0ba16f33f0f8f873d6d172736f4d4d71078d7438a96dcf"),
        ("app", "f7d361b3699e0f17925bc9b1ce4e460ee14174e49a5fbde33cda1dc1c52ee18b"),
    ]
    .map(|(name, digits)| Needle::hex(name, digits))
    .into()
}

/// What is needed on the way, and must be gone once the wallet is unlocked.
fn passing() -> Vec<Needle> {
    [
        ("root", ROOT),
        ("at-rest content", "5cd6254c9716c4daece1aaf0860c1e587b45c68ec829b231f1926316001ff986"),
        ("backup content", "7f8517d379d77eb311aea3e4f84eff50a0666d2c5a7af9e3b0eb0d109ec0225b"),
        ("at-rest commitment", "0c1fe154a1a784a6f97ef2337163fe1fad417cf49ea819c99cf30002af9235da"),
        ("backup commitment", "ce29d4230815257a65f2a15c492808be19bba048ea4214d670c64fc4df68c3fb"),
        (
            "at-rest commitment, extracted",
            "765f45552dc168a14560130479f8088d08cb84b8a9331607f41a67c3079ba216",
        ),
        ("at-rest names", "0f0b70ea37b4bc21801272506a6104c470a6b82481dce305acb10841a336678b"),
        (
            "backup commitment, extracted",
            "460a0bc5ddba49fa92f847c2f68125e675fc476a330962c4da43f87b951b8967",
        ),
        ("backup digest", "93e5f2c16d50fc42da0bc5b820129fee5151184d61f909a51ddaa6b1772c4fe8"),
        // "a passphrase that is only looked for"
        (
            "passphrase",
            "612070617373706872617365207468617420697320\
             6f6e6c79206c6f6f6b656420666f72",
        ),
    ]
    .map(|(name, digits)| Needle::hex(name, digits))
    .into()
}

/// Words, what BIP-39 makes of them, and the root secret of that.
const WORDS: &str = "void come effort suffer camp survey warrior heavy shoot primary clutch crush \
                     open amazing screen patrol group space point ten exist slush involve unfold";

fn of_words() -> Vec<Needle> {
    [
        (
            "indices of the words",
            "ac0770013502c5060601d506ba075303340655056401a801\
             d9043e000c060905370382063a05f7067e026206b1036907",
        ),
        ("entropy", "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f"),
        (
            "seed",
            "b873212f885ccffbf4692afcb84bc2e55886de2dfa07d90f5c3c239abc31c0a6\
             ce047e30fd8bf6a281e71389aa82d73df74c7bbfb3b06b4639a5cee775cccd3c",
        ),
        ("root of words", "51111caee0bbddc2e4e24cafd365cf9c3ecbaee0f1b12e2741f49c47dc4bcf73"),
    ]
    .map(|(name, digits)| Needle::hex(name, digits))
    .into()
}

/// The names of what is in memory.
fn found(needles: &[Needle]) -> Vec<&'static str> {
    let mut names: Vec<_> = scan(needles).unwrap().into_iter().map(|(name, _)| name).collect();
    names.dedup();
    names
}

fn sorted(needles: &[Needle]) -> Vec<&'static str> {
    let mut names: Vec<_> = needles.iter().map(Needle::name).collect();
    names.sort_unstable();
    names
}

/// The passphrase is turned round here, so that the program's own text does not hold it.
fn passphrase() -> Passphrase {
    let turned = "rof dekool ylno si taht esarhpssap a";
    let mut text = Zeroizing::new(String::with_capacity(turned.len()));
    text.extend(turned.chars().rev());
    Passphrase::new(&text).unwrap()
}

fn use_it(store: &SealedStore) {
    let ns = Namespace::new("notes", "").unwrap();
    for n in 0..600 {
        store.write(&ns, &Key::number(n), vec![n as u8; 100]).unwrap();
    }
    assert_eq!(store.read(&ns, &Key::number(7)).unwrap().unwrap().len(), 100);
    store.list_all(&ns).unwrap();
    store.capabilities().verify.unwrap().verify(&mut |_| ()).unwrap();
}

#[test]
fn no_key_is_in_memory_after_lock() {
    let (held, passing, of_words) = (held(), passing(), of_words());
    assert!(found(&held).is_empty() && found(&passing).is_empty() && found(&of_words).is_empty());

    let disk = SimDisk::new();
    let inner = Arc::new(FsStore::open_alone(disk.mount(), Settings::default()).unwrap());
    let root = RootSecret::from_hex(ROOT).unwrap();
    assert_eq!(found(&passing), ["root"], "the search finds what is there");
    let store = SealedStore::create(inner.clone(), &root).unwrap();
    use_it(&store);
    let passphrase_set = passphrase();
    store.set_passphrase(&root, &passphrase_set).unwrap();
    assert_eq!(found(&passing), ["passphrase", "root"]);
    drop((root, passphrase_set));
    assert_eq!(found(&held), sorted(&held), "the search finds what is there");
    assert!(found(&passing).is_empty(), "an unlocked wallet needs no more than its keys");

    // Whoever has a clone of the keys keeps them; the store does not.
    let clone = store.keys().unwrap();
    store.lock();
    assert_eq!(found(&held), sorted(&held));
    drop(clone);
    assert!(found(&held).is_empty(), "keys are in memory after lock");
    drop(store);

    // The same through the passphrase.
    let store = SealedStore::open(inner.clone(), &passphrase()).unwrap();
    use_it(&store);
    assert!(found(&passing).is_empty());
    assert_eq!(found(&held), sorted(&held));
    store.lock();
    assert!(found(&held).is_empty(), "keys are in memory after lock");
    drop(store);

    // Words.
    let words = Words::parse(WORDS).unwrap();
    assert_eq!(found(&of_words), ["indices of the words"]);
    let root = RootSecret::from_words(&words);
    assert_eq!(found(&of_words), ["indices of the words", "root of words"]);
    drop((words, root));
    assert!(found(&of_words).is_empty(), "words are in memory after they are dropped");
}
