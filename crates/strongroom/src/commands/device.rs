//! `device`: who has this wallet.

use super::Context;
use crate::{
    cli::Device,
    exit::Result,
    output::{row, table},
    progress::Progress,
    time,
};

pub(super) async fn run(context: &Context, command: Device) -> Result<()> {
    let Device::List = command;
    context
        .unlocked(async |session| {
            let progress = Progress::spinner("asking the clouds");
            let devices = session.devices().await?;
            drop(progress);
            if context.out.json {
                return devices.iter().try_for_each(|d| context.out.result(d, String::new));
            }
            let rows = devices.iter().map(|device| {
                let last = device.last_backup.map_or_else(
                    || "has no backup in the clouds".to_owned(),
                    |time| format!("backed up {}", time::with_age(time)),
                );
                let which = match (device.mine, device.retired) {
                    (true, false) => "this device",
                    (true, true) => "this device, which the others no longer count",
                    (false, false) => "",
                    (false, true) => "no longer counted",
                };
                row([&device.writer, &last, &which])
            });
            context.out.lines(&table(&rows.collect::<Vec<_>>()))
        })
        .await
}
