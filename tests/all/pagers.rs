//! Alerts on their way to people through the programs that page them: a real Alertmanager, a real mail server, and a bot as
//! Telegram's interface has it.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{
    languages::say,
    sinks::{Receiver, drifting, response, rows, sink, states},
    support::{Http, Scratch},
    swap::eventually,
};

/// A running Alertmanager. It dies with this value.
struct Alertmanager {
    child: Child,
    http: Http,
    port: u16,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Alertmanager {
    /// Pages `receiver` at once. `None`: there is none on this machine.
    fn start(scratch: &Scratch, receiver: &Receiver) -> Option<Self> {
        let names = ["prometheus-alertmanager", "alertmanager"];
        let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
        let Some(program) = names.into_iter().find(is_there) else {
            say("skipped: there is no Alertmanager on this machine; install prometheus-alertmanager");
            return None;
        };
        let config = format!(
            "route: {{ receiver: desk, group_by: [model, kind], group_wait: 100ms, group_interval: 100ms, repeat_interval: 1h }}\nreceivers:\n- name: desk\n  webhook_configs: [{{ url: \"http://127.0.0.1:{}/page\", send_resolved: true }}]\n",
            receiver.port
        );
        let config = scratch.file("alertmanager.yml", config);
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a port");
        let child = Command::new(program)
            .arg(format!("--config.file={config}"))
            .arg(format!("--storage.path={}", scratch.path("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        Some(Self { child, http: Http::Port(address), port: address.port() })
    }

    /// What fires now, as (model, kind, severity); `None`: it does not answer yet.
    fn firing(&self) -> Option<Vec<(String, String, String)>> {
        let head = "GET /api/v2/alerts?active=true HTTP/1.0\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let reply = self.http.exchange(head, b"").ok().filter(|reply| reply.status == 200)?;
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let one = |alert: &Value| (label(alert, "model"), label(alert, "kind"), label(alert, "severity"));
        Some(reply.json().as_array()?.iter().map(one).collect())
    }
}

#[test]
fn an_alertmanager_pages_when_a_model_drifts_and_says_when_it_is_over() {
    let elsewhere = Scratch::empty();
    let pager = Receiver::start(|_| response("200 OK", ""));
    let Some(manager) = Alertmanager::start(&elsewhere, &pager) else { return };
    eventually(|| manager.firing());
    let config = sink("pager", "alertmanager", manager.port, "").replace("/in\"", "\"");
    let (scratch, host) = drifting(&config);
    eventually(|| (states(&scratch, "pager").first()? == "delivered").then_some(()));
    let firing = eventually(|| manager.firing().filter(|firing| !firing.is_empty()));
    assert_eq!(firing.len(), 1, "one severity at a time: {firing:?}");
    let (model, kind, severity) = firing[0].clone();
    assert_eq!((model.as_str(), kind.as_str()), ("m", "performance"));
    assert!(["high", "critical"].contains(&severity.as_str()), "{firing:?}");
    let page = eventually(|| pager.arrived().into_iter().find(|page| page.body["status"] == "firing"));
    let told = &page.body["alerts"][0];
    assert_eq!(told["labels"]["alertname"], "TrimtabDrift");
    assert!(told["annotations"]["summary"].as_str().is_some_and(|summary| summary.contains('m')), "{told}");

    // It recovers: the page says so, and nothing fires any more.
    host.socket().post_lines("/v1/rows", rows(600, 4_600, 0.95)).expect(200);
    eventually(|| manager.firing().filter(Vec::is_empty));
    eventually(|| pager.arrived().into_iter().find(|page| page.body["status"] == "resolved"));
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
}

#[test]
fn a_bot_of_telegram_is_told_in_its_own_layout_or_in_plain_text() {
    // It does not understand the layout of the first message.
    let bot = Receiver::start(|number| match number {
        1 => response("400 Bad Request", "{\"ok\":false,\"description\":\"can't parse entities\"}"),
        _ => response("200 OK", "{\"ok\":true}"),
    });
    let config = sink("desk", "telegram", bot.port, "chat = \"-100200\"\n");
    let (scratch, host) = drifting(&config);
    eventually(|| (states(&scratch, "desk").first()? == "delivered").then_some(()));
    eventually(|| states(&scratch, "desk").iter().all(|state| state == "delivered").then_some(()));
    let arrived = bot.arrived();
    assert_eq!(arrived[0].body["parse_mode"], "HTML", "{:?}", arrived[0]);
    assert!(arrived[0].body["text"].as_str().is_some_and(|text| text.contains("<b>")));
    assert!(arrived[1].body.get("parse_mode").is_none(), "{:?}", arrived[1]);
    assert!(arrived[1].body["text"].as_str().is_some_and(|text| !text.contains("<b>")));
    assert!(arrived.iter().all(|message| message.body["chat_id"] == "-100200"));
    assert_eq!(host.stop(), Some(0));
    // Without a chat there is nobody to tell.
    scratch.configure(&scratch.path("none"), &sink("desk", "telegram", bot.port, ""));
    scratch.run(&["status"]).expect(78).says(&["sinks.desk.chat"]);
}

/// A mail server that writes what it gets to a file. It dies with this value.
struct MailServer {
    child: Child,
    port: u16,
    kept: std::path::PathBuf,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl MailServer {
    /// `None`: there is none on this machine.
    fn start(scratch: &Scratch) -> Option<Self> {
        // The system's own Python has what the system installs.
        let has_it = |python: &&str| {
            Command::new(python)
                .args(["-c", "import aiosmtpd"])
                .output()
                .is_ok_and(|run| run.status.success())
        };
        let Some(python) = ["/usr/bin/python3", "python3"].into_iter().find(has_it) else {
            say("skipped: there is no mail server on this machine; install python3-aiosmtpd");
            return None;
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a port").port();
        let kept = scratch.path("mail");
        let child = Command::new(python)
            .args(["-u", "-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}")])
            .args(["-c", "aiosmtpd.handlers.Debugging", "stdout"])
            .stdout(std::fs::File::create(&kept).expect("creates"))
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        eventually(|| std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Self { child, port, kept })
    }

    fn mail(&self) -> String {
        std::fs::read_to_string(&self.kept).expect("reads")
    }
}

#[test]
fn mail_arrives_as_text_and_html_once() {
    let elsewhere = Scratch::empty();
    let Some(server) = MailServer::start(&elsewhere) else { return };
    let mail = |name: &str, port: u16, more: &str| {
        format!(
            "[sinks.{name}]\ntype = \"email\"\nurl = \"smtp://127.0.0.1:{port}\"\nfrom = \"Trimtab <trimtab@example.com>\"\nto = [\"desk@example.com\", \"Ada <ada@example.com>\"]\n{more}"
        )
    };
    let config = [
        mail("desk", server.port, "private = true\n"),
        // Nobody there, and one that may not be reached.
        mail("gone", 9, "private = true\n"),
        mail("inside", server.port, ""),
    ]
    .concat();
    let (scratch, host) = drifting(&config);
    eventually(|| (states(&scratch, "desk").first()? == "delivered").then_some(()));
    eventually(|| states(&scratch, "desk").iter().all(|state| state == "delivered").then_some(()));
    eventually(|| (states(&scratch, "inside").first()? == "refused").then_some(()));
    assert!(states(&scratch, "gone").iter().all(|state| state != "delivered"));
    let mail = server.mail();
    for part in [
        "From: Trimtab <trimtab@example.com>",
        "To: desk@example.com, Ada <ada@example.com>",
        "Subject: ",
        "Message-ID: <e-",
        "Content-Type: multipart/alternative",
        "Content-Type: text/html",
    ] {
        assert!(mail.contains(part), "should contain `{part}`: {mail}");
    }
    assert_eq!(mail.matches("Message-ID: ").count(), states(&scratch, "desk").len(), "each once");
    assert_eq!(host.stop(), Some(0));
    for (wrong, says) in [
        (mail_with("to = []"), "sinks.desk.to"),
        (mail_with("to = [\"no address\"]"), "sinks.desk.to"),
        (mail_with("to = [\"a@example.com\"]").replace("smtp://", "http://"), "sinks.desk.url"),
    ] {
        scratch.configure(&scratch.path("none"), &wrong);
        scratch.run(&["status"]).expect(78).says(&[says]);
    }
}

fn mail_with(to: &str) -> String {
    format!("[sinks.desk]\ntype = \"email\"\nurl = \"smtp://127.0.0.1:9\"\nfrom = \"a@example.com\"\n{to}\n")
}
