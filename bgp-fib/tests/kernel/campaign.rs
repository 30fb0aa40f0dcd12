//! A thousand edits by somebody who is not a friend.
//!
//! 5,000 routes of ours: through two routers, through a device onlink, and holes. The other
//! deletes some of ours, puts its own in their place, adds and removes its own elsewhere, takes
//! links and carriers away, and makes a device anew. When it stops, and has taken its own out of
//! our way, ours are back, and its own are as it left them.

use crate::keeper::{Keeper, blocks, onlink, settings, through};
use crate::stage::{OURS, Stage, Wire};
use bgp_core::rng::Rng;
use bgp_fib::netlink::MONITOR_BUFFER;
use bgp_fib::wanted::{Place, Wanted};
use bgp_lab::process::ask;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;
use std::time::{Duration, Instant};

const ROUTES: u32 = 5_000;
const EDITS: usize = 1_000;

/// `static`, which the other uses. By number: after a number, `ip -batch` takes names it has seen
/// before for that number.
const STATIC: u8 = 4;

/// After the last edit, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The other one.
struct Other {
    rng: Rng,
    /// Its own routes, where we have none.
    own: BTreeSet<u32>,
    /// Those it has put in the place of ours.
    taken: BTreeSet<u32>,
}

impl Other {
    fn prefix(base: u8, number: u32) -> String {
        let [high, a, b, c] = (number << 6).to_be_bytes();
        format!("{}.{a}.{b}.{c}/26", base + high)
    }

    fn pick(&mut self, below: u32) -> u32 {
        u32::try_from(self.rng.below(u64::from(below))).unwrap()
    }

    /// Some edits in one go: how many, and the lines for `ip`.
    fn edits(&mut self) -> (usize, String) {
        let mut lines = String::new();
        let count = match self.pick(40) {
            // A device made anew takes the other's own routes with it: it has none there.
            0 => {
                lines.push_str(
                    "link del up1\nlink add up1 type veth peer name far1\nlink set far1 up\n\
                     link set up1 up\naddr add 10.0.1.1/24 dev up1\n",
                );
                1
            }
            1..=3 => {
                lines.push_str("link set up0 down\nlink set up0 up\n");
                1
            }
            _ => {
                let count = 1 + self.pick(20);
                for _ in 0..count {
                    self.edit(&mut lines);
                }
                count as usize
            }
        };
        (count, lines)
    }

    fn edit(&mut self, lines: &mut String) {
        let number = self.pick(ROUTES);
        let ours = Self::prefix(16, number);
        let own = Self::prefix(32, number);
        match self.pick(10) {
            0..=5 => {
                writeln!(lines, "route del {ours} metric 32 proto {OURS}").unwrap();
            }
            6 => {
                self.taken.insert(number);
                writeln!(
                    lines,
                    "route replace blackhole {ours} metric 32 proto {STATIC}"
                )
                .unwrap();
            }
            7 => {
                // Beside ours, with another metric: none of our business.
                self.own.insert(number);
                writeln!(
                    lines,
                    "route replace blackhole {own} metric 32 proto {STATIC}"
                )
                .unwrap();
            }
            8 => {
                self.own.remove(&number);
                writeln!(lines, "route del {own} metric 32 proto {STATIC}").unwrap();
            }
            _ => {
                writeln!(lines, "route append {ours} via 10.0.0.9 metric 77 proto 77").unwrap();
                writeln!(lines, "route del {ours} metric 77 proto 77").unwrap();
            }
        }
    }
}

/// Carries out lines, those after one that fails too: what is deleted may just not be there.
fn force(stage: &Stage, lines: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    let mut command = Command::new("ip");
    command.args(["-force", "-batch"]).arg(file.path());
    drop(ask(&stage.host, command));
}

fn wanted() -> Vec<(Place, Wanted)> {
    let of = |number: usize| match number % 10 {
        0..=4 => through("10.0.0.2"),
        5..=6 => through("10.0.1.2"),
        7..=8 => onlink("203.0.113.9", "up1"),
        _ => Wanted::Blackhole,
    };
    blocks(ROUTES)
        .enumerate()
        .map(|(number, place)| (place, of(number)))
        .collect()
}

/// How long until all of ours are in the kernel.
fn time_until_back(wire: &mut Wire) -> Duration {
    let began = Instant::now();
    loop {
        let there = wire.routes(OURS).len();
        if there == ROUTES as usize {
            return began.elapsed();
        }
        assert!(began.elapsed() < LIMIT, "only {there} of ours are back");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_thousand_edits_by_another_change_nothing_in_the_end() {
    campaign("campaign::a_thousand_edits", MONITOR_BUFFER);
}

/// With a buffer so small that notifications are lost all the time.
#[test]
fn nor_do_a_thousand_of_which_we_hear_few() {
    campaign("campaign::a_thousand_of_which_we_hear_few", 4_096);
}

fn campaign(test: &str, buffer: u32) {
    let Some(stage) = Stage::new(test) else {
        return;
    };
    let mut wire = stage.wire();
    let keeper = Keeper::with_buffer(&stage, settings(), buffer);
    keeper.set(wanted());
    keeper.check(&mut wire, ROUTES as usize);
    let seed = std::env::var("KERNEL_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut other = Other {
        rng: Rng::new(seed),
        own: BTreeSet::new(),
        taken: BTreeSet::new(),
    };
    let mut done = 0;
    while done < EDITS {
        let (count, lines) = other.edits();
        force(&stage, &lines);
        done += count;
    }
    let conflicts = other.taken.len();
    let out_of_our_way: String = std::mem::take(&mut other.taken)
        .into_iter()
        .map(|number| {
            format!(
                "route del {} metric 32 proto {STATIC}\n",
                Other::prefix(16, number)
            )
        })
        .collect();
    force(&stage, &out_of_our_way);
    let back = time_until_back(&mut wire);
    let counts = keeper.counts();
    println!(
        "seed {seed}: {done} edits, {conflicts} of ours taken, {} healed; all back {back:?} after \
         the last edit; {:?}",
        counts.healed,
        keeper.stats()
    );
    let expected: Vec<String> = other
        .own
        .iter()
        .map(|number| Other::prefix(32, *number))
        .collect();
    let found: Vec<String> = wire
        .routes(STATIC)
        .iter()
        .map(|route| route.key.prefix.to_string())
        .collect();
    assert_eq!(found, expected, "the other's own");
    let routes = keeper.check(&mut wire, ROUTES as usize);
    let places: BTreeSet<_> = routes.iter().map(|route| route.key.prefix).collect();
    assert_eq!(places.len(), ROUTES as usize);
}
