//! A real browser: what pages of other origins can do to a host that listens on loopback. Chromium shows the pages; a
//! small server of this test serves them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    doors::{denied, may_trade, stopped},
    languages::say,
    support::{Http, Scratch},
};

/// Lifts the kill switch in every way that a page has, and tells how each ended.
const ATTACK: &str = r#"<!DOCTYPE html><title>attack</title><body><script>
const address = 'http://TARGET/v1/kill-switch';
const lift = '{"model":"m","on":false,"actor":"page"}';
const told = {};
const attempt = async (name, act) => {
  try { told[name] = String(await act()); } catch (error) { told[name] = 'failed'; }
};
const send = async (options) => {
  const answer = await fetch(address, { method: 'POST', body: lift, ...options });
  return answer.type + ' ' + answer.status;
};
const form = (fields, enctype) => new Promise((done) => {
  const frame = document.createElement('iframe');
  frame.name = 'frame-' + document.forms.length;
  document.body.appendChild(frame);
  const form = document.body.appendChild(document.createElement('form'));
  Object.assign(form, { action: address, method: 'post', enctype, target: frame.name });
  for (const [name, value] of fields) {
    Object.assign(form.appendChild(document.createElement('input')), { type: 'hidden', name, value });
  }
  frame.onload = () => done('sent');
  form.submit();
});
(async () => {
  await attempt('beacon', () => navigator.sendBeacon(address, lift));
  await attempt('no-cors', () => send({ mode: 'no-cors' }));
  await attempt('no-cors, plain', () => send({ mode: 'no-cors', headers: { 'content-type': 'text/plain' } }));
  await attempt('no-cors, no type', () => send({ mode: 'no-cors', body: new Blob([lift]) }));
  await attempt('json', () => send({ headers: { 'content-type': 'application/json' } }));
  await attempt('plain form', () =>
    form([['{"model":"m","on":false,"actor":"page","reason":"', '"}']], 'text/plain'));
  await attempt('form', () =>
    form([['model', 'm'], ['on', 'false'], ['actor', 'page']], 'application/x-www-form-urlencoded'));
  await attempt('image', () => new Promise((done) => {
    const image = new Image();
    image.onload = image.onerror = () => done('asked');
    image.src = address;
  }));
  await fetch('/told', { method: 'POST', body: JSON.stringify(told) });
})();
</script>"#;

/// Does the same from what the browser takes to be the host's own origin.
const OWN: &str = r#"<!DOCTYPE html><title>own</title><script>
(async () => {
  const body = '{"model":"m","on":false,"actor":"page"}';
  const headers = { 'content-type': 'application/json' };
  const told = {
    read: (await fetch('/v1/status')).status,
    write: (await fetch('/v1/kill-switch', { method: 'POST', headers, body })).status,
  };
  await fetch('/told', { method: 'POST', body: JSON.stringify(told) });
})();
</script>"#;

/// What serves the pages. Everything under `/v1` it hands on to the host, as it came: so the host sees what it would see
/// if the page's name pointed to it, which is what rebinding makes of a name.
struct Pages {
    address: SocketAddr,
    told: Receiver<Value>,
}

impl Pages {
    fn serve(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("is bound");
        let (sender, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                // A browser may open connections that it never uses, and hang up on others.
                std::thread::spawn(move || answer(stream, target, &sender).ok());
            }
        });
        Self { address, told }
    }
}

fn answer(stream: TcpStream, target: SocketAddr, told: &Sender<Value>) -> std::io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let (mut head, mut length, mut line) = (String::new(), 0, String::new());
    while from.read_line(&mut line)? > 2 {
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let mut to = stream;
    let page = match head.split(' ').nth(1).unwrap_or_default() {
        "/attack" => ATTACK.replace("TARGET", &target.to_string()),
        "/own" => OWN.to_owned(),
        "/told" => {
            told.send(serde_json::from_slice(&body).unwrap_or_default()).ok();
            String::new()
        }
        path if path.starts_with("/v1/") => {
            let mut host = TcpStream::connect(target)?;
            write!(host, "{head}connection: close\r\n\r\n")?;
            host.write_all(&body)?;
            std::io::copy(&mut host, &mut to)?;
            return Ok(());
        }
        _ => String::new(),
    };
    let length = page.len();
    write!(
        to,
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{page}"
    )
}

/// A browser that shows one page. It ends with this value.
struct Chromium {
    process: Child,
    /// What it keeps, which nobody reads.
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// `None`: there is none on this machine.
    fn show(address: &str) -> Option<Self> {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg("--host-resolver-rules=MAP evil.example 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(address)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { process, _profile: profile })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("ends");
    }
}

/// Shows a page in a browser of its own: what the page tells. `None` without a browser.
#[track_caller]
fn show(pages: &Pages, name: &str, page: &str) -> Option<Value> {
    let browser = Chromium::show(&format!("http://{name}:{}/{page}", pages.address.port()))?;
    let told = pages.told.recv_timeout(Duration::from_secs(120));
    drop(browser);
    Some(told.unwrap_or_else(|error| panic!("{name}/{page} tells nothing: {error}")))
}

#[test]
fn no_page_of_another_origin_lifts_a_kill_switch() {
    let scratch = Scratch::with_config("");
    let host = stopped(&scratch);
    let Http::Port(target) = host.port() else { panic!("a port") };
    let pages = Pages::serve(target);

    // Another site, and another port of this machine.
    for name in ["evil.example", "localhost"] {
        let Some(told) = show(&pages, name, "attack") else {
            return say("skipped: there is no `chromium` on this machine; `apt-get install chromium`");
        };
        assert!(!may_trade(&host), "a page at {name} has lifted the kill switch: {told}");
        let opaque = json!("opaque 0");
        let sent = json!({
            "beacon": "true", "no-cors": opaque, "no-cors, plain": opaque, "no-cors, no type": opaque, "json": "failed",
            "plain form": "sent", "form": "sent", "image": "asked",
        });
        assert_eq!(told, sent, "the page at {name} did what it can");
    }
    // All that is a write came, and was refused for where it came from. (JSON was asked about first, and not sent.)
    let came = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        denied(&host, "origin") == 2 * 6
    });
    assert!(came, "{} writes were refused", denied(&host, "origin"));

    // A name that was made to point here.
    assert_eq!(show(&pages, "evil.example", "own"), Some(json!({ "read": 421, "write": 421 })));
    assert!(!may_trade(&host));
    // The same page under a name of the host is the host's own, and what it does has an effect: the way is open.
    assert_eq!(show(&pages, "localhost", "own"), Some(json!({ "read": 200, "write": 200 })));
    assert!(may_trade(&host));
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
}
