//! A headless Chromium, told what to do by its own protocol over a pair of pipes: each message is
//! JSON and ends with a zero byte. So neither a driver nor a port is needed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Nothing that a page does here takes longer.
const LIMIT: Duration = Duration::from_secs(60);

const NAMES: [&str; 6] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
];

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    calls: u64,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts the browser that `BATON_CHROMIUM` names, or one from the path.
    ///
    /// # Panics
    /// If the variable names one that does not start. None where there is none.
    pub fn start() -> Option<Self> {
        let named = std::env::var_os("BATON_CHROMIUM").filter(|name| !name.is_empty());
        let Some(program) = named.map(PathBuf::from).or_else(on_path) else {
            eprintln!("no Chromium on this machine: the report was not looked at in a browser");
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory for the browser");
        let mut child = command(&program, profile.path())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let to = child.stdin.take().expect("a pipe");
        let from = listen(child.stdout.take().expect("a pipe"));
        let mut browser = Self {
            child,
            to,
            from,
            session: String::new(),
            calls: 0,
            events: Vec::new(),
            _profile: profile,
        };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let made = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = &made["targetId"];
        let attached = self.call(
            "Target.attachToTarget",
            json!({ "targetId": target, "flatten": true }),
        );
        self.session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Calls a method of the protocol.
    ///
    /// # Panics
    /// If it fails or does not answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let text = format!("{message}\0");
        self.to
            .write_all(text.as_bytes())
            .expect("the browser listens");
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let answer = self.from.recv_timeout(left);
            let answer = answer.unwrap_or_else(|error| panic!("{method}: no answer: {error}"));
            if answer["id"] != json!(self.calls) {
                self.events.push(answer);
                continue;
            }
            assert!(
                answer.get("error").is_none(),
                "{method}: {}",
                answer["error"]
            );
            return answer["result"].clone();
        }
    }

    /// The value of an expression in the page.
    ///
    /// # Panics
    /// If it throws.
    pub fn value(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let found = self.call("Runtime.evaluate", params);
        let thrown = found.get("exceptionDetails");
        assert!(thrown.is_none(), "{expression}: {thrown:?}");
        found["result"]["value"].clone()
    }

    /// A value that is a number.
    pub fn number(&mut self, expression: &str) -> f64 {
        let value = self.value(expression);
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn wait(&mut self, expression: &str) {
        let end = Instant::now() + LIMIT;
        while self.value(expression) != json!(true) {
            assert!(Instant::now() < end, "never came: {expression}");
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Opens a page in a window of this width.
    pub fn open(&mut self, page: &Path, width: u32) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 }),
        );
        let url = format!("file://{}", page.display());
        self.call("Page.navigate", json!({ "url": url }));
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'");
    }

    /// Sets what the page is shown on: `screen` or `print`, in the `light` or `dark` scheme.
    pub fn show_on(&mut self, medium: &str, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let params = json!({ "media": medium, "features": [feature] });
        self.call("Emulation.setEmulatedMedia", params);
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        let text = if key.len() == 1 { key } else { "" };
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { text };
        let down =
            json!({ "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", up);
    }

    /// The whole page as an image, if `BATON_SCREENSHOTS` names a directory for such.
    pub fn picture(&mut self, name: &str) {
        let Some(directory) = std::env::var_os("BATON_SCREENSHOTS") else {
            return;
        };
        let height = self.number("document.documentElement.scrollHeight");
        let width = self.number("document.documentElement.clientWidth");
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.call("Page.captureScreenshot", params);
        let path = Path::new(&directory).join(format!("{name}.png"));
        let image = decoded(shot["data"].as_str().expect("an image"));
        std::fs::write(&path, image).expect("the image can be written");
    }

    /// What the page complained of, and what it wanted from elsewhere.
    pub fn complaints(&mut self) -> Vec<String> {
        // An answer comes after all that happened before.
        self.value("1");
        let foreign = |event: &Value| {
            let url = event["params"]["request"]["url"]
                .as_str()
                .unwrap_or_default();
            !["file:", "data:", "blob:"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
        };
        let complaint = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded") => true,
            Some("Network.requestWillBeSent") => foreign(event),
            _ => false,
        };
        self.events
            .iter()
            .filter(complaint)
            .map(Value::to_string)
            .collect()
    }
}

impl Drop for Browser {
    /// What was started may be a script around the browser: the browser ends itself, and its pipe with
    /// it.
    fn drop(&mut self) {
        let _ = self
            .to
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let end = Instant::now() + LIMIT;
        while self
            .from
            .recv_timeout(end.saturating_duration_since(Instant::now()))
            .is_ok()
        {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let places = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.into_iter().find(|place| place.is_file())
}

/// The browser reads its protocol from descriptor 3 and writes it to 4; a shell puts our pipes
/// there.
fn command(program: &Path, profile: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
        ])
        .arg(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("about:blank")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// What the browser says, message by message. The thread ends with the browser.
fn listen(from: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        loop {
            let mut message = Vec::new();
            match from.read_until(0, &mut message) {
                Ok(read) if read > 0 => message.pop(),
                _ => return,
            };
            let Ok(message) = serde_json::from_slice(&message) else {
                return;
            };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Base64, as images come.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(digit).collect();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for group in digits.chunks(4) {
        let all = group
            .iter()
            .fold(0u32, |all, digit| all << 6 | u32::from(*digit));
        let all = all << (6 * (4 - group.len()) as u32);
        bytes.extend_from_slice(&all.to_be_bytes()[1..group.len()]);
    }
    bytes
}
