use tenure::domain::id::{EnvironmentId, PREFIXES, TokenId, UserId};
use tenure::domain::name::{
    ActionName, EmailAddress, EnvironmentName, Label, PersonName, Reason, ResourceId, ResourceTypeName,
    ServiceUserName, WorkspaceName,
};
use tenure::domain::resource::ResourceKey;

fn accepts<T: std::str::FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

#[test]
fn workspace_and_service_user_names_are_lowercase() {
    for good in ["a", "0", "acme", "a-b_c", "9lives", &"a".repeat(64)] {
        assert!(accepts::<WorkspaceName>(good), "{good}");
        assert!(accepts::<ServiceUserName>(good), "{good}");
    }
    for bad in ["", "A", "aB", "-a", "_a", "a b", "a.b", "ä", "a\n", &"a".repeat(65)] {
        assert!(!accepts::<WorkspaceName>(bad), "{bad:?}");
        assert!(!accepts::<ServiceUserName>(bad), "{bad:?}");
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
fn resource_types_and_actions_are_words_and_no_word_for_who_acts() {
    for good in ["gpu", "gpu_2", "environment", "users", &"a".repeat(64)] {
        assert!(accepts::<ResourceTypeName>(good) && accepts::<ActionName>(good), "{good}");
    }
    for bad in ["", "Gpu", "2gpu", "_gpu", "g-pu", "g/pu", "g pu", "gpü", "env_x", &"a".repeat(65)] {
        assert!(!accepts::<ResourceTypeName>(bad) && !accepts::<ActionName>(bad), "{bad:?}");
    }
    for actor in ["user", "service_user", "task", "proxy_token", "token", "access_key", "operator", "system"] {
        assert!(!accepts::<ResourceTypeName>(actor) && accepts::<ActionName>(actor), "{actor}");
    }
}

#[test]
fn a_resource_id_is_what_its_owner_calls_it() {
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
fn no_name_begins_like_an_id() {
    for prefix in PREFIXES {
        let (lower, upper) = (format!("{prefix}_x"), format!("{}_x", prefix.to_uppercase()));
        assert!(!accepts::<WorkspaceName>(&lower) && !accepts::<ServiceUserName>(&lower), "{lower}");
        assert!(!accepts::<EnvironmentName>(&lower) && !accepts::<EnvironmentName>(&upper), "{lower}");
        assert!(accepts::<EnvironmentName>(prefix) && accepts::<EnvironmentName>(&format!("{prefix}-x")), "{prefix}");
        assert!(accepts::<EnvironmentName>(&format!("my{prefix}_x")), "{prefix}");
    }
}

#[test]
fn a_user_id_is_opaque_and_has_no_room_for_tricks() {
    for good in ["a", "ada", "auth0.12", "ada@example.com", "a+b_c-d", "...", &"u".repeat(128)] {
        assert!(accepts::<UserId>(good), "{good}");
    }
    for bad in ["", ".", "..", "a b", "a/b", "a:b", "ü", "a\u{0}", "a|b", &"u".repeat(129)] {
        assert!(!accepts::<UserId>(bad), "{bad:?}");
    }
}

#[test]
fn a_reason_is_limited_in_characters_and_shows_everything_it_holds() {
    assert!(accepts::<Reason>("") && accepts::<Reason>("SEC-142: für Łukasz"));
    assert!(accepts::<Reason>(&"ü".repeat(1_000)) && !accepts::<Reason>(&"ü".repeat(1_001)));
    for hidden in
        ['\n', '\u{0}', '\u{7f}', '\u{85}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}']
    {
        let text = format!("a{hidden}b");
        assert!(!accepts::<Reason>(&text) && !accepts::<Label>(&text) && !accepts::<PersonName>(&text), "{text:?}");
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
