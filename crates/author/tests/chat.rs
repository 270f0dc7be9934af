//! The client of a language model's service against a stand-in on this machine.

#[path = "common/stand_in.rs"]
mod stand_in;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use baton_author::chat::{
    Allowance, Answer, ChatError, Finish, Message, Retry, Role, Secret, Service, complete,
};
use serde_json::json;
use stand_in::{Play, StandIn};

const KEY: &str = "sk-a-key-that-must-not-be-seen";

fn service(url: &str) -> Service {
    let key = Secret::new(KEY.into());
    let mut service = Service::new(url, "small", key).unwrap();
    service.timeout = Duration::from_secs(5);
    service.retry = Retry {
        times: 4,
        first: Duration::from_millis(10),
        longest: Duration::from_millis(200),
    };
    service
}

fn ask(service: &Service) -> Result<Answer, ChatError> {
    let messages = [
        Message::new(Role::System, "be brief"),
        Message::new(Role::User, "write a policy"),
    ];
    let no = AtomicBool::new(false);
    let result = complete(service, &messages, &Allowance::default(), &no);
    let shown = format!("{result:?} {service:?}");
    assert!(!shown.contains(KEY), "{shown}");
    if let Err(error) = &result {
        let told = error.to_string();
        assert!(!told.contains(KEY) && !told.contains('\n'), "{told}");
        assert!(!error.code().is_empty());
    }
    result
}

/// The error after these plays, and how often the service was asked.
fn fails(plays: impl IntoIterator<Item = Play>) -> (ChatError, usize) {
    let stand_in = StandIn::play(plays);
    let error = ask(&service(&stand_in.url())).unwrap_err();
    (error, stand_in.asked().len())
}

fn told(plays: impl IntoIterator<Item = Play>, part: &str) {
    let (error, asked) = fails(plays);
    let text = error.to_string();
    assert!(text.contains(part), "{text}");
    assert_eq!(asked, 1, "{text}");
}

#[test]
fn a_question_is_answered() {
    let stand_in = StandIn::play([Play::say("```rust\n```")]);
    let answer = ask(&service(&stand_in.url())).unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.finish),
        ("```rust\n```", Finish::Stop)
    );
    assert!(!answer.usage.estimated && answer.usage.total() > 0);
    let asked = &stand_in.asked()[0];
    assert_eq!(asked.line, "POST /v1/chat/completions HTTP/1.1");
    let bearer = format!("Bearer {KEY}");
    assert_eq!(asked.header("authorization"), Some(bearer.as_str()));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.body["model"], "small");
    assert_eq!(asked.body["max_tokens"], 8192);
    assert_eq!(asked.text(), "be brief\nwrite a policy");
}

#[test]
fn without_a_key_none_is_sent() {
    let stand_in = StandIn::play([Play::say("yes"), Play::Fail(401, "who are you")]);
    let mut bare = Service::new(&stand_in.url(), "small", None).unwrap();
    bare.timeout = Duration::from_secs(5);
    assert_eq!(ask(&bare).unwrap().text, "yes");
    assert_eq!(stand_in.asked()[0].header("authorization"), None);
    let error = ask(&bare).unwrap_err().to_string();
    assert!(
        error.contains("wants a key (401): who are you; give one"),
        "{error}"
    );
}

#[test]
fn a_busy_service_is_asked_again() {
    let plays = [
        Play::Busy(Some("0.05")),
        Play::Fail(503, "Loading model"),
        Play::Close,
        Play::Fail(500, "oops"),
        Play::say("at last"),
    ];
    let stand_in = StandIn::play(plays);
    let answer = ask(&service(&stand_in.url())).unwrap();
    assert_eq!(
        (answer.text.as_str(), stand_in.asked().len()),
        ("at last", 5)
    );
    assert!(
        answer.took >= Duration::from_millis(50),
        "{:?}",
        answer.took
    );
}

#[test]
fn it_is_asked_five_times_at_most() {
    let (error, asked) = fails(std::iter::repeat_n(Play::Fail(500, "oops"), 9));
    assert_eq!(asked, 5);
    let text = error.to_string();
    assert!(
        text.contains("in 5 attempts, at last: oops (500)"),
        "{text}"
    );
}

#[test]
fn a_wait_that_is_asked_for_is_bounded() {
    let stand_in = StandIn::play([Play::Busy(Some("3600")), Play::say("yes")]);
    let answer = ask(&service(&stand_in.url())).unwrap();
    assert!(
        answer.took >= Duration::from_millis(200),
        "{:?}",
        answer.took
    );
    assert!(answer.took < Duration::from_secs(4), "{:?}", answer.took);
}

#[test]
fn a_wait_beyond_the_deadline_is_not_begun() {
    let stand_in = StandIn::play([Play::Busy(Some("60"))]);
    let mut service = service(&stand_in.url());
    service.retry.longest = Duration::from_secs(60);
    let begun = Instant::now();
    let error = ask(&service).unwrap_err().to_string();
    assert!(
        error.contains("(the last attempt: too many requests (429))"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn refusals_are_told_once() {
    told(
        [Play::Fail(401, "no such key")],
        "refuses the key (401): no such key",
    );
    told(
        [Play::Fail(404, "model small not found")],
        "has no model `small`",
    );
    told([Play::Fail(402, "pay")], "no credit left");
    let quota = json!({"error": {"message": "used up", "code": "insufficient_quota"}});
    told(
        [Play::Json(429, quota)],
        "no credit left for this key: used up",
    );
    told(
        [Play::Fail(400, "temperature is odd")],
        "(400): temperature is odd",
    );
    told(
        [Play::Fail(400, "maximum context length is 4096")],
        "too long for the model",
    );
    told(
        [Play::Json(400, json!({"detail": "wrong"}))],
        "(400): wrong",
    );
    told(
        [Play::Raw(418, vec![], b"<h1>\nteapot</h1>".to_vec())],
        "<h1> teapot</h1>",
    );
    told([Play::Garbage], "not of the chat API");
    told([Play::Huge(5 << 20)], "more than 4 MiB");
    told([Play::Huge(5)], "it is no JSON");
    told(
        [Play::Json(200, json!({"choices": []}))],
        "it has no choices",
    );
}

#[test]
fn a_key_that_comes_back_is_not_shown() {
    for status in [200, 400, 401, 403, 404, 413, 501] {
        told([Play::EchoKey(status)], "***");
    }
    let (error, asked) = fails(std::iter::repeat_n(Play::EchoKey(500), 5));
    assert!(error.to_string().contains("***"), "{error}");
    assert_eq!(asked, 5);
    let echo = Play::say(format!("your key {KEY} is fine"));
    let stand_in = StandIn::play([echo]);
    let answer = ask(&service(&stand_in.url())).unwrap();
    assert_eq!(answer.text, "your key *** is fine");
}

#[test]
fn a_redirect_is_not_followed() {
    let other = StandIn::play([Play::say("give me your key")]);
    let to = format!("{}/{KEY}", other.url());
    told([Play::Redirect(to)], "which is not followed");
    assert_eq!(other.asked().len(), 0);
}

#[test]
fn newer_models_have_another_name_for_the_limit() {
    let refusal = "Unsupported parameter: use 'max_completion_tokens' instead.";
    let stand_in = StandIn::play([Play::Fail(400, refusal), Play::say("yes")]);
    assert_eq!(ask(&service(&stand_in.url())).unwrap().text, "yes");
    let asked = stand_in.asked();
    assert_eq!(asked[1].body["max_completion_tokens"], 8192);
    assert!(asked[1].body.get("max_tokens").is_none());
    let (_, asked) = fails(std::iter::repeat_n(Play::Fail(400, refusal), 3));
    assert_eq!(asked, 2);
}

#[test]
fn a_slow_service_meets_the_deadline() {
    let slow = [
        Play::say("late").after_ms(3000),
        Play::Drip(Duration::from_millis(20)),
    ];
    for play in slow {
        let stand_in = StandIn::play([play]);
        let mut service = service(&stand_in.url());
        service.timeout = Duration::from_millis(400);
        let begun = Instant::now();
        let error = ask(&service).unwrap_err();
        assert!(matches!(error, ChatError::Deadline { .. }), "{error}");
        assert!(
            begun.elapsed() < Duration::from_millis(1500),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn nobody_there_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let begun = Instant::now();
    let error = ask(&service(&url)).unwrap_err();
    assert!(matches!(error, ChatError::Unreachable { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn who_speaks_no_tls_is_not_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    let speaks_http = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 4096];
        let count = stream.read(&mut hello).unwrap();
        let said = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(said).unwrap();
        hello[..count].to_vec()
    });
    let error = ask(&service(&url)).unwrap_err();
    assert!(matches!(error, ChatError::Tls { .. }), "{error}");
    let hello = speaks_http.join().unwrap();
    assert!(
        !hello
            .windows(KEY.len())
            .any(|bytes| bytes == KEY.as_bytes())
    );
}

#[test]
fn a_stop_is_heeded() {
    for play in [Play::say("late").after_ms(3000), Play::Busy(Some("60"))] {
        let stand_in = StandIn::play([play]);
        let mut service = service(&stand_in.url());
        (service.timeout, service.retry.longest) = (Duration::from_secs(90), service.timeout);
        let stop = AtomicBool::new(false);
        let stopped = thread::scope(|scope| {
            let asking = scope.spawn(|| complete(&service, &[], &Allowance::default(), &stop));
            while stand_in.asked().is_empty() {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_millis(50));
            let begun = Instant::now();
            stop.store(true, Ordering::SeqCst);
            assert_eq!(asking.join().unwrap(), Err(ChatError::Stopped));
            begun.elapsed()
        });
        assert!(stopped < Duration::from_millis(400), "{stopped:?}");
    }
}

#[test]
fn a_budget_bounds_the_answer() {
    let stand_in = StandIn::play([Play::say("yes"), Play::say("late").after_ms(3000)]);
    let service = service(&stand_in.url());
    let messages = [Message::new(Role::User, "x".repeat(400))];
    let ask = |tokens, time| {
        let no = AtomicBool::new(false);
        complete(&service, &messages, &Allowance { tokens, time }, &no)
    };
    assert!(ask(Some(1104), None).is_ok());
    assert_eq!(stand_in.asked()[0].body["max_tokens"], 1000);
    let error = ask(Some(300), None).unwrap_err();
    assert_eq!(
        error,
        ChatError::OverBudget {
            needed: 104,
            left: 300
        }
    );
    let error = ask(None, Some(Duration::from_millis(200))).unwrap_err();
    assert!(matches!(error, ChatError::Deadline { .. }), "{error}");
}
