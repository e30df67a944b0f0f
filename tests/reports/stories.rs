//! Short histories with an end that an auditor asks about.
