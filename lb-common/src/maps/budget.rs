//! Budgets of the packets that the program sends on its own.

/// The budgets of a CPU: entries of `lb_icmp_budget`. Packets that anyone can trigger have a budget of their
/// own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Budget {
    /// ICMP echo replies.
    Echo = 0,
    /// Packet too big and fragmentation needed: path MTU discovery depends on them.
    TooBig = 1,
    /// The other ICMP errors: time exceeded and port unreachable.
    Error = 2,
}

impl Budget {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// The rest of a budget.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Second, counted from any start, that `left` belongs to.
    pub second: u64,
    /// Packets left in it.
    pub left: u64,
}

impl Allowance {
    /// Takes one packet from the budget of this second. Returns false if none is left.
    #[inline(always)]
    pub const fn spend(&mut self, rate: u32, second: u64) -> bool {
        if self.second != second {
            *self = Self { second, left: rate as u64 };
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}
