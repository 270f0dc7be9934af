//! A stand-in for the service of a language model, for tests: it speaks the same API on a port of
//! this machine, says what a script has it say, and keeps what it was asked.
//!
//! The file needs nothing but `serde_json`, so that the tests of another crate can take it in with
//! `#[path]`.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// Longest that a connection may stay silent.
const PATIENCE: Duration = Duration::from_secs(20);
const REQUEST_MAX: usize = 16 << 20;

/// What to do with a question.
#[derive(Clone, Debug)]
pub enum Play {
    /// Answer with this text.
    Say(String),
    /// Answer with this document.
    Json(u16, Value),
    /// Answer with these headers and this body.
    Raw(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Too many requests; try again after so many seconds.
    Busy(Option<&'static str>),
    /// A status of failure with a message.
    Fail(u16, &'static str),
    /// A status of failure whose message has the key in it.
    EchoKey(u16),
    /// Elsewhere.
    Redirect(String),
    /// Something that is no HTTP.
    Garbage,
    /// The same after a while.
    After(Duration, Box<Play>),
    /// A body that comes a byte at a time, without end.
    Drip(Duration),
    /// A body of so many bytes.
    Huge(usize),
    /// Close the connection without a word.
    Close,
}

impl Play {
    /// Answer with this text.
    pub fn say(text: impl Into<String>) -> Self {
        Self::Say(text.into())
    }

    /// The same after so many milliseconds.
    pub fn after_ms(self, ms: u64) -> Self {
        Self::After(Duration::from_millis(ms), Box::new(self))
    }
}

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The first line, such as `POST /v1/chat/completions HTTP/1.1`.
    pub line: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; null if it is no JSON.
    pub body: Value,
}

impl Asked {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }

    /// What all messages say, one after the other.
    pub fn text(&self) -> String {
        let messages = self.body["messages"].as_array();
        let texts = messages.into_iter().flatten();
        let texts = texts.filter_map(|message| message["content"].as_str());
        texts.collect::<Vec<_>>().join("\n")
    }
}

type Script = dyn FnMut(usize, &Asked) -> Play + Send;

struct Shared {
    script: Mutex<Box<Script>>,
    asked: Mutex<Vec<Asked>>,
    over: AtomicBool,
}

/// The service. It ends when it goes out of scope.
pub struct StandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<thread::JoinHandle<()>>,
}

impl StandIn {
    /// One that plays these, one for each question; more questions are refused.
    pub fn play(plays: impl IntoIterator<Item = Play>) -> Self {
        let mut plays = plays.into_iter().collect::<Vec<_>>().into_iter();
        Self::with(move |_, _| {
            plays
                .next()
                .unwrap_or(Play::Fail(400, "the script is over"))
        })
    }

    /// One that plays what this says to a question and its number, from 0.
    pub fn with(script: impl FnMut(usize, &Asked) -> Play + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&shared);
        let listen = move || {
            for stream in listener.incoming().flatten() {
                if of_listener.over.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&of_listener);
                thread::spawn(move || {
                    // A client that goes away is no mistake.
                    let _ = shared.serve(stream);
                });
            }
        };
        Self {
            address,
            shared,
            listener: Some(thread::spawn(listen)),
        }
    }

    /// What to give as the service's URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let asked = read(&mut stream)?;
        let number = {
            let mut all = self.asked.lock().unwrap();
            all.push(asked.clone());
            all.len() - 1
        };
        let play = (self.script.lock().unwrap())(number, &asked);
        self.answer(&mut stream, &asked, play)
    }

    fn answer(&self, stream: &mut TcpStream, asked: &Asked, play: Play) -> io::Result<()> {
        match play {
            Play::Say(text) => write_json(stream, 200, &completion(&asked.body, &text)),
            Play::Json(status, value) => write_json(stream, status, &value),
            Play::Raw(status, headers, body) => write(stream, status, &headers, &body),
            Play::Busy(seconds) => {
                let headers: Vec<_> = seconds
                    .map(|seconds| ("Retry-After", seconds.to_owned()))
                    .into_iter()
                    .collect();
                let body = json!({"error": {"message": "too many requests"}}).to_string();
                write(stream, 429, &headers, body.as_bytes())
            }
            Play::Fail(status, message) => {
                write_json(stream, status, &json!({"error": {"message": message}}))
            }
            Play::EchoKey(status) => {
                let key = asked.header("authorization").unwrap_or("none");
                let message = format!("what is this: {key} (length {})", key.len());
                write_json(stream, status, &json!({"error": {"message": message}}))
            }
            Play::Redirect(to) => write(stream, 307, &[("Location", to)], b""),
            Play::Garbage => stream.write_all(b"220 mail.example ESMTP ready\r\n\r\n"),
            Play::After(wait, play) => {
                thread::sleep(wait);
                self.answer(stream, asked, *play)
            }
            Play::Drip(every) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
                while !self.over.load(Ordering::SeqCst) {
                    stream.write_all(b" ")?;
                    thread::sleep(every);
                }
                Ok(())
            }
            Play::Huge(bytes) => write(stream, 200, &[], &vec![b' '; bytes]),
            Play::Close => Ok(()),
        }
    }
}

/// An answer of the API.
pub fn completion(question: &Value, text: &str) -> Value {
    let prompt = question["messages"].to_string().len() / 4;
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": question["model"],
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": text.len() / 4,
            "total_tokens": prompt + text.len() / 4,
        },
    })
}

fn read(stream: &mut TcpStream) -> io::Result<Asked> {
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    let mut more = |bytes: &mut Vec<u8>| match stream.read(&mut piece)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ if bytes.len() > REQUEST_MAX => Err(io::Error::from(io::ErrorKind::InvalidData)),
        count => {
            bytes.extend_from_slice(&piece[..count]);
            Ok(())
        }
    };
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        more(&mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap_or(0));
    while bytes.len() < end + 4 + length {
        more(&mut bytes)?;
    }
    let body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or(Value::Null);
    Ok(Asked {
        line,
        headers,
        body,
    })
}

fn write_json(stream: &mut TcpStream, status: u16, value: &Value) -> io::Result<()> {
    let headers = [("Content-Type", "application/json".to_owned())];
    write(stream, status, &headers, value.to_string().as_bytes())
}

fn write(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
