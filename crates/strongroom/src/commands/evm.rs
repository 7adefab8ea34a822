//! `evm`: what an EVM account signs to be the key of a wallet.

use serde::Serialize;

use super::Context;
use crate::{cli::Evm, exit::Result, signature};

#[derive(Serialize)]
struct Json<'a> {
    address: &'a str,
    text: &'a str,
}

pub(super) fn run(context: &Context, command: &Evm) -> Result<()> {
    let Evm::Text { address, domain } = command;
    let request = signature::request(domain, address)?;
    let (address, text) = (request.address(), request.text());
    let shown = context.out.result(&Json { address: &address, text: &text }, || &text);
    context.out.note(
        "Sign this text (without the line ending after it) with `personal_sign`, twice, and give \
         both\nsignatures to `strongroom init --evm-signature-file A --evm-signature-file B`.",
    );
    shown
}
