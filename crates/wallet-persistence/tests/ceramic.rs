//! The whole story on a real Ceramic node: three real blocks, backed up, the node restarted, the
//! wallet restored from the words alone. It is there where the node is installed:
//! `cargo xtask ceramic-node`.

#![expect(clippy::unwrap_used, reason = "tests panic")]

use std::path::Path;

use cloud::testing::CeramicNode;
use libtest_mimic::{Arguments, Trial};
use wallet_persistence::{
    AccountId, CloudUrl, Key, KvStoreExt, Namespace, ProfileField, RootSecret, Settings,
    WalletPersistence, Words, parse_block,
};

/// Blocks with the chain they are of and the number of their transactions.
const BLOCKS: [(&str, u64, usize); 3] = [
    (include_str!("../../strongroom/data/eth-mainnet-block-15571241.json"), 1, 58),
    (include_str!("../../strongroom/data/eth-mainnet-block-2000004.json"), 1, 4),
    (include_str!("../../strongroom/data/eth-goerli-block-10536893.json"), 5, 72),
];

fn main() {
    let arguments = Arguments::from_args();
    let story = Trial::test("a_wallet_comes_back_from_ceramic_and_its_words", || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(a_wallet_comes_back_from_ceramic_and_its_words());
        Ok(())
    });
    let tests = [story].into_iter().filter(|_| CeramicNode::is_installed()).collect();
    libtest_mimic::run(&arguments, tests).exit();
}

/// A wallet that knows the address of a node.
fn wallet(folder: &Path, node: &CeramicNode) -> WalletPersistence {
    let url = CloudUrl::parse(&format!("ceramic+{}", node.address())).unwrap();
    let mut settings = Settings::default();
    settings.replicate_every = None;
    WalletPersistence::builder(folder).cloud_url(url).settings(settings).build()
}

async fn a_wallet_comes_back_from_ceramic_and_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("node");
    std::fs::create_dir(&state).unwrap();
    let node = CeramicNode::start(&state);
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let words = Words::generate().unwrap().to_text().to_string();
    let root = || RootSecret::from_words(&Words::parse(&words).unwrap());

    let session = wallet(&first, &node).create(&root()).await.unwrap();
    for (block, chain, transactions) in BLOCKS {
        let parsed = parse_block(block, Some(chain)).unwrap();
        let imported = session.import(&parsed).await.unwrap();
        assert_eq!((imported.new, imported.known), (transactions, 0));
        let id: AccountId =
            format!("eip155:{chain}:{}", parsed.first().unwrap().from).parse().unwrap();
        session.add_account(id, Some("from a block")).await.unwrap();
    }
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    let first_report = session.post_backup().await.unwrap();
    assert!(first_report.dumped.is_some());
    // A segment of two megabytes that cannot be compressed: it is cut over many tiles.
    let (ns, key) = (Namespace::new("monitors", "").unwrap(), Key::new("channel").unwrap());
    let mut noise = vec![0; 2_000_000];
    getrandom::fill(&mut noise).unwrap();
    session.kv().unwrap().write(&ns, &key, noise.clone()).unwrap();
    let second_report = session.post_backup().await.unwrap();
    assert_eq!(second_report.changes, 1);
    assert!(!session.verify(true).await.unwrap().is_damaged());
    let digest = session.digest().await.unwrap();
    let listing = session.transactions(None, 1000).unwrap();
    assert_eq!(listing.len(), 134);
    session.lock().await.unwrap();

    let node = node.restart();
    std::fs::remove_dir_all(&first).unwrap();
    let wallet = wallet(&second, &node);
    let report = wallet.restore(&root(), |_| ()).await.unwrap();
    assert!(report.bytes > 2_000_000);
    let session = wallet.unlock(&root()).await.unwrap();
    assert_eq!(session.digest().await.unwrap(), digest);
    assert_eq!(session.transactions(None, 1000).unwrap(), listing);
    assert_eq!(session.kv().unwrap().read(&ns, &key).unwrap().as_deref(), Some(&*noise));
    session.lock().await.unwrap();
}
