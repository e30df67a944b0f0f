//! `tenure verify` finds every kind of damage, in a data folder, an export, a served log and evidence, and names the first place.

mod evidence;
mod export;
mod keys;
mod stage;
mod store;
