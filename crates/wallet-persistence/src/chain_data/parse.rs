//! Transactions from JSON, as nodes and exporters write them.
//!
//! Numbers may be JSON numbers, decimal strings or 0x-hex; they are read from their text, so no
//! digit is lost.

use alloy_primitives::U256;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::EvmTransaction;

/// Input that is no transaction. The message says which part is wrong; correct the input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadTransaction {
    /// Not JSON, or not the JSON that was expected.
    #[error("not the JSON of {what}")]
    Json {
        /// What was expected.
        what: &'static str,
        /// Where it ends to be that.
        source: serde_json::Error,
    },
    /// A field is not there.
    #[error("the field {field} is missing")]
    Missing {
        /// Which one.
        field: &'static str,
    },
    /// A field does not hold what it should.
    #[error("the field {field} is not {expected}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// Neither a chain id nor a signature that names the chain.
    #[error(
        "the transaction does not name its chain; give it with --chain, such as --chain eip155:1"
    )]
    NoChain,
    /// The answer lists hashes only.
    #[error("the block holds hashes only; ask for it with full transactions")]
    HashesOnly,
}

type Result<T> = std::result::Result<T, BadTransaction>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTransaction<'a> {
    #[serde(borrow)]
    chain_id: Option<&'a RawValue>,
    #[serde(borrow)]
    hash: Option<&'a RawValue>,
    #[serde(borrow)]
    block_number: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    gas_price: Option<&'a RawValue>,
    #[serde(borrow)]
    nonce: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    v: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawBlock<'a> {
    #[serde(borrow)]
    number: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    transactions: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

/// One transaction: chainId, hash, blockNumber, timestamp, from, to, value, gasPrice, nonce, input.
/// `chain` is used where the transaction does not name its chain.
pub fn parse_transaction(json: &str, chain: Option<u64>) -> Result<EvmTransaction> {
    let raw = parse(json, "a transaction")?;
    transaction(&raw, chain, None)
}

/// The transactions of an `eth_getBlockByNumber` answer with full transactions, bare or inside the
/// `result` of a JSON-RPC answer.
pub fn parse_block(json: &str, chain: Option<u64>) -> Result<Vec<EvmTransaction>> {
    let answer: Answer<'_> = parse(json, "a block")?;
    let block: RawBlock<'_> = parse(answer.result.map_or(json, RawValue::get), "a block")?;
    let place = (number("number", block.number)?, number("timestamp", block.timestamp)?);
    let transactions =
        block.transactions.ok_or(BadTransaction::Missing { field: "transactions" })?;
    let one = |raw: &RawValue| {
        if raw.get().starts_with('"') {
            return Err(BadTransaction::HashesOnly);
        }
        transaction(&parse(raw.get(), "a transaction")?, chain, Some(place))
    };
    transactions.into_iter().map(one).collect()
}

/// The chain id in `eip155:1` (CAIP-2) or plain `1`.
pub fn parse_chain(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("eip155:").unwrap_or(text);
    digits.parse().map_err(|_| BadTransaction::Field {
        field: "chain",
        expected: "an EVM chain, such as eip155:1",
    })
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str, what: &'static str) -> Result<T> {
    serde_json::from_str(json).map_err(|source| BadTransaction::Json { what, source })
}

fn transaction(
    raw: &RawTransaction<'_>,
    chain: Option<u64>,
    block: Option<(u64, u64)>,
) -> Result<EvmTransaction> {
    let in_block = |field, value, known: Option<u64>| match known {
        Some(known) => Ok(known),
        None => number(field, value),
    };
    Ok(EvmTransaction {
        chain_id: chain_id(raw, chain)?,
        hash: hex("hash", raw.hash, "0x and 64 hex digits")?,
        block_number: in_block("blockNumber", raw.block_number, block.map(|b| b.0))?,
        timestamp: in_block("timestamp", raw.timestamp, block.map(|b| b.1))?,
        from: hex("from", raw.from, "0x and 40 hex digits")?,
        to: raw.to.map(|to| hex("to", Some(to), "0x and 40 hex digits, or null")).transpose()?,
        value: integer("value", raw.value)?,
        gas_price: raw.gas_price.map(|price| integer("gasPrice", Some(price))).transpose()?,
        nonce: number("nonce", raw.nonce)?,
        input: hex("input", raw.input, "0x and hex digits")?,
    })
}

/// The transaction's own chain id, else the one its signature names (EIP-155), else `given`.
fn chain_id(raw: &RawTransaction<'_>, given: Option<u64>) -> Result<u64> {
    if raw.chain_id.is_some() {
        return number("chainId", raw.chain_id);
    }
    let v = raw.v.map(|v| number("v", Some(v))).transpose()?;
    match v {
        Some(v) if v >= 35 => Ok((v - 35) / 2),
        _ => given.ok_or(BadTransaction::NoChain),
    }
}

fn text<'a>(field: &'static str, raw: Option<&'a RawValue>) -> Result<&'a str> {
    let json = raw.ok_or(BadTransaction::Missing { field })?.get();
    // Escapes occur in none of these fields; one that has them fails to parse later.
    Ok(json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json))
}

fn integer(field: &'static str, raw: Option<&RawValue>) -> Result<U256> {
    let text = text(field, raw)?;
    let parsed = match text.strip_prefix("0x") {
        Some(digits) if !digits.is_empty() => U256::from_str_radix(digits, 16).ok(),
        None if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            U256::from_str_radix(text, 10).ok()
        }
        _ => None,
    };
    parsed.ok_or(BadTransaction::Field { field, expected: "an integer below 2^256" })
}

fn number(field: &'static str, raw: Option<&RawValue>) -> Result<u64> {
    let wide = integer(field, raw)?;
    wide.try_into().map_err(|_| BadTransaction::Field { field, expected: "an integer below 2^64" })
}

fn hex<T: std::str::FromStr>(
    field: &'static str,
    raw: Option<&RawValue>,
    expected: &'static str,
) -> Result<T> {
    let text = text(field, raw)?;
    let wrong = BadTransaction::Field { field, expected };
    if !text.starts_with("0x") {
        return Err(wrong);
    }
    text.parse().map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0x4de721391f9075bc0d5c27d09569dcba8975d78258ed527a6d287474a087bd34";
    const FROM: &str = "0xbef52af092fa2349279f7a2b10779fe810785688";

    fn line(value: &str, extra: &str) -> String {
        format!(
            r#"{{"hash":"{HASH}","blockNumber":7,"timestamp":"0x9","from":"{FROM}","to":null,"value":{value},"nonce":"3","input":"0x"{extra}}}"#
        )
    }

    #[test]
    fn numbers_come_in_three_spellings_and_lose_no_digit() {
        let big = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        for spelling in [big.to_owned(), format!("\"{big}\""), format!("\"0x{}\"", "f".repeat(64))]
        {
            let tx = parse_transaction(&line(&spelling, r#","chainId":5"#), None).unwrap();
            assert_eq!(tx.value, U256::MAX);
            assert_eq!((tx.chain_id, tx.block_number, tx.timestamp, tx.nonce), (5, 7, 9, 3));
            let json = serde_json::to_string(&tx).unwrap();
            assert!(json.contains(&format!(r#""value":"{big}""#)), "{json}");
            assert_eq!(serde_json::from_str::<EvmTransaction>(&json).unwrap(), tx);
            assert_eq!(parse_transaction(&json, None).unwrap(), tx);
        }
        for bad in
            ["1.5", "1e18", "-1", "\"\"", "\"0x\"", "\"0xg\"", "[]", "true", &format!("{big}0")]
        {
            let outcome = parse_transaction(&line(bad, r#","chainId":5"#), None);
            assert!(
                matches!(outcome, Err(BadTransaction::Field { field: "value", .. })),
                "{bad}: {outcome:?}"
            );
        }
    }

    #[test]
    fn the_chain_comes_from_the_transaction_first() {
        let chain =
            |extra, given| parse_transaction(&line("1", extra), given).map(|tx| tx.chain_id);
        assert_eq!(chain(r#","chainId":"0x5","v":"0x25""#, Some(9)).unwrap(), 5);
        assert_eq!(chain(r#","v":"0x26""#, Some(9)).unwrap(), 1);
        assert_eq!(chain(r#","v":"0x1b""#, Some(9)).unwrap(), 9);
        assert!(matches!(chain(r#","v":"0x1b""#, None), Err(BadTransaction::NoChain)));
        assert_eq!(parse_chain("eip155:10").unwrap(), 10);
        assert!(parse_chain("solana:x").is_err());
    }

    #[test]
    fn blocks_come_bare_or_in_an_answer() {
        let tx = line("1", r#","v":37"#);
        let block = format!(r#"{{"number":"0x10","timestamp":"0x20","transactions":[{tx}]}}"#);
        let bare = parse_block(&block, None).unwrap();
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{block}}}"#);
        assert_eq!(parse_block(&answer, None).unwrap(), bare);
        assert_eq!((bare[0].block_number, bare[0].timestamp), (16, 32));
        let hashes = format!(r#"{{"number":1,"timestamp":1,"transactions":["{HASH}"]}}"#);
        assert!(matches!(parse_block(&hashes, None), Err(BadTransaction::HashesOnly)));
        assert!(matches!(parse_block("{", None), Err(BadTransaction::Json { .. })));
    }
}
