//! The documents tell the truth about names: every test, file and route that they name is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below, as a path from the root.
fn files(below: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(below)).unwrap() {
        let path = format!("{below}/{}", entry.unwrap().file_name().into_string().unwrap());
        if root().join(&path).is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn documents() -> Vec<String> {
    let written = |path: &String| Path::new(path).extension().is_some_and(|extension| extension == "md");
    let mut all: Vec<String> = files("docs").into_iter().filter(written).collect();
    all.extend(["README.md", "CHANGELOG.md", "SECURITY.md"].map(str::to_owned));
    all
}

/// What stands between backticks on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn is_file_of_ours(text: &str) -> bool {
    let below = ["src/", "tests/", "scripts/", "docs/"].iter().any(|below| text.starts_with(below));
    below && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
}

#[test]
fn every_file_that_a_document_names_is_there() {
    for document in documents() {
        for name in quoted(&read(&document)).filter(|text| is_file_of_ours(text)) {
            assert!(root().join(name).exists(), "{document} names {name}");
        }
    }
}

/// The last column of a table's row.
fn proof(row: &str) -> &str {
    row.trim_end_matches(['|', ' ']).rsplit_once('|').map_or("", |(_, proof)| proof)
}

/// Looks for every test that is named, each after the file it is in. Gives how many.
fn find_tests(text: &str) -> usize {
    let mut count = 0;
    let mut file = None;
    for text in quoted(text) {
        if is_file_of_ours(text) {
            file = Some((text, read(text)));
        } else if let Some((path, content)) = file.as_ref().filter(|_| text.contains(['_', ' '])) {
            let named = [format!("fn {text}("), format!("test('{text}'"), format!("test(`{text}`")];
            assert!(named.iter().any(|named| content.contains(named)), "{path} has no test {text}");
            count += 1;
        }
    }
    count
}

#[test]
fn every_test_that_a_table_names_is_in_the_file_it_names() {
    for document in ["docs/specifications.md", "docs/attacks.md", "docs/promises.md"] {
        let text = read(document);
        let count: usize = text.lines().filter(|line| line.starts_with('|')).map(proof).map(find_tests).sum();
        assert!(count > 50, "{document}: {count}");
    }
}

#[test]
fn every_line_of_a_specification_is_shown_by_a_test_or_said_not_to_be_done() {
    let overview = read("docs/specifications.md");
    for document in files("docs/specifications") {
        let text = read(&document);
        let is_row = |line: &&str| line.starts_with("| §");
        for row in text.lines().filter(is_row) {
            let proof = proof(row);
            assert!(
                find_tests(proof) > 0 || proof.contains("*not done*: "),
                "{document} shows nothing: {row}"
            );
        }
        assert!(text.lines().filter(is_row).count() > 10, "{document}");
        // Who else has duties, and that they can meet them.
        for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.starts_with('|')) {
            find_tests(paragraph);
        }
        assert!(
            overview.contains(&format!("({})", document.trim_start_matches("docs/"))),
            "{document} is not found"
        );
    }
}

#[test]
fn every_promise_has_its_number_and_what_shows_it() {
    let list = read("docs/promises.md");
    let rows = list.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let rows: Vec<(&str, &str)> = rows.filter(|(number, _)| *number != "no.").collect();
    assert_eq!(rows.len(), 29);
    for (expected, (number, row)) in (1..).zip(rows) {
        assert_eq!(number.parse(), Ok(expected), "numbers are what tests name a promise by");
        assert!(row.contains(" | `"), "nothing shows {number}");
    }
}

#[test]
fn every_attack_of_the_suite_is_in_the_table_of_attacks() {
    let table = read("docs/attacks.md");
    let mut suite = files("tests/native/attacks");
    suite.push("tests/edge/attacks.test.mjs".to_owned());
    for file in suite {
        let text = read(&file);
        let native = text.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
        let edge = text.split("  test('").skip(1).filter_map(|rest| rest.split('\'').next());
        for name in native.chain(edge) {
            assert!(table.contains(&format!("`{name}`")), "docs/attacks.md does not name {name} of {file}");
        }
    }
}

#[test]
fn every_test_that_another_document_names_exists() {
    let sources: String = files("src").iter().chain(&files("tests/native")).map(|file| read(file)).collect();
    for document in documents() {
        let text = read(&document);
        let is_name = |text: &&str| {
            text.matches('_').count() >= 3
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        for name in quoted(&text).filter(is_name) {
            // A parameter of OAuth can be as long: those stand in the sources as texts.
            let known = sources.contains(&format!("fn {name}")) || sources.contains(&format!("\"{name}\""));
            assert!(known, "{document} names {name}");
        }
    }
}

#[test]
fn the_readme_lists_every_route_and_the_operators_guide_every_setting() {
    let readme = read("README.md");
    for (_, path) in edgemint::server::routes() {
        // A segment that stands for something has a name there.
        let is_listed = |text: &str| match path.split_once("{}") {
            Some((stem, end)) => text
                .strip_prefix(stem)
                .and_then(|rest| rest.strip_suffix(end)?.strip_prefix('{')?.strip_suffix('}'))
                .is_some_and(|name| !name.contains('/')),
            None => text == path.replace("{*}", "…"),
        };
        assert!(quoted(&readme).any(is_listed), "README.md does not list {path}");
    }
    let guide = read("docs/operating.md");
    for key in edgemint::model::settings::Settings::default().to_json().keys() {
        assert!(guide.contains(&format!("| `{key}` |")), "docs/operating.md does not list {key}");
    }
}

#[test]
fn every_event_that_is_logged_is_in_the_operators_guide() {
    let guide = read("docs/operating.md");
    let mut count = 0;
    for file in files("src") {
        for text in read(&file).split('"').skip(1).step_by(2) {
            let kinds = [
                "login.",
                "logout.",
                "account.",
                "consent.",
                "token.",
                "admin.",
                "outbox.",
                "sweep.",
                "registration.",
                "external.",
                "gateway.",
            ];
            let is_event = kinds.iter().any(|kind| text.starts_with(kind))
                && text.chars().all(|c| c.is_ascii_lowercase() || c == '.')
                && !matches!(text, "admin.read" | "gateway.routes")
                && !text.contains(".html");
            if is_event && !text.ends_with('.') {
                assert!(
                    guide.contains(&format!("`{text}`")),
                    "docs/operating.md does not list {text}, of {file}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 15, "{count}");
}
