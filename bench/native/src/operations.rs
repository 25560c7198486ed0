//! Requests come in as lines of JSON, in the form of the load generator; answers go out with what each asked of the world.

use crate::{
    Failure,
    world::{World, now},
};
use edgemint::{context::config::Vars, server::Server, wire::Request};
use http::Method;
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};

/// The variables of a deployment in development.
pub fn vars(issuer: &str) -> Vars {
    let var = |name: &str| std::env::var(name).ok();
    Vars {
        mode: Some("development".to_owned()),
        issuer: Some(issuer.to_owned()),
        master_key: var("MASTER_KEY"),
        admin_token: var("ADMIN_TOKEN"),
    }
}

/// Answers until there is nothing more to answer.
pub fn answer(issuer: &str) -> Result<(), Failure> {
    let world = World::new(0)?;
    let server = Server::new(&vars(issuer));
    let host = issuer.split_once("://").map_or(issuer, |(_, host)| host);
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let target = text("path");
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let headers = asked["headers"].as_object().into_iter().flatten();
        let request = Request {
            method: Method::from_bytes(text("method").as_bytes())?,
            secure: false,
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            body: Some(text("body").into_bytes()),
        };
        world.counts();
        let response = now(server.respond(&world, &request)).ok_or("it waits")?;
        let headers: Vec<String> =
            response.headers.iter().map(|(name, value)| format!("\r\n{name}: {value}")).collect();
        let told = json!({
            "status": response.status.as_u16(),
            "head": format!("HTTP/1.1 {}{}", response.status, headers.concat()),
            "text": String::from_utf8_lossy(&response.body),
            "counts": world.counts(),
        });
        writeln!(out, "{told}")?;
        out.flush()?;
    }
    Ok(())
}
