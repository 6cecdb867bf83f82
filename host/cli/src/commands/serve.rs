//! `trimtab serve`: the host, until it is asked to stop.

use std::{net::SocketAddr, sync::Arc};

use trimtab_server::{Begun, ExitCode, Failure, Listen, ServeError, Service, serve};

use crate::{
    args::{Global, ServeArgs},
    connect,
    output::Output,
};

pub(crate) async fn run(global: &Global, args: &ServeArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let data = global.data.clone();
    let (service, start) = connect::blocking(move || connect::begin(&data)).await?;
    let listen = listen(&global.data, args.listen)?;
    let data = global.data.clone();
    let start = move |service: &Service| {
        service.host().start(start).map_err(|error| connect::not_opened(&data, error))
    };
    let told = |begun, socket: &std::path::Path, address| {
        // Those who started the host wait for its last line.
        match begun {
            Begun::Listening => says_what_is_restored(&service, output),
            Begun::Ready => is_ready(&global.data, &service, (socket, address), output),
        }
    };
    serve(Arc::clone(&service), listen, start, told).await.map_err(|error| {
        let exit = match error {
            ServeError::Start(failure) => return failure,
            ServeError::Socket { .. } | ServeError::Io(_) => ExitCode::Files,
            ServeError::Listen { .. } | ServeError::NotLoopback(_) => ExitCode::Config,
        };
        Failure { exit_code: exit as u8, ..Failure::files(error.to_string()) }
    })?;
    Ok(ExitCode::Ok)
}

/// A long start says what it is at.
fn says_what_is_restored(service: &Service, output: &mut Output) {
    if let Some(behind) = service.host().behind() {
        output.note(format!("listening; {behind}"));
    }
}

fn is_ready(
    data: &std::path::Path,
    service: &Service,
    (socket, address): (&std::path::Path, Option<SocketAddr>),
    output: &mut Output,
) {
    for problem in service.host().policy_problems() {
        output.note(format!(
            "warning: {}{}",
            problem.problem,
            if problem.still_serving { " (the version before keeps serving)" } else { "" }
        ));
    }
    let told = if output.is_json() {
        output.json(&serde_json::json!({ "ready": true, "socket": socket, "address": address }))
    } else {
        let address = address.map(|address| format!(" and http://{address}")).unwrap_or_default();
        output.line(format!("ready: serving `{}` on {}{address}", data.display(), socket.display()))
    };
    told.ok();
}

/// Where to serve besides the socket: what the command line says, or else the configuration.
fn listen(data: &std::path::Path, asked: Option<SocketAddr>) -> Result<Option<Listen>, Failure> {
    let path = data.join(connect::CONFIG);
    let configuration = connect::read_configuration(&path)?;
    let address = match (asked, configuration.host.listen) {
        (Some(address), _) => address,
        (None, None) => return Ok(None),
        (None, Some(text)) => text.parse().map_err(|_| {
            let message = format!(
                "{}: `host.listen` is `{text}`, which is not an address and port; write it as 127.0.0.1:7878",
                path.display()
            );
            Failure { exit_code: ExitCode::Config as u8, ..Failure::invalid(message) }
        })?,
    };
    Ok(Some(Listen { address, hosts: configuration.http.hosts }))
}
