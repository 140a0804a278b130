//! Random objects from the schemas of their kinds: nothing panics, nothing takes long, and `check`, the
//! webhook, the controller and agents agree about them.
//!
//! Runs a few seconds with a fixed seed; `cargo xtask fuzz objects` runs longer. `FAIRLEAD_FUZZ_SECONDS` and
//! `FAIRLEAD_FUZZ_SEED` override both.

#[path = "agreement/generate.rs"]
mod generate;
#[path = "agreement/random.rs"]
mod random;
#[path = "agreement/reviewers.rs"]
mod reviewers;
#[path = "agreement/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use generate::Generator;
use random::Random;
use world::World;

/// Objects of a run without a time limit.
const STEPS: u64 = 400;
/// Successive objects in one cluster.
const STEPS_A_WORLD: u64 = 30;
/// Upper limit of a step on any machine.
const LONGEST_STEP: Duration = Duration::from_secs(10);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The code under test does not read the time.
#[expect(clippy::disallowed_methods, reason = "a run is as long as it is asked to be")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn all_reviewers_agree() {
    let seed = number("FAIRLEAD_FUZZ_SEED").unwrap_or(1);
    let end = number("FAIRLEAD_FUZZ_SECONDS").map(|seconds| now() + Duration::from_secs(seconds));
    let mut random = Random::new(seed);
    let generator = Generator::new();
    let mut world = World::default();
    let (mut steps, mut slowest) = (0, Duration::ZERO);
    while end.map_or(steps < STEPS, |end| now() < end) {
        if steps % STEPS_A_WORLD == 0 {
            world.finish();
        }
        let object = generator.object(&mut random);
        let begun = now();
        let step = catch_unwind(AssertUnwindSafe(|| {
            world.take(&object);
            world.damage(&mut random);
        }));
        let took = now() - begun;
        if let Err(panic) = step {
            eprintln!("seed {seed}, step {steps}: {object:#}\nin\n{}", world.text());
            resume_unwind(panic);
        }
        assert!(took < LONGEST_STEP, "seed {seed}, step {steps}: {took:?} for {object:#}");
        (steps, slowest) = (steps + 1, slowest.max(took));
    }
    world.finish();
    println!("{steps} objects, {}, slowest step {slowest:?}", world.counts);
    world.counts.assert_all();
}
