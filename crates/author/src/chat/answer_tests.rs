use serde_json::json;

use super::*;
use crate::chat::{Role, Secret};

fn service() -> Service {
    let key = Secret::new("sk-12345678".into());
    Service::new("http://127.0.0.1:1/v1", "small", key).unwrap()
}

fn answer(value: &Value) -> Result<Answer, ChatError> {
    let messages = [Message::new(Role::User, "12345678")];
    read(&service(), &messages, value.to_string().as_bytes())
}

fn content(content: Value, finish: &str) -> Result<Answer, ChatError> {
    answer(&json!({"choices": [{"message": {"content": content}, "finish_reason": finish}]}))
}

#[test]
fn texts_come_in_several_forms() {
    let check = |value: Value, text: &str| assert_eq!(content(value, "stop").unwrap().text, text);
    check(json!("yes"), "yes");
    check(
        json!([{"type": "text", "text": "a"}, {"type": "image"}, "b"]),
        "ab",
    );
    check(json!("<think>```rust\nno\n```</think>\n\nyes"), "yes");
    check(json!("say <think> here"), "say <think> here");
    check(json!("your key is sk-12345678"), "your key is ***");
}

#[test]
fn an_answer_without_text_says_why() {
    let check = |value: Value, finish, thinking| {
        assert_eq!(content(value, finish), Err(ChatError::NoText { thinking }));
    };
    check(json!(null), "stop", false);
    check(json!(""), "length", true);
    check(json!([]), "stop", false);
    check(json!("<think>so long"), "length", true);
    let refused = json!({"choices": [{"message": {"content": null, "refusal": "I will not"}}]});
    let message = "I will not".to_owned();
    assert_eq!(answer(&refused), Err(ChatError::Refused { message }));
}

#[test]
fn reasoning_is_no_answer() {
    let value = json!({"choices": [{
        "message": {"content": "yes", "reasoning_content": "hm", "refusal": null},
        "finish_reason": "stop",
    }]});
    assert_eq!(answer(&value).unwrap().text, "yes");
}

#[test]
fn tokens_are_counted_or_estimated() {
    let told = json!({
        "choices": [{"message": {"content": "yes"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7},
    });
    let told = answer(&told).unwrap();
    let usage = Usage {
        prompt_tokens: 5,
        completion_tokens: 7,
        estimated: false,
    };
    assert_eq!((told.usage, told.finish), (usage, Finish::Length));
    let usage = Usage {
        prompt_tokens: 6,
        completion_tokens: 2,
        estimated: true,
    };
    assert_eq!(content(json!("12345"), "eos").unwrap().usage, usage);
}

#[test]
fn what_is_not_of_the_api_is_told() {
    let check = |body: &str, part: &str| {
        let error = read(&service(), &[], body.as_bytes()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(part), "{text}");
        assert!(!text.contains("sk-12345678"), "{text}");
    };
    check("<html>sk-12345678</html>", "no JSON (<html>***</html>)");
    check("", "no JSON (it says nothing)");
    check("{}", "no choices");
    check("[]", "no choices");
    check(r#"{"choices": []}"#, "no choices");
    check(r#"{"choices": [{}]}"#, "no message");
    check(r#"{"error": {"message": "bad sk-12345678"}}"#, "bad ***");
    check(r#"{"error": "no"}"#, "(200): no;");
}

#[test]
fn foreign_words_are_made_harmless() {
    let check = |text: &str, expected: &str| assert_eq!(told(&service(), text), expected);
    check("a\n\n b\t\u{1b}[31mc", "a b [31mc");
    check(" \n", "it says nothing");
    let long = format!("{} sk-12345678", "x".repeat(295));
    let cut = told(&service(), &long);
    assert!(cut.ends_with("***"), "{cut}");
    assert!(told(&service(), &"é".repeat(1000)).len() < 310);
}

#[test]
fn a_question_has_what_is_set() {
    let mut service = service();
    let messages = [
        Message::new(Role::System, "be brief"),
        Message::new(Role::User, "hi"),
    ];
    let expected = json!({
        "model": "small",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
        "max_tokens": 10,
        "stream": false,
    });
    assert_eq!(
        question(&service, &messages, 10, Limit::MaxTokens),
        expected
    );
    (service.temperature, service.seed) = (Some(0.5), Some(3));
    let body = question(&service, &messages, 10, Limit::MaxCompletionTokens);
    assert_eq!(body["temperature"], 0.5);
    assert_eq!(body["seed"], 3);
    assert_eq!(body["max_completion_tokens"], 10);
    assert_eq!(body.get("max_tokens"), None);
}
