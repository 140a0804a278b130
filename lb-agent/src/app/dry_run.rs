//! `fairlead agent --dry-run`: the observations and plans of an agent's first pass, without any effect.

use std::time::Duration;

use lb_common::maps::CONFIG_ALONE;
use lb_dataplane::maps::Installed;
use lb_dataplane::net::link::Device;
use lb_dataplane::net::observe::{NetworkMonitor, NetworkState};
use lb_dataplane::pins::Pins;
use lb_dataplane::preflight::{self, PreflightError};
use lb_dataplane::traces::OwnPrograms;
use lb_kube::snapshot::Snapshot;
use lb_kube::source::ObjectSource;
use lb_model::{IncrementalModel, Model};
use lb_plan::contents::diff;
use lb_plan::plan::{Facts, Planner, Settings};
use lb_plan::speaker;

use super::{AgentOptions, AppError, MapSetup, default_uplinks, settings};
use crate::admin::is_served;
use crate::control;
use lb_kube::last_good::LastGoodFile;
use lb_status::preview::{AgentPreview, UplinkPreview};

/// How long the source may take to yield its objects.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// The nonce of a node that has none yet: the preview shows no values.
const ANY_NONCE: u64 = 1;

/// Returns what an agent with these options would do at its start, as if all nodes were alive. Changes
/// nothing: a running agent goes on.
///
/// # Errors
/// When the objects, the maps or the network cannot be read. Failed checks of the machine are in the result.
pub async fn preview(mut options: AgentOptions) -> Result<AgentPreview, AppError> {
    let pins = Pins::below(&options.bpffs);
    let mut failed = Vec::new();
    if options.interfaces.is_empty() {
        match default_uplinks().await {
            Ok(found) => options.interfaces = found,
            Err(AppError::Preflight(error @ PreflightError::NoUplink)) => failed.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    failed.extend(preflight::all(&options.interfaces, &pins).iter().map(ToString::to_string));
    let (model, problems) = read_model(&options).await?;
    // Without capabilities, the maps cannot be read.
    let installed = if failed.is_empty() { Installed::read(&pins)? } else { None };
    let settings = settings(&options, &map_setup(&options, installed.as_ref()), ANY_NONCE);
    let is_running = is_served(&options.socket);
    let notes = notes(&pins, !failed.is_empty(), installed.is_some(), is_running);
    let preview =
        AgentPreview { node: options.node.to_string(), failed, problems, notes, ..AgentPreview::default() };
    let (devices, network) = observe(&options, &model).await?;
    Ok(planned(preview, &model, settings, installed.unwrap_or_default(), network)
        .with_uplinks(uplinks(&options, &pins, &devices)))
}

/// Adds the plans.
fn planned(
    preview: AgentPreview,
    model: &Model,
    mut settings: Settings,
    installed: Installed,
    network: NetworkState,
) -> AgentPreview {
    let mut preview = preview;
    preview.notes.extend(unresolved(&network));
    let config = installed.contents.config;
    if let Some(config) = config.filter(|config| config.probe_nonce != 0) {
        settings.liveness.nonce = config.probe_nonce;
    }
    let facts = Facts {
        standing: config.map(|config| config.standing()).unwrap_or_default(),
        // The next agent adopts them, too.
        checked: config.map(|_| control::announced(&installed.contents)),
        was_alone: config.is_some_and(|config| config.flags & CONFIG_ALONE != 0),
        ..network.facts
    };
    let plan = Planner::new().plan(model, &facts, &settings, &installed.contents, Duration::ZERO);
    let operations = diff(&installed.contents, &plan.contents);
    let speaker_settings = control::speaker_settings(&settings, model, false);
    let preview = preview.with_plan(plan, &operations, &facts);
    match speaker::plan(model, &settings.node, &speaker_settings) {
        Some(plan) => preview.with_speaker(plan),
        None => preview,
    }
}

/// Reads the objects, as an agent does at its start.
async fn read_model(options: &AgentOptions) -> Result<(Model, Vec<lb_api::problem::Problem>), AppError> {
    let mut source = ObjectSource::open(&options.source).await?;
    let read = tokio::time::timeout(READ_LIMIT, first_read(&mut source)).await;
    let mut snapshot = read.map_err(|_| AppError::NoObjects(READ_LIMIT.as_secs()))?;
    let origin = options.source.identity(&options.hash_key);
    let mut last_good = LastGoodFile::at(options.last_good.clone(), origin);
    last_good.read(false);
    last_good.complete(&mut snapshot);
    let before = last_good.recall(&snapshot.objects).unwrap_or_default();
    let (drain, addresses) = (options.drain.clone(), options.source.address_rule());
    let mut model = IncrementalModel::new(&Model { drain, addresses, ..before });
    let mut problems = snapshot.problems;
    problems.extend(model.update(&snapshot.objects, options.class.as_deref()));
    Ok((model.model().clone(), problems))
}

async fn first_read(source: &mut ObjectSource) -> Snapshot {
    loop {
        if let Some(snapshot) = source.read() {
            return snapshot;
        }
        source.changed().await;
    }
}

/// Observes the network as if the program were on all uplinks.
async fn observe(options: &AgentOptions, model: &Model) -> Result<(Vec<Device>, NetworkState), AppError> {
    let error = |error: rtnetlink::Error| AppError::Interfaces(std::io::Error::other(error));
    let network = NetworkMonitor::open().map_err(AppError::Netlink)?;
    let names = options.interfaces.iter().map(String::as_str);
    let devices = network.devices(names, []).await.map_err(error)?;
    let targets = model.addresses_to_resolve(&options.node);
    let state = network.observe(&targets, &devices.iter().collect::<Vec<_>>()).await.map_err(error)?;
    Ok((devices, state))
}

fn map_setup(options: &AgentOptions, installed: Option<&Installed>) -> MapSetup {
    MapSetup {
        flags: installed.and_then(|it| it.contents.config).map_or(0, |config| config.flags),
        ring_slots: installed.map_or(options.sizes.ring_slots, |it| it.ring_slots),
        flow_sets: installed.map_or(options.sizes.flow_sets, |it| it.flow_sets),
    }
}

fn uplinks(options: &AgentOptions, pins: &Pins, devices: &[Device]) -> Vec<UplinkPreview> {
    let adoptable = OwnPrograms::pinned(pins);
    let uplink = |name: &String| {
        let device = devices.iter().find(|device| device.name == *name);
        UplinkPreview::new(name, device, options.mode, &adoptable)
    };
    options.interfaces.iter().map(uplink).collect()
}

/// Returns what is to be known of the node's state.
fn notes(pins: &Pins, has_failed: bool, is_installed: bool, is_running: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if has_failed {
        notes.push(
            "the maps have not been read, because a check failed: all operations are listed".to_owned(),
        );
    } else if !is_installed && pins.of_all_layouts().is_ok_and(|own| !own.pins.is_empty()) {
        notes.push(
            "the pinned maps are of another layout: the agent takes their links over once its own maps are written"
                .to_owned(),
        );
    }
    if is_running {
        notes.push("an agent is running on this node; the next one adopts what it has installed".to_owned());
    }
    notes
}

fn unresolved(network: &NetworkState) -> Option<String> {
    let addresses: Vec<_> = network.unresolved.iter().map(ToString::to_string).collect();
    (!addresses.is_empty()).then(|| {
        format!(
            "next hops not resolved yet, so these nodes are missing from the maps: {}",
            addresses.join(" ")
        )
    })
}
