//! `tenure reads`: who read the audit.

use clap::Args;

use super::client::Query;
use super::entity_columns::READ;
use super::failure::Failure;
use super::output::remark;
use super::session::{Session, has_more, items};
use super::time_args::InstantArg;

#[derive(Debug, Args)]
pub(super) struct ReadsArgs {
    /// Only reads at or after this: an instant, or a date (its midnight in UTC)
    #[arg(long, value_name = "WHEN")]
    from: Option<InstantArg>,
    /// Only reads before this: an instant, or a date (its midnight in UTC)
    #[arg(long, value_name = "WHEN")]
    until: Option<InstantArg>,
    /// Only reads by this actor: `operator`, `user:ID`, the id of an access key, or `system` for pruned records
    #[arg(long)]
    actor: Option<String>,
    /// The number of reads to show, oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Show all reads
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

pub(super) fn reads(session: &mut Session, args: &ReadsArgs) -> Result<(), Failure> {
    let query = Query::default().with("from", args.from).with("until", args.until).with("actor", args.actor.as_ref());
    let path = session.path(&["audit", "reads"])?;
    let enough = if args.all { usize::MAX } else { args.limit.max(1) };
    let list = session.get_pages(&path, &query, enough)?;
    session.show_list(&list, &READ, "there are no such reads of the audit")?;
    session.out.flush()?;
    if has_more(&list) {
        let shown = items(&list).len();
        remark(&format!("the first {shown} are shown: use `--all`, or a larger `--limit`, for more"));
    }
    Ok(())
}
