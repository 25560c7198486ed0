//! Who may import whom: each layer only those before it. This test keeps it true.

const LAYERS: &[&[&str]] = &[
    &["list"],
    &["sorted"],
    &["waiting"],
    &["error"],
    &["json"],
    &["wire"],
    &["host"],
    &["crypto"],
    &["model"],
    &["objects"],
    &["context"],
    &["jws"],
    &["upstream"],
    &["farewell"],
    &["caller", "session", "sign_in"],
    &["issue"],
    &["grants"],
    &["pages"],
    &["endpoints"],
    &["server"],
    &["edge"],
];

fn layer(name: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&name));
    found.unwrap_or_else(|| panic!("{name} has no layer"))
}

fn sources() -> Vec<(String, String)> {
    files("src", "rs")
}

/// Every file below that ends like this, as a path from there, and its text.
fn files(below: &str, ending: &str) -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    let mut paths = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

#[test]
fn imports_point_inward() {
    let mut seen = 0;
    for (path, text) in sources() {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        for name in imports(&text) {
            assert!(layer(&name) <= layer(module), "src/{path} may not import crate::{name}");
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} imports were seen");
}

#[test]
fn only_the_edge_knows_the_workers_runtime() {
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.starts_with("edge")) {
        for name in ["worker::", "js_sys", "wasm_bindgen"] {
            assert!(!text.contains(name), "src/{path} names {name}");
        }
    }
}

#[test]
fn no_file_has_grown_past_500_lines() {
    for (below, ending) in [("src", "rs"), ("tests/native", "rs"), ("tests/edge", "mjs")] {
        let files = files(below, ending);
        assert!(files.len() > 10, "only {} files below {below}", files.len());
        for (path, text) in files {
            assert!(text.lines().count() <= 500, "{below}/{path} holds two things");
        }
    }
}

/// The first segment after every `crate::`, including those in a braced list.
fn imports(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + 7..];
        let Some(list) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (index, c) in list.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if c.is_alphabetic() && start && depth == 0 => {
                    found.push(word(&list[index..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn a_braced_list_is_read_to_its_end() {
    assert_eq!(imports("use crate::{a::{b, c}, d, e::f};\ncrate::g::h()"), ["a", "d", "e", "g"]);
}
