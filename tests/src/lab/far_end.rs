//! An XDP program for the far ends of the nodes' uplinks.
//!
//! A frame that XDP transmits into a veth is lost unless the peer device has an XDP program too. Real
//! switches have no such limitation, so every switch port of a node gets a program that passes everything.

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT};

use super::host::LabHost;

/// The pass-all program on all far ends of a lab; detached on drop.
#[derive(Debug)]
pub(crate) struct FarEnds(Ebpf);

impl FarEnds {
    /// Loads the program.
    pub(crate) fn load() -> Result<Self> {
        if OBJECT.is_empty() {
            bail!("this binary was built without the XDP object: run `cargo xtask build-ebpf` first");
        }
        let mut object = Ebpf::load(OBJECT).context("load the XDP object")?;
        // The object contains the data plane's maps, which this program does not use.
        let maps: Vec<String> = object.maps().map(|(name, _)| name.to_owned()).collect();
        for name in maps {
            drop(object.take_map(&name));
        }
        let mut ends = Self(object);
        ends.program()?.load().context("load the pass-all program")?;
        Ok(ends)
    }

    /// Attaches it to a link of a host.
    pub(crate) fn attach(&mut self, host: &LabHost, link: &str) -> Result<()> {
        let program = self.program()?;
        host.run(|| {
            program.attach(link, XdpMode::Driver).with_context(|| format!("attach to {link}"))?;
            Ok(())
        })
    }

    fn program(&mut self) -> Result<&mut Xdp> {
        let program = self.0.program_mut(EMPTY_PROGRAM).context("the pass-all program is missing")?;
        Ok(program.try_into()?)
    }
}
