//! Records the values that an attribute requests for a call, unless the call is only counted.

use super::{Guard, Running, Task};
use crate::context::Context;
use crate::done::Tells;
use crate::record::Updated;
use crate::told::Told;
use crate::{clock, inside, sending};

/// Records values of a process that has begun. `tell` is not called if nothing is recorded or if the call is only counted.
#[inline]
pub fn tell(process: &mut impl Tells, tell: impl FnOnce(&mut Told)) {
    process.tell(tell);
}

impl Tells for Guard {
    #[inline]
    fn tell(&mut self, tell: impl FnOnce(&mut Told)) {
        if !self.is_off() {
            match &self.running {
                Running::InRing(call) => send(call.told_singly(), tell),
                Running::Queued(queued) => {
                    if let Some(live) = &queued.live {
                        live.tell(Told::collect(tell));
                    }
                }
                Running::Off | Running::Quiet(_) => {}
            }
        }
    }
}

impl Tells for Task {
    #[inline]
    fn tell(&mut self, tell: impl FnOnce(&mut Told)) {
        if !self.is_off() {
            match self.in_ring() {
                Some(slot) => send(slot.told_singly(), tell),
                None => self.add(Told::collect(tell)),
            }
        }
    }
}

fn send(context: Option<Context>, tell: impl FnOnce(&mut Told)) {
    if let Some(context) = context {
        let Told { name, fields } = Told::collect(tell);
        if name.is_some() || !fields.is_empty() {
            let _inside = inside::enter();
            sending::updated(
                Updated { root: context.root(), id: context.process(), time_us: 0, name, fields, links: Vec::new() },
                clock::now(),
            );
        }
    }
}
