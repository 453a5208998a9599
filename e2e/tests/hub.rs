//! yurthub between the kubelet and the apiserver of a real cluster.
//!
//! One binary: its tests take whichever edge node is free, so two run at a time. Each prints a line with what it has
//! measured. The seed of what is left to chance is printed, and `YURT_SEED` sets it.

#[path = "hub/autonomy.rs"]
mod autonomy;
#[path = "hub/bad_links.rs"]
mod bad_links;
#[path = "hub/burst.rs"]
mod burst;
#[path = "hub/chaos.rs"]
mod chaos;
#[path = "hub/clients.rs"]
mod clients;
#[path = "hub/conversion.rs"]
mod conversion;
#[path = "hub/damage.rs"]
mod damage;
#[path = "hub/disk_full.rs"]
mod disk_full;
#[path = "hub/image.rs"]
mod image;
#[path = "hub/interruption.rs"]
mod interruption;
#[path = "hub/mayhem.rs"]
mod mayhem;
#[path = "hub/offline.rs"]
mod offline;
#[path = "hub/online.rs"]
mod online;
#[path = "hub/parity.rs"]
mod parity;
#[path = "hub/person.rs"]
mod person;
#[path = "hub/pods.rs"]
mod pods;
#[path = "hub/power.rs"]
mod power;
#[path = "hub/reflector.rs"]
mod reflector;
#[path = "hub/services.rs"]
mod services;
#[path = "hub/setup.rs"]
mod setup;
#[path = "hub/thin_link.rs"]
mod thin_link;
#[path = "hub/trace.rs"]
mod trace;
#[path = "hub/truth.rs"]
mod truth;
#[path = "hub/volatile_disk.rs"]
mod volatile_disk;
#[path = "hub/walks.rs"]
mod walks;
#[path = "hub/workload.rs"]
mod workload;
