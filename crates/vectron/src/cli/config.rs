//! `vectron config`: the settings that a node started here would have.

use super::exit::{Exit, Failure, Outcome};
use super::output::{Cell, Grid, Output};
use crate::settings::Settings;
use clap::Subcommand;
use vectron_base::knob::KnobError;

/// Verbs of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every knob's value.
    #[command(after_help = "Example:\n  vectron config show --origin")]
    Show {
        /// Say where each value comes from.
        #[arg(long)]
        origin: bool,
    },
    /// Check the settings in the environment; exit code 8 if one is wrong.
    #[command(after_help = "Example:\n  vectron config validate")]
    Validate,
}

/// Runs a verb.
pub fn run(command: ConfigCommand, out: Output) -> Outcome<Exit> {
    match command {
        ConfigCommand::Show { origin } => show(&Settings::from_env().map_err(|e| wrong(&e))?, origin, out),
        ConfigCommand::Validate => match Settings::from_env() {
            Ok(_) => {
                let knobs = Settings::table().len();
                let mut grid = Grid::new(["valid", "knobs"]);
                grid.row(vec![Cell::text("yes"), Cell::Number(knobs as u64)]);
                let document = serde_json::json!({ "valid": true, "knobs": knobs, "errors": [] });
                out.answer(&grid, &document, &[&document]).map(|()| Exit::Ok)
            }
            Err(errors) => {
                if !out.for_people() {
                    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    let mut grid = Grid::new(["valid", "error"]);
                    for line in &lines {
                        grid.row(vec![Cell::text("no"), Cell::text(line)]);
                    }
                    let knobs = Settings::table().len();
                    let document = serde_json::json!({ "valid": false, "knobs": knobs, "errors": lines });
                    out.answer(&grid, &document, &[&document])?;
                }
                Err(Failure { exit: Exit::CheckFailed, ..wrong(&errors) })
            }
        },
    }
}

/// Every wrong setting at once.
pub fn wrong(errors: &[KnobError]) -> Failure {
    let lines: Vec<String> = errors.iter().map(|error| format!("\n  {error}")).collect();
    let (count, plural) = (errors.len(), if errors.len() == 1 { "" } else { "s" });
    Failure::usage(format!("{count} setting{plural} in the environment cannot be used:{}", lines.concat()))
        .fix("correct or unset them; `vectron config show` lists every knob")
}

fn show(settings: &Settings, origin: bool, out: Output) -> Outcome<Exit> {
    let mut grid = Grid::new(["knob", "value", "unit", "variable"]);
    if origin {
        grid.columns.insert(2, "origin".into());
    }
    let mut items = Vec::new();
    for knob in Settings::table() {
        let setting = settings.origins().get(knob.name);
        let value = setting.map_or(knob.default.clone(), |setting| setting.value.clone());
        let from = setting.map_or("default", |setting| setting.origin);
        let mut row =
            vec![Cell::text(knob.name), Cell::text(&value), Cell::text(knob.unit), Cell::text(knob.env)];
        let mut item = serde_json::json!({
            "name": knob.name, "value": value, "unit": knob.unit, "env": knob.env, "default": knob.default,
            "bounds": knob.bounds.describe(), "about": knob.about.trim(),
        });
        if origin {
            row.insert(2, Cell::text(from));
            item["origin"] = from.into();
        }
        grid.row(row);
        items.push(item);
    }
    out.answer(&grid, &serde_json::json!({ "knobs": items }), &items)?;
    Ok(Exit::Ok)
}
