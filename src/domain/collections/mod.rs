//! Persistent collections of our own. Each says why no crate serves.

pub(in crate::domain) mod append_vec;
pub(in crate::domain) mod dense_id_map;
pub(in crate::domain) mod hash_index;
pub(crate) mod interpolation_search;
