//! What was typed.

use clap::Parser;

/// Reaches nodes that nobody can dial.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {}
