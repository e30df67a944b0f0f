//! `Forwarded` and `X-Forwarded-For` behind trusted proxies, and the lists of networks that name these proxies.
#![no_main]

use axum::http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use tenure::http::client_address::TrustedProxies;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (networks, lines) = text.split_once('\n').unwrap_or(("", &text));
    let Ok(everyone) = "0.0.0.0/0,::/0".parse::<TrustedProxies>() else { return };
    let trusted = [everyone, networks.parse().unwrap_or_default()];
    let mut request = Request::new(());
    for (number, line) in lines.split('\n').enumerate() {
        let Ok(value) = HeaderValue::from_str(line) else { return };
        let name = if number % 2 == 0 { "forwarded" } else { "x-forwarded-for" };
        request.headers_mut().append(name, value);
    }
    let (parts, ()) = request.into_parts();
    for trusted in trusted {
        let client = trusted.client(&parts);
        assert_eq!(client, client.to_canonical());
    }
});
