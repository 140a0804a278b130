mod announcing;
mod closed;
mod history;
mod law;
mod layer2;
mod nodes;
mod reach;
mod rings;
mod scenario;
mod sources;
mod targets;

use scenario::Scenario;

use super::*;
use crate::contents::{VipKey, diff};
use lb_model::NodeName;
