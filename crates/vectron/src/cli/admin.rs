//! `vectron admin`: what the cluster is made of, and the changes that operators make to it. A client of the
//! management endpoints; `-o json` prints their answers.

use super::args::Global;
use super::confirm::Confirm;
use super::exit::{Exit, Outcome};
use super::http::Http;
use super::output::{Cell, Grid, Output, note};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

/// `vectron admin …`.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// List workers: where they are, what they hold, whether they are alive.
    #[command(after_help = "Example:\n  vectron admin workers")]
    Workers,
    /// List shards with their replicas.
    #[command(after_help = "Example:\n  vectron admin shards -o json")]
    Shards,
    /// List moves under way.
    #[command(
        subcommand_required = false,
        after_help = "Examples:\n  vectron admin moves\n  vectron admin moves --pause\n  vectron admin moves --cancel 7"
    )]
    Moves(MovesArgs),
    /// Give a worker's replicas away and place none on it; it serves until they are gone.
    #[command(after_help = "Example:\n  vectron admin drain 6201447155937103")]
    Drain(WorkerArgs),
    /// Let a worker take replicas again.
    #[command(after_help = "Example:\n  vectron admin undrain 6201447155937103")]
    Undrain(WorkerArgs),
    /// Forget a worker that holds nothing any more.
    #[command(after_help = "Example:\n  vectron admin remove 6201447155937103 --yes")]
    Remove(RemoveArgs),
    /// Split a shard in the middle of its range, while it is read and written.
    #[command(after_help = "Example:\n  vectron admin split 3")]
    Split(ShardArgs),
    /// Move one replica from a worker to another.
    #[command(after_help = "Example:\n  vectron admin move 3 --from 6201447155937103 --to 17 --dry-run")]
    Move(MoveArgs),
    /// Spread replicas evenly.
    #[command(after_help = "Example:\n  vectron admin rebalance --dry-run")]
    Rebalance(RebalanceArgs),
    /// Let the replica on a worker lead its shard.
    #[command(after_help = "Example:\n  vectron admin transfer 3 --to 17")]
    Transfer(ToArgs),
    /// Add or remove a search-only replica.
    #[command(
        after_help = "Examples:\n  vectron admin learner 3 --on 17\n  vectron admin learner 3 --on 17 --remove"
    )]
    Learner(LearnerArgs),
    /// The placement driver's members.
    #[command(subcommand)]
    Pd(PdCommand),
}

/// A worker.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Its id, as `vectron admin workers` shows it.
    pub worker: u64,
}

/// A worker to forget.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Its id.
    pub worker: u64,
    /// Whether to ask.
    #[command(flatten)]
    pub confirm: Confirm,
}

/// A shard.
#[derive(Debug, Args)]
pub struct ShardArgs {
    /// Its id, as `vectron admin shards` shows it.
    pub shard: u64,
}

/// A replica's way.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The shard.
    pub shard: u64,
    /// The worker that has the replica.
    #[arg(long)]
    pub from: u64,
    /// The worker that shall have it.
    #[arg(long)]
    pub to: u64,
    /// Only say what would be copied.
    #[arg(long)]
    pub dry_run: bool,
}

/// How to spread.
#[derive(Debug, Args)]
pub struct RebalanceArgs {
    /// Only say what would move, and how many bytes.
    #[arg(long)]
    pub dry_run: bool,
}

/// A shard and a worker.
#[derive(Debug, Args)]
pub struct ToArgs {
    /// The shard.
    pub shard: u64,
    /// The worker.
    #[arg(long)]
    pub to: u64,
}

/// A search-only replica.
#[derive(Debug, Args)]
pub struct LearnerArgs {
    /// The shard.
    pub shard: u64,
    /// The worker that has it, or shall.
    #[arg(long)]
    pub on: u64,
    /// Take it away.
    #[arg(long)]
    pub remove: bool,
}

/// What to do with moves.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct MovesArgs {
    /// Stop moves where they are safe, and begin none.
    #[arg(long)]
    pub pause: bool,
    /// Go on with moves.
    #[arg(long)]
    pub resume: bool,
    /// Roll one move back.
    #[arg(long, value_name = "ID")]
    pub cancel: Option<u64>,
}

/// `vectron admin pd …`.
#[derive(Debug, Subcommand)]
pub enum PdCommand {
    /// List the members and who leads.
    #[command(after_help = "Example:\n  vectron admin pd members")]
    Members,
    /// Let a new member join, which has been started with `vectron pd --join`.
    #[command(after_help = "Example:\n  vectron admin pd add 4 pd4:7100")]
    Add {
        /// Its number, never used before.
        member: u64,
        /// Where it is reached.
        address: String,
    },
    /// Let a member leave.
    #[command(after_help = "Example:\n  vectron admin pd remove 2 --yes")]
    Remove {
        /// Its number.
        member: u64,
        /// Whether to ask.
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// Runs it.
pub async fn run(command: AdminCommand, global: &Global, out: Output) -> Outcome<Exit> {
    let http = Http::new(&global.url, global.key())?;
    let call = |method: Method, path: String, body: Option<Value>| {
        let http = http.clone();
        async move { http.call(method, &path, body.as_ref()).await }
    };
    let post = |path: String, body: Value| call(Method::POST, path, Some(body));
    let changed = match command {
        AdminCommand::Workers => return list(&http, "/v1/admin/workers", "workers", &WORKERS, out).await,
        AdminCommand::Shards => return list(&http, "/v1/admin/shards", "shards", &SHARDS, out).await,
        AdminCommand::Pd(PdCommand::Members) => {
            return list(&http, "/v1/admin/members", "members", &MEMBERS, out).await;
        }
        AdminCommand::Moves(MovesArgs { pause: false, resume: false, cancel: None }) => {
            return list(&http, "/v1/admin/moves", "moves", &MOVES, out).await;
        }
        AdminCommand::Moves(MovesArgs { pause: true, .. }) => {
            post("/v1/admin/moves/pause".into(), json!({})).await
        }
        AdminCommand::Moves(MovesArgs { cancel: Some(id), .. }) => {
            call(Method::DELETE, format!("/v1/admin/moves/{id}"), None).await
        }
        AdminCommand::Moves(_) => post("/v1/admin/moves/resume".into(), json!({})).await,
        AdminCommand::Drain(args) => {
            post(format!("/v1/admin/workers/{}/drain", args.worker), json!({})).await
        }
        AdminCommand::Undrain(args) => {
            post(format!("/v1/admin/workers/{}/undrain", args.worker), json!({})).await
        }
        AdminCommand::Remove(args) => {
            args.confirm.ask(&format!("forgetting worker {}", args.worker))?;
            call(Method::DELETE, format!("/v1/admin/workers/{}", args.worker), None).await
        }
        AdminCommand::Split(args) => post(format!("/v1/admin/shards/{}/split", args.shard), json!({})).await,
        AdminCommand::Move(args) => {
            let body = json!({ "from": args.from, "to": args.to, "dry_run": args.dry_run });
            post(format!("/v1/admin/shards/{}/move", args.shard), body).await
        }
        AdminCommand::Rebalance(args) => {
            post("/v1/admin/rebalance".into(), json!({ "dry_run": args.dry_run })).await
        }
        AdminCommand::Transfer(args) => {
            post(format!("/v1/admin/shards/{}/transfer", args.shard), json!({ "to": args.to })).await
        }
        AdminCommand::Learner(LearnerArgs { shard, on, remove: false }) => {
            post(format!("/v1/admin/shards/{shard}/learners"), json!({ "worker": on })).await
        }
        AdminCommand::Learner(LearnerArgs { shard, on, .. }) => {
            call(Method::DELETE, format!("/v1/admin/shards/{shard}/learners/{on}"), None).await
        }
        AdminCommand::Pd(PdCommand::Add { member, address }) => {
            post("/v1/admin/members".into(), json!({ "member": member, "address": address })).await
        }
        AdminCommand::Pd(PdCommand::Remove { member, confirm }) => {
            confirm.ask(&format!("removing member {member} from the placement driver"))?;
            call(Method::DELETE, format!("/v1/admin/members/{member}"), None).await
        }
    };
    planned(&changed?, out)
}

/// Columns: the heading, the field of the answer, and whether it is bytes.
type Columns = [(&'static str, &'static str, bool)];

const WORKERS: [(&str, &str, bool); 12] = [
    ("worker", "worker", false),
    ("address", "address", false),
    ("zone", "zone", false),
    ("state", "state", false),
    ("alive", "alive", false),
    ("replicas", "replicas", false),
    ("leads", "leads", false),
    ("points", "points", false),
    ("memory", "memory_used_bytes", true),
    ("disk_free", "disk_free_bytes", true),
    ("searches_per_s", "searches_per_s", false),
    ("blocked_by", "blocked_by", false),
];
const SHARDS: [(&str, &str, bool); 9] = [
    ("shard", "shard", false),
    ("collection", "collection", false),
    ("epoch", "epoch", false),
    ("points", "points", false),
    ("disk", "disk_bytes", true),
    ("leader", "leader", false),
    ("replicas", "replicas", false),
    ("splits_off", "splits_off", false),
    ("problems", "problems", false),
];
const MOVES: [(&str, &str, bool); 7] = [
    ("move", "id", false),
    ("shard", "shard", false),
    ("from", "from", false),
    ("to", "to", false),
    ("bytes", "bytes", true),
    ("step", "step", false),
    ("reason", "reason", false),
];
const MEMBERS: [(&str, &str, bool); 4] = [
    ("member", "member", false),
    ("address", "address", false),
    ("votes", "votes", false),
    ("leads", "leads", false),
];
const PLANNED: [(&str, &str, bool); 5] = [
    ("shard", "shard", false),
    ("from", "from", false),
    ("to", "to", false),
    ("bytes", "bytes", true),
    ("reason", "reason", false),
];

async fn list(http: &Http, path: &str, field: &str, columns: &Columns, out: Output) -> Outcome<Exit> {
    let answer = http.call(Method::GET, path, None).await?;
    let rows = answer.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    out.answer(&grid(columns, &rows), &answer, &rows)?;
    if answer.get("paused") == Some(&Value::Bool(true)) {
        note("moves are paused");
    }
    Ok(Exit::Ok)
}

/// Shows the moves that follow from a change.
fn planned(answer: &Value, out: Output) -> Outcome<Exit> {
    let rows = answer.get("planned").and_then(Value::as_array).cloned().unwrap_or_default();
    if rows.is_empty() && out.for_people() {
        note("done; nothing has to move");
        return Ok(Exit::Ok);
    }
    out.answer(&grid(&PLANNED, &rows), answer, &rows)?;
    Ok(Exit::Ok)
}

fn grid(columns: &Columns, rows: &[Value]) -> Grid {
    let mut grid = Grid::new(columns.iter().map(|(heading, ..)| *heading));
    for row in rows {
        grid.row(columns.iter().map(|(_, field, bytes)| cell(row.get(*field), *bytes)).collect());
    }
    grid
}

fn cell(value: Option<&Value>, bytes: bool) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::None,
        Some(Value::Bool(yes)) => Cell::text(if *yes { "yes" } else { "no" }),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(number) if bytes => Cell::Bytes(number),
            Some(number) => Cell::Number(number),
            None => Cell::Decimal(number.as_f64().unwrap_or(0.0)),
        },
        Some(Value::String(text)) => Cell::text(text),
        Some(Value::Array(list)) => Cell::text(list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Some(other) => Cell::text(other.to_string()),
    }
}

/// A replica in a list is shown as its worker with what it is; anything else as it is.
fn shown(value: &Value) -> String {
    match (value.get("worker"), value.get("role").and_then(Value::as_str)) {
        (Some(worker), Some(role)) => {
            let mark = if value.get("leads") == Some(&Value::Bool(true)) { "*" } else { "" };
            let phase = value.get("phase").and_then(Value::as_str).unwrap_or("unseen");
            format!("{worker}{mark}:{role}/{phase}")
        }
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_shown_with_leader_role_and_phase() {
        let row = json!({ "shard": 3, "replicas": [
            { "worker": 7, "role": "voter", "phase": "ready", "leads": true },
            { "worker": 8, "role": "joining", "phase": null, "leads": false },
        ]});
        let shown = grid(&SHARDS, &[row]);
        assert_eq!(shown.rows[0][0], Cell::Number(3));
        assert_eq!(shown.rows[0][6], Cell::text("7*:voter/ready 8:joining/unseen"));
    }
}
