//! The uplink of a node and its bpffs, with the faults that tests inject.

use std::fs;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::LabNode;
use crate::lab::wiring::{self, UPLINK};

impl LabNode<'_> {
    /// Cuts the link: both ends of the uplink lose their carrier.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn cut_link(&self) -> Result<()> {
        self.set_switch_port("down")
    }

    /// Restores the link.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn restore_link(&self) -> Result<()> {
        self.set_switch_port("up")
    }

    /// Deletes the uplink and creates another of the same name, as a driver reload or a network manager that
    /// recreates a bond or VLAN does. Addresses and routes are as before; interface index and MAC address
    /// change.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn recreate_uplink(&self) -> Result<()> {
        self.delete_uplink()?;
        self.create_uplink(UPLINK)?;
        self.configure_uplink(UPLINK)
    }

    /// Deletes the uplink.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_uplink(&self) -> Result<()> {
        self.host.ip(&[format!("link del {UPLINK}")])
    }

    /// Creates an interface of this name, wired like the uplink, without addresses and down.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn create_uplink(&self, name: &str) -> Result<()> {
        let switch = self.lab.host(&self.spec.segment().switch())?;
        self.lab.wire_port(self.host, name, switch, self.host.name())
    }

    /// Sets an interface up with the uplink's addresses and routes.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn configure_uplink(&self, name: &str) -> Result<()> {
        let topology = self.lab.topology();
        self.host.ip(&wiring::node_uplink(&topology, &self.spec, name))
    }

    /// Restores the uplink's IPv6 address and routes, which the kernel removes from an interface that goes
    /// down.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn configure_routes(&self) -> Result<()> {
        let topology = self.lab.topology();
        let name = self.uplink()?;
        let lines = wiring::node_uplink(&topology, &self.spec, &name);
        let lines: Vec<String> = lines.iter().map(|line| line.replace(" add ", " replace ")).collect();
        self.host.ip(&lines)
    }

    /// Adds a second port on the same switch: an interface without addresses, set up.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn add_port(&self, name: &str) -> Result<()> {
        let switch = self.lab.host(&self.spec.segment().switch())?;
        let far = format!("{}-{name}", self.host.name());
        self.lab.wire_port(self.host, name, switch, &far)?;
        self.host.ip(&[format!("link set {name} up")])
    }

    /// Returns the name of the interface with the node's address.
    fn uplink(&self) -> Result<String> {
        let address = self.spec.addresses().v4.to_string();
        let text = self.host.command("ip").args(["-brief", "address", "show", "to", &address]).text()?;
        let name = text.split(['@', ' ']).next().filter(|name| !name.is_empty());
        name.map(str::to_owned).context("no interface has the node's address")
    }

    /// Unmounts the node's bpffs.
    ///
    /// # Errors
    /// When it is not mounted.
    pub fn unmount_bpffs(&self, flags: MntFlags) -> Result<()> {
        let bpffs = self.bpffs();
        self.host.run(|| umount2(&bpffs, flags).context("unmount the bpffs"))
    }

    /// Mounts a new bpffs in place of the node's.
    ///
    /// # Errors
    /// When the kernel rejects it.
    pub fn mount_bpffs(&self) -> Result<()> {
        let bpffs = self.bpffs();
        self.host.run(|| {
            fs::create_dir_all(&bpffs)?;
            let none = None::<&str>;
            mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), none).context("mount a bpffs")
        })
    }

    fn set_switch_port(&self, state: &str) -> Result<()> {
        let switch = self.lab.host(&self.spec.segment().switch())?;
        switch.ip(&[format!("link set {} {state}", self.host.name())])
    }
}
