//! The table as a thing that is there: made, filled, compared, put back, removed.
//!
//! Invariant: while a [`Redirect`] lives and nobody else has changed its table, the kernel's sets hold what was last given
//! to it; where the kernel can ([`Lifetime::Process`]), nobody else can change it, and it goes with the process.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::attribute::Attributes;
use crate::error::{NftError, Unreadable};
use crate::layout::{self, CREATE_TABLE, Layout, SETS};
use crate::message::Kind;
use crate::snapshot::Snapshot;
use crate::socket::Socket;

/// How often the table is read again when others change nftables meanwhile.
const READS: usize = 20;

/// How long the table lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the process, however that ends; others can neither change nor flush it (Linux 5.12).
    Process,
    /// Until somebody removes it: this kernel knows no owners of tables.
    UntilRemoved,
}

/// What became of a new content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is what was there.
    Unchanged,
    /// It was put in place of the old one.
    Replaced,
}

/// How the table was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As it was left.
    AsLeft,
    /// Somebody has removed it.
    Gone,
    /// Somebody has changed it.
    Changed,
}

/// The table.
#[derive(Debug)]
pub struct Redirect {
    socket: Socket,
    layout: Layout,
    kubelets: BTreeSet<SocketAddr>,
    wanted: Lifetime,
    lifetime: Lifetime,
    left: Snapshot,
    generation: u32,
}

impl Redirect {
    /// Makes the table in the network namespace of this thread, in place of what an earlier process has left.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install(layout: Layout, kubelets: BTreeSet<SocketAddr>) -> Result<Self, NftError> {
        let mut redirect = Self::new(layout, kubelets)?;
        redirect.restore()?;
        Ok(redirect)
    }

    fn new(layout: Layout, kubelets: BTreeSet<SocketAddr>) -> Result<Self, NftError> {
        Ok(Self {
            socket: Socket::open()?,
            layout,
            kubelets,
            wanted: Lifetime::Process,
            lifetime: Lifetime::Process,
            left: Snapshot::default(),
            generation: 0,
        })
    }

    /// As [`Self::install`] does on kernels that know no owners of tables: the table stays until it is removed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install_without_owner(layout: Layout, kubelets: BTreeSet<SocketAddr>) -> Result<Self, NftError> {
        let mut redirect = Self::new(layout, kubelets)?;
        redirect.wanted = Lifetime::UntilRemoved;
        redirect.restore()?;
        Ok(redirect)
    }

    /// Makes the table again as it should be, whatever there is of it.
    ///
    /// # Errors
    /// When the kernel refuses; then nothing has changed.
    pub fn restore(&mut self) -> Result<(), NftError> {
        match self.put(self.wanted) {
            // Kernels before 5.12 do not know the flag, and say so in one of two ways.
            Err(NftError::NotKnown { step, .. } | NftError::Refused { step, .. }) if step == CREATE_TABLE => {
                self.put(Lifetime::UntilRemoved)?;
            }
            other => other?,
        }
        self.remember()
    }

    fn put(&mut self, lifetime: Lifetime) -> Result<(), NftError> {
        let owned = lifetime == Lifetime::Process;
        let batch = layout::install(self.layout, &self.kubelets, owned, self.socket.sequence());
        self.socket.apply(&batch)?;
        self.lifetime = lifetime;
        Ok(())
    }

    /// Replaces the content of the sets at one moment.
    ///
    /// # Errors
    /// When the kernel refuses; then nothing has changed.
    pub fn replace(&mut self, kubelets: BTreeSet<SocketAddr>) -> Result<Replaced, NftError> {
        if kubelets == self.kubelets {
            return Ok(Replaced::Unchanged);
        }
        let batch = layout::replace(&kubelets, self.socket.sequence());
        match self.socket.apply(&batch) {
            Ok(()) => {
                self.kubelets = kubelets;
                self.remember()?;
            }
            // Somebody has flushed the table.
            Err(error) if error.is_not_found() => {
                self.kubelets = kubelets;
                self.restore()?;
            }
            Err(error) => return Err(error),
        }
        Ok(Replaced::Replaced)
    }

    /// Looks whether the table is as it was left. Costs next to nothing where nobody has changed nftables at all.
    ///
    /// # Errors
    /// When the kernel does not show it.
    pub fn check(&mut self) -> Result<Standing, NftError> {
        let generation = self.socket.generation()?;
        if generation == self.generation {
            return Ok(Standing::AsLeft);
        }
        let (found, generation) = self.look()?;
        if found == self.left {
            self.generation = generation;
            Ok(Standing::AsLeft)
        } else if found.is_empty() {
            Ok(Standing::Gone)
        } else {
            Ok(Standing::Changed)
        }
    }

    /// Removes the table now.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(mut self) -> Result<(), NftError> {
        delete(&mut self.socket).map(drop)
    }

    /// How long the table lives on this kernel.
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// What its sets should hold.
    pub const fn kubelets(&self) -> &BTreeSet<SocketAddr> {
        &self.kubelets
    }

    fn remember(&mut self) -> Result<(), NftError> {
        (self.left, self.generation) = self.look()?;
        Ok(())
    }

    /// The table as the kernel shows it, and the number of the last change by then.
    fn look(&mut self) -> Result<(Snapshot, u32), NftError> {
        const STEP: &str = "list the table";
        for _ in 0..READS {
            let before = self.socket.generation()?;
            match self.dump_all() {
                Ok(Some(found)) if self.socket.generation()? == before => return Ok((found, before)),
                Ok(_) => {}
                // Sets of a table that is not there.
                Err(error) if error.is_not_found() => return Ok((Snapshot::default(), before)),
                Err(error) => return Err(error),
            }
        }
        let why = Unreadable::Overtaken;
        Err(NftError::Unreadable { step: STEP, why })
    }

    fn dump_all(&mut self) -> Result<Option<Snapshot>, NftError> {
        let mut found = Snapshot::default();
        let mut whole = true;
        let none = Attributes::new();
        let (rules, sets) = (layout::name(1), layout::name(1));
        for (step, kind, asked) in [
            ("list tables", Kind::GetTable, &none),
            ("list chains", Kind::GetChain, &none),
            ("list rules", Kind::GetRule, &rules),
            ("list sets", Kind::GetSet, &sets),
        ] {
            whole &= self
                .socket
                .dump(step, kind, asked, |kind, object| found.add(kind, object))?;
        }
        for set in SETS {
            let asked = layout::name(1).text(2, set.name);
            whole &= self
                .socket
                .dump("list elements", Kind::GetSetElem, &asked, |kind, object| {
                    found.add(kind, object)
                })?;
        }
        Ok(whole.then_some(found))
    }
}

impl Drop for Redirect {
    /// The kernel removes a table that it knows the owner of; the other kind is removed here, as far as it goes.
    fn drop(&mut self) {
        if self.lifetime == Lifetime::UntilRemoved {
            drop(delete(&mut self.socket));
        }
    }
}

/// Removes what a process has left in the network namespace of this thread. Returns whether there was something.
///
/// # Errors
/// When the kernel refuses: a running process holds the table, or this one may not change the network.
pub fn remove() -> Result<bool, NftError> {
    delete(&mut Socket::open()?)
}

fn delete(socket: &mut Socket) -> Result<bool, NftError> {
    match socket.apply(&layout::remove(socket.sequence())) {
        Ok(()) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
