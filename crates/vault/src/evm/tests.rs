//! EVM signatures: published vectors of EIP-191, low and high s, and what makes no key.

use alloy_primitives::{U256, eip191_hash_message, hex};
use k256::ecdsa::SigningKey;

use super::*;

/// The order of the curve (SEC 2, section 2.4.1).
const ORDER: &str = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

/// An account whose signatures follow RFC 6979, as those of common wallets do.
struct Account(SigningKey);

impl Account {
    fn new(byte: u8) -> Self {
        Self(SigningKey::from_slice(&[byte; 32]).unwrap())
    }

    fn request(&self) -> SignatureRequest {
        let address = Address::from_private_key(&self.0).to_checksum(None);
        SignatureRequest::new("wallet.example.org", &address).unwrap()
    }

    fn sign(&self, text: &str) -> [u8; 65] {
        let hash = eip191_hash_message(text);
        let (signature, recovery) = self.0.sign_prehash_recoverable(hash.as_slice()).unwrap();
        Signature::from_signature_and_parity(signature, recovery.is_y_odd()).as_bytes()
    }
}

/// The same signature with the other s (EIP-2 forbids it in transactions, wallets still give it).
fn high_s(signature: &[u8; 65]) -> [u8; 65] {
    let order: U256 = ORDER.parse().unwrap();
    let low = Signature::from_raw_array(signature).unwrap();
    Signature::new(low.r(), order - low.s(), !low.v()).as_bytes()
}

/// The example of web3.js (`eth.accounts.sign`), which other libraries test against as well.
#[test]
fn published_vector_of_personal_sign() {
    let signature = hex!(
        "b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd"
        "6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a029"
        "1c"
    );
    let hash = eip191_hash_message("Some data");
    let expected = hex!("1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655");
    assert_eq!(hash.0, expected);
    let address = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23";
    let parsed = Signature::from_raw_array(&signature).unwrap();
    let signer = parsed.recover_address_from_msg("Some data").unwrap();
    assert_eq!(signer.to_checksum(None), address);
    // Signing is repeatable, and the account is the one whose private key is published with it.
    let key = hex!("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318");
    let account = Account(SigningKey::from_slice(&key).unwrap());
    assert_eq!(account.sign("Some data"), signature);
    assert_eq!(account.request().address(), address);
    // EIP-2: with the other s, the same account is recovered.
    let high = Signature::from_raw_array(&high_s(&signature)).unwrap();
    let signer = high.normalized_s().recover_address_from_msg("Some data").unwrap();
    assert_eq!(signer.to_checksum(None), address);
    assert_eq!(high.normalized_s(), parsed);
}

/// What was signed once must be signed for ever.
#[test]
fn the_text_stays_as_it_is() {
    let request =
        SignatureRequest::new("wallet.example.org", "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23");
    let kept = crate::golden::golden("evm-text.txt", request.unwrap().text().as_bytes());
    assert!(kept.ends_with(b"Address: 0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"));
}

#[test]
fn a_signature_gives_the_same_secret_in_every_form() {
    let account = Account::new(7);
    let request = account.request();
    let signature = account.sign(&request.text());
    let root = request.set_up(&signature, &signature).unwrap();
    assert_eq!(hex::encode(root.as_bytes()), ROOT);
    let high = high_s(&signature);
    assert_ne!(high, signature);
    for same in [signature, high] {
        for raw in [false, true] {
            let mut same = same;
            same[64] -= if raw { 27 } else { 0 };
            assert_eq!(request.unlock(&same).unwrap().as_bytes(), root.as_bytes());
            assert!(request.set_up(&signature, &same).is_ok());
        }
    }
    let other = Account::new(8);
    let signature = other.sign(&other.request().text());
    assert_ne!(other.request().unlock(&signature).unwrap().as_bytes(), root.as_bytes());
}

/// HKDF-SHA256 over r and s, as `envelope-v1` says, of the account whose private key is 32 times 7.
const ROOT: &str = "9ef6cdc9f138ab08f0f11e60ec4a13e28ba9b69eb8106e0fcc0b5045aa2077f4";

#[test]
fn an_account_that_signs_differently_each_time_is_refused() {
    let account = Account::new(7);
    let request = account.request();
    let prehash = eip191_hash_message(request.text());
    let first = account.sign(&request.text());
    // The same account, the same text, another nonce.
    let (second, recovery) = {
        use k256::ecdsa::hazmat::SignPrimitive;
        let nonce = k256::Scalar::from(12_345u64);
        let digest = k256::FieldBytes::from(prehash.0);
        account.0.as_nonzero_scalar().try_sign_prehashed(nonce, &digest).unwrap()
    };
    let second = Signature::from_signature_and_parity(second, recovery.unwrap().is_y_odd());
    let second = second.as_bytes();
    assert!(request.unlock(&second).is_ok(), "a good signature, but another");
    assert_eq!(request.set_up(&first, &second).unwrap_err(), BadSignature::NotRepeatable);
}

#[test]
fn what_is_no_signature_of_the_account_is_told_apart() {
    let account = Account::new(7);
    let request = account.request();
    let good = account.sign(&request.text());
    let error = |bytes: &[u8]| request.unlock(bytes).unwrap_err();
    for found in [0, 64, 66, 130] {
        assert_eq!(error(&vec![1; found]), BadSignature::Length { found });
    }
    let undeployed = [&[7; 200][..], &ERC_6492].concat();
    assert_eq!(error(&undeployed), BadSignature::ContractWallet);
    let other_text = request.text().replace("example.org", "example.com");
    for other in [
        account.sign(&other_text),
        Account::new(8).sign(&request.text()),
        account.sign(&format!("{}\n", request.text())),
    ] {
        assert_eq!(error(&other), BadSignature::OtherAccount);
    }
    let mut transaction = good;
    transaction[64] = 37;
    assert_eq!(error(&transaction), BadSignature::Malformed);
    let mut zero = good;
    zero[..32].fill(0);
    assert_eq!(error(&zero), BadSignature::Malformed);
    let mut flipped = good;
    flipped[64] ^= 1;
    assert!(request.unlock(&flipped).is_err(), "the other point is another account");
    // Also at set-up, whichever of the two it is.
    assert_eq!(request.set_up(&good, &zero).unwrap_err(), BadSignature::Malformed);
    assert_eq!(request.set_up(&zero, &good).unwrap_err(), BadSignature::Malformed);
}

#[test]
fn a_request_has_one_spelling() {
    let address = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23";
    let texts = [address.to_owned(), address.to_lowercase()]
        .map(|address| SignatureRequest::new("a.b", &address).unwrap().text());
    assert_eq!(texts[0], texts[1]);
    for bad in ["", "A.b", "a b", "a\nb", "https://a.b", &"a".repeat(254)] {
        assert_eq!(SignatureRequest::new(bad, address).unwrap_err(), BadRequest::Domain);
    }
    let slip = address.replace("2c75", "2C75");
    for bad in ["", "0x12", &address[2..], &slip, &format!("{address}00")] {
        assert_eq!(SignatureRequest::new("a.b", bad).unwrap_err(), BadRequest::Address, "{bad}");
    }
}

#[test]
fn messages() {
    let said = |error: BadSignature| error.to_string();
    assert_eq!(
        said(BadSignature::Length { found: 64 }),
        "a signature has 65 bytes, found 64: the signatures of contract wallets cannot be used"
    );
    assert_eq!(
        said(BadSignature::ContractWallet),
        "a signature of a contract wallet (ERC-6492) cannot be used"
    );
    assert_eq!(said(BadSignature::Malformed), "not a signature");
    assert_eq!(
        said(BadSignature::OtherAccount),
        "the signature is not that of this account over this text"
    );
    assert_eq!(
        said(BadSignature::NotRepeatable),
        "this account signs the same text differently each time, so no key can come of it"
    );
    assert_eq!(
        BadRequest::Domain.to_string(),
        "not a domain: give its lower-case name, such as wallet.example.org"
    );
    assert_eq!(
        BadRequest::Address.to_string(),
        "not the address of an EVM account, or one with a slip: its checksum does not fit"
    );
}
