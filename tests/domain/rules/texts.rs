use tenure::domain::model::id::{EnvironmentId, PREFIXES, TokenId, UserId};
use tenure::domain::model::name::{
    ActionName, EmailAddress, EnvironmentName, Label, PersonName, Reason, ResourceId, ResourceTypeName,
    ServiceUserName, StoredText as _, WorkspaceName,
};
use tenure::domain::model::resource::ResourceKey;

fn accepts<T: std::str::FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

#[test]
fn workspace_and_service_user_names_are_lowercase() {
    for good in ["a", "0", "acme", "a-b_c", "9lives", "ws_acme", &"a".repeat(64)] {
        assert!(accepts::<WorkspaceName>(good), "{good}");
        assert!(accepts::<ServiceUserName>(good), "{good}");
    }
    for bad in ["", "A", "aB", "a b", "a.b", "ä", "a\n", &"a".repeat(65)] {
        assert!(!accepts::<WorkspaceName>(bad), "{bad:?}");
        assert!(!accepts::<ServiceUserName>(bad), "{bad:?}");
    }
}

#[test]
fn the_name_of_a_service_user_has_a_letter_or_a_digit() {
    for good in ["key_rotator", "env_sync", "_ci", "-ci", "svc_", "--0--", &format!("{}a", "_".repeat(63))] {
        assert!(accepts::<ServiceUserName>(good), "{good}");
    }
    for bad in ["_", "-", "_-_", &"_".repeat(64), &format!("{}a", "_".repeat(64))] {
        assert!(!accepts::<ServiceUserName>(bad), "{bad:?}");
    }
    for bad in ["-a", "_a"] {
        assert!(!accepts::<WorkspaceName>(bad) && !accepts::<EnvironmentName>(bad), "{bad:?}");
    }
}

#[test]
fn environment_names_may_be_of_any_case() {
    for good in ["a", "Prod", "PROD-2", "x_y", &"Z".repeat(64)] {
        assert!(accepts::<EnvironmentName>(good), "{good}");
    }
    for bad in ["", "-a", "_a", "a b", "a/b", "é", "a\u{202e}", &"Z".repeat(65)] {
        assert!(!accepts::<EnvironmentName>(bad), "{bad:?}");
    }
}

#[test]
fn the_names_of_resource_types_and_actions_are_words_and_name_no_subject() {
    for good in ["gpu", "gpu_2", "env_x", "environment", "users", &"a".repeat(64)] {
        assert!(accepts::<ResourceTypeName>(good) && accepts::<ActionName>(good), "{good}");
    }
    for bad in ["", "Gpu", "2gpu", "_gpu", "g-pu", "g/pu", "g pu", "gpü", &"a".repeat(65)] {
        assert!(!accepts::<ResourceTypeName>(bad) && !accepts::<ActionName>(bad), "{bad:?}");
    }
    for actor in ["user", "service_user", "task", "proxy_token", "token", "access_key", "operator", "system"] {
        assert!(!accepts::<ResourceTypeName>(actor) && accepts::<ActionName>(actor), "{actor}");
    }
}

#[test]
fn a_resource_id_is_free_text() {
    for good in ["a", "db/password", "a b", "s3://bucket/ü?x=1#y", "...", &"ü".repeat(256)] {
        assert!(accepts::<ResourceId>(good), "{good}");
        let key: ResourceKey = format!("gpu/{good}").parse().unwrap();
        assert_eq!((key.resource_type.as_str(), key.id.as_str()), ("gpu", good));
        assert_eq!(key.to_string(), format!("gpu/{good}"));
    }
    for bad in ["", " ", ".", "..", "a\n", "a\u{0}", "\u{202e}a", "a\u{200f}", &"ü".repeat(257)] {
        assert!(!accepts::<ResourceId>(bad) && !accepts::<ResourceKey>(&format!("gpu/{bad}")), "{bad:?}");
    }
    assert!(!accepts::<ResourceKey>("gpu") && !accepts::<ResourceKey>("/a") && !accepts::<ResourceKey>("user/a"));
}

#[test]
fn no_name_has_the_whole_form_of_an_id() {
    let names = |text: &str| {
        let lower = accepts::<WorkspaceName>(text) && accepts::<ServiceUserName>(text);
        (lower, accepts::<EnvironmentName>(text), accepts::<ResourceTypeName>(text) && accepts::<ActionName>(text))
    };
    for prefix in PREFIXES {
        for letters in ["01h455vb4pex5vsknk084sn02q", "7zzzzzzzzzzzzzzzzzzzzzzzzz", "8zzzzzzzzzzzzzzzzzzzzzzzzz"] {
            assert_eq!(names(&format!("{prefix}_{letters}")), (false, false, false), "{prefix}_{letters}");
            for upper in
                [format!("{}_{letters}", prefix.to_uppercase()), format!("{prefix}_{}", letters.to_uppercase())]
            {
                assert!(!accepts::<EnvironmentName>(&upper), "{upper}");
            }
        }
        for rest in
            ["_x", "_01h455vb4pex5vsknk084sn02", "_01h455vb4pex5vsknk084sn02qq", "_01h455vb4pex5vsknk084sn02u", ""]
        {
            assert_eq!(names(&format!("{prefix}{rest}")), (true, true, true), "{prefix}{rest}");
        }
        assert_eq!(names(&format!("my{prefix}_01h455vb4pex5vsknk084sn02q")), (true, true, true), "{prefix}");
    }
}

#[test]
fn a_user_id_is_opaque_and_plain_ascii() {
    for good in [
        "a",
        "ada",
        "auth0.12",
        "ada@example.com",
        "a+b_c-d",
        "...",
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "repo:acme/app:ref:refs/heads/main",
        "arn:aws:iam::123456789012:user/Bob",
        "spiffe://acme.example/ns/prod/sa/web",
        "https://id.example/~o'neil=1",
        &"u".repeat(255),
    ] {
        assert!(accepts::<UserId>(good), "{good}");
    }
    for bad in ["", ".", "..", "a b", "a%b", "a?b", "a#b", "a\\b", "ü", "a\u{0}", "a\u{200b}", "a`b", &"u".repeat(256)]
    {
        assert!(!accepts::<UserId>(bad), "{bad:?}");
    }
}

#[test]
fn a_reason_is_limited_in_characters_and_hides_nothing() {
    assert!(accepts::<Reason>("") && accepts::<Reason>("SEC-142: für Łukasz"));
    assert!(accepts::<Reason>(&"ü".repeat(1_000)) && !accepts::<Reason>(&"ü".repeat(1_001)));
    for hidden in
        ['\n', '\u{0}', '\u{7f}', '\u{85}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}']
    {
        let text = format!("a{hidden}b");
        assert!(!accepts::<Reason>(&text) && !accepts::<Label>(&text) && !accepts::<PersonName>(&text), "{text:?}");
    }
}

fn all_accept(text: &str) -> [bool; 5] {
    [
        accepts::<Reason>(text),
        accepts::<Label>(text),
        accepts::<PersonName>(text),
        accepts::<ResourceId>(text),
        accepts::<EmailAddress>(&format!("{text}@example.com")),
    ]
}

#[test]
fn no_text_holds_invisible_characters_or_line_separators() {
    for hidden in [
        '\u{85}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{70f}',
        '\u{115f}',
        '\u{180e}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{2028}',
        '\u{2029}',
        '\u{2060}',
        '\u{2064}',
        '\u{206f}',
        '\u{2800}',
        '\u{3164}',
        '\u{fe00}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{1d173}',
        '\u{e0001}',
        '\u{e0041}',
        '\u{e0100}',
        '\u{e01ef}',
    ] {
        for text in [format!("a{hidden}b"), format!("{hidden}a"), format!("a{hidden}")] {
            assert_eq!(all_accept(&text), [false; 5], "{text:?}");
        }
    }
    let family = "👩\u{200d}👩\u{200d}👧";
    for text in [family, "👍\u{fe0f}\u{fe0f}", "⚠\u{fe0f}\u{200d}", "日\u{fe0f}", "ß\u{fe0f}", "1\u{fe0f}\u{20e3}"]
    {
        assert_eq!(all_accept(text), [false; 5], "{text:?}");
    }
    for text in
        ["ü", "日本語", "שלום", "नमस्ते", "a\u{301}", "👍", "👍🏽", "🇩🇪", "⚠\u{fe0f}", "©\u{fe0e}", "→", "“x”", "a\u{fffd}"]
    {
        assert_eq!(all_accept(text), [true; 5], "{text:?}");
    }
}

#[test]
fn a_text_of_an_older_log_is_read_as_it_was_stored() {
    let old = "a\u{200b}b\u{2028}c\u{e0041}👩\u{200d}👧";
    assert_eq!(Reason::stored(old).unwrap().as_str(), old);
    assert_eq!(Label::stored(old).unwrap().as_str(), old);
    assert_eq!(PersonName::stored(old).unwrap().as_str(), old);
    assert_eq!(ResourceKey::stored(&format!("gpu/{old}")).unwrap().id.as_str(), old);
    for never in ["a\nb", "a\u{85}b", "a\u{202e}b", "a\u{2066}b"] {
        assert!(Reason::stored(never).is_err() && ResourceId::stored(never).is_err(), "{never:?}");
    }
}

#[test]
fn labels_and_people_have_limits_too() {
    assert!(accepts::<Label>(&"l".repeat(128)) && !accepts::<Label>(&"l".repeat(129)) && !accepts::<Label>("  "));
    assert!(accepts::<PersonName>(&"n".repeat(200)) && !accepts::<PersonName>(&"n".repeat(201)));
    assert!(accepts::<EmailAddress>("ada@example.com") && !accepts::<EmailAddress>("@example.com"));
    assert!(!accepts::<EmailAddress>("ada@ example.com"));
    assert!(!accepts::<EmailAddress>(&format!("{}@e.com", "a".repeat(249))));
}

#[test]
fn an_id_is_accepted_in_its_one_spelling_only() {
    let id = "env_01h455vb4pex5vsknk084sn02q";
    assert_eq!(id.parse::<EnvironmentId>().unwrap().to_string(), id);
    assert_eq!("env_7zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<EnvironmentId>().unwrap().uuid().as_u128(), u128::MAX);
    for bad in [
        "env_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "env_01H455VB4PEX5VSKNK084SN02Q",
        "ENV_01h455vb4pex5vsknk084sn02q",
        "env_01h455vb4pex5vsknk084sn02",
        "env_01h455vb4pex5vsknk084sn02qq",
        "env_01h455vb4pex5vsknk084sn02u",
        "env01h455vb4pex5vsknk084sn02q",
        "tok_01h455vb4pex5vsknk084sn02q",
        "01h455vb4pex5vsknk084sn02q",
        "env_",
        "",
    ] {
        assert!(!accepts::<EnvironmentId>(bad), "{bad:?}");
    }
    assert!(!accepts::<TokenId>(id));
}

#[test]
fn a_refused_text_is_repeated_short_and_visible() {
    let error = format!("\u{202e}{}", "x".repeat(1_000)).parse::<WorkspaceName>().unwrap_err().to_string();
    assert!(error.starts_with("`\\u{202e}xxx") && error.len() < 400, "{error}");
}
