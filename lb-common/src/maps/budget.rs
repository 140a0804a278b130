//! How many packets of its own the program may still send.

/// Budgets of one CPU: entries of `lb_icmp_budget`. What anybody can ask for has its own, so that it uses up no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Budget {
    /// Answers to ICMP echo requests.
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

/// What is left of a budget.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Second, counted from any start, that `left` is for.
    pub second: u64,
    /// Packets left in it.
    pub left: u64,
}

impl Allowance {
    /// Takes one packet of this second's; false where none is left.
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
