mod announcing;
mod closed;
mod history;
mod law;
mod nodes;
mod reach;
mod rings;
mod scenario;

use scenario::Scenario;

use super::*;
use crate::contents::{VipKey, diff};
use crate::model::NodeName;
