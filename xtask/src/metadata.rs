//! What cargo knows about the crates of this workspace.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::Value;

use crate::run::Step;

/// One crate of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its features, `default` among them if it has one; ascending.
    pub(crate) features: Vec<String>,
    /// The workspace crates it needs to be built (not those that only its tests need).
    pub(crate) needs: BTreeSet<String>,
}

/// All crates of the workspace, ascending by name.
pub(crate) fn packages() -> Result<Vec<Package>, String> {
    let mut packages: Vec<Package> = array(&metadata()?, "packages").map(package).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> Result<PathBuf, String> {
    Ok(text(&metadata()?, "target_directory").into())
}

fn metadata() -> Result<Value, String> {
    let args = ["metadata", "--no-deps", "--format-version", "1"];
    let text = Step::cargo(&args).output()?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))
}

fn package(json: &Value) -> Package {
    let features = json.get("features").and_then(Value::as_object);
    let mut features: Vec<String> = features.into_iter().flat_map(|f| f.keys().cloned()).collect();
    features.sort();
    // A crate of the workspace has a path; a dependency without a kind is a normal one.
    let needs = array(json, "dependencies")
        .filter(|d| d.get("path").is_some() && d.get("kind").is_some_and(Value::is_null))
        .map(|d| text(d, "name"))
        .collect();
    Package { name: text(json, "name"), features, needs }
}

fn array<'a>(json: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    json.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text(json: &Value, name: &str) -> String {
    json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
