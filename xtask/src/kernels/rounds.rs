//! What is done to the program, and what must hold afterwards.

use std::{fs, path::Path, thread, time::Duration};

use super::{
    image::{EXT4, Image, System},
    load::{Acks, Program},
    pause,
    random::Random,
};

/// More batches than any run gets through.
const ENDLESS: u64 = 1 << 40;
/// It has another name on each kind of machine.
const RENAME: &str = "?rename,?renameat,?renameat2";
/// Power cuts of one run of the program.
const CUTS: u64 = 6;

/// Copies the device at random instants under load; each copy is mounted and checked.
///
/// The program is held still while the copy is made, so that the copy is of one instant: what the
/// kernel has not written to the device by then is lost, as in a power cut.
pub(super) fn power_cuts(
    work: &Path,
    program: &Program,
    system: System,
    rounds: u64,
    random: &mut Random,
) -> Result<(), String> {
    let (mut cuts, mut acked) = (0, 0);
    for round in 0..rounds {
        for how in ["each", "disk"] {
            let image = Image::new(work.join("image"), system, None)?;
            let mount = image.mount(work.join("mounted"))?;
            let load = program.write(&[], &mount.path().join("store"), ENDLESS, how)?;
            let mut copies: Vec<(Image, Acks)> = Vec::new();
            for n in 0..CUTS {
                pause(random, 30, 600);
                load.signal("-STOP")?;
                // System calls under way end, their writes reach the device, the pipe is read.
                thread::sleep(Duration::from_millis(40));
                copies.push((image.copy(work.join(format!("cut-{n}")))?, load.acks()));
                load.signal("-CONT")?;
            }
            load.kill();
            drop((mount, image));
            for (n, (copy, acks)) in copies.iter().enumerate() {
                let mount = copy.mount(work.join("copy"))?;
                let found = program.check(&mount.path().join("store"), acks);
                let found = found
                    .map_err(|e| format!("{}, {how}, round {round}, cut {n}: {e}", system.name))?;
                let total: u64 = acks.values().sum();
                if found < total {
                    return Err(format!("{}: {found} batches of {total}", system.name));
                }
                (cuts, acked) = (cuts + 1, acked + total);
            }
        }
    }
    println!("{}: {cuts} power cuts, {acked} acknowledged batches, none lost", system.name);
    some(acked, "batch was acknowledged")
}

/// Kills the program again and again over the same folder.
pub(super) fn kills(
    work: &Path,
    program: &Program,
    rounds: u64,
    random: &mut Random,
) -> Result<(), String> {
    let dir = work.join("killed");
    let mut acked = Acks::new();
    for round in 0..rounds {
        let how = if round % 2 == 0 { "each" } else { "disk" };
        let load = program.write(&[], &dir, ENDLESS, how)?;
        pause(random, 20, 400);
        acked.extend(load.kill());
        program.check(&dir, &acked).map_err(|e| format!("kill -9, round {round}: {e}"))?;
    }
    let total: u64 = acked.values().sum();
    println!("kill -9: {rounds} times, {total} acknowledged batches, none lost");
    some(total, "batch was acknowledged")
}

/// A file system of 8 MiB.
pub(super) fn full(work: &Path, program: &Program, rounds: u64) -> Result<(), String> {
    for _ in 0..rounds {
        let image = Image::new(work.join("small"), EXT4, Some(8))?;
        let mount = image.mount(work.join("full"))?;
        let said = program.fill(&mount.path().join("store"))?;
        println!("8 MiB: {}", said.trim());
    }
    Ok(())
}

/// System calls that fail without having been made.
pub(super) fn lies(
    work: &Path,
    program: &Program,
    rounds: u64,
    random: &mut Random,
) -> Result<(), String> {
    let (mut runs, mut injected, mut acked) = (0, 0, 0);
    let trace = work.join("trace");
    let image = Image::new(work.join("image"), EXT4, None)?;
    let mount = image.mount(work.join("mounted"))?;
    for call in ["fsync", "fdatasync", RENAME, "syncfs"] {
        for again in ["", "+"] {
            for n in 0..2 * rounds {
                let name = format!("lied-{runs}");
                let dir = mount.path().join(&name);
                let error = if n % 2 == 0 { "EIO" } else { "ENOSPC" };
                // Counted for each thread of the program by itself.
                let when = 1 + random.below(if call == "syncfs" { 4 } else { 12 });
                let inject = format!("inject={call}:error={error}:when={when}{again}");
                let trace_only = format!("trace={call}");
                let out = super::shown(&trace)?;
                let strace = ["strace", "-f", "-qq", "-o", &out, "-e", &trace_only, "-e", &inject];
                let how = if call == "syncfs" { "disk" } else { "each" };
                let acks = program.write(&strace, &dir, 120, how)?.finish();
                let lied = fs::read_to_string(&trace).unwrap_or_default();
                injected += lied.matches("(INJECTED)").count() as u64;
                // A power cut shows what was acknowledged without being durable.
                let copy = image.copy(work.join("cut"))?;
                let cut = copy.mount(work.join("copy"))?;
                let after_cut = program.check(&cut.path().join(&name), &acks);
                after_cut.map_err(|e| format!("{inject}, then a power cut: {e}"))?;
                program.check(&dir, &acks).map_err(|e| format!("{inject}: {e}"))?;
                acked += acks.values().sum::<u64>();
                runs += 1;
                fs::remove_dir_all(&dir).ok();
            }
        }
    }
    println!(
        "strace: {runs} runs, {injected} failed calls, {acked} acknowledged batches, none lost"
    );
    some(injected, "call failed").and_then(|()| some(acked, "batch was acknowledged"))
}

/// A run in which nothing happens proves nothing.
fn some(count: u64, what: &str) -> Result<(), String> {
    if count > 0 { Ok(()) } else { Err(format!("not one {what}")) }
}
