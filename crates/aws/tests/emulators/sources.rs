//! Whose keys they are: found as the AWS command line finds them, through our own transport.

use std::fs;

use kingtide_remote::wire::{Ask, Event};

use crate::conversation::Conversation;
use crate::emulator::{Emulator, Kind};

const NONE: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];

#[test]
fn profiles_programs_and_web_identities_are_sources_of_credentials() {
    let Some(emulator) = Emulator::start(Kind::Ministack) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let script = "{\"Version\":1,\"AccessKeyId\":\"AKIAPROGRAM\",\"SecretAccessKey\":\"s\"}";
    let said = file("said.json", script);
    let config = file(
        "config",
        &format!(
            "[profile keys]\nregion = eu-west-1\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = s\n\
             [profile program]\ncredential_process = cat {said}\n\
             [profile role]\nrole_arn = arn:aws:iam::000000000000:role/Deploy\nsource_profile = keys\n"
        ),
    );
    let token = file("token", "a.b.c");
    let role = "arn:aws:iam::000000000000:role/Web";
    let ways: [(&str, Vec<(&str, &str)>); 4] = [
        ("a profile", vec![("AWS_PROFILE", "keys")]),
        ("a program", vec![("AWS_PROFILE", "program")]),
        ("a role of a profile", vec![("AWS_PROFILE", "role")]),
        (
            "a web identity",
            vec![
                ("AWS_ROLE_ARN", role),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
                ("AWS_ROLE_SESSION_NAME", "t"),
            ],
        ),
    ];
    for (name, variables) in ways {
        let mut all = NONE.to_vec();
        all.extend([
            ("AWS_ENDPOINT_URL", emulator.url.as_str()),
            ("AWS_CONFIG_FILE", &config),
            ("PATH", "/usr/bin:/bin"),
        ]);
        all.extend(variables);
        let mut aws = Conversation::of(&all, "flights");
        let said = aws.try_ask(Ask::Describe { drift: false });
        let said = said.unwrap_or_else(|failed| panic!("{name}: {failed:?}"));
        assert!(matches!(said[..], [Event::NoStack { .. }]), "{name}: {said:?}");
    }
}

#[test]
fn a_profile_may_name_region_and_endpoint() {
    let Some(emulator) = Emulator::start(Kind::Ministack) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config");
    let text = format!(
        "[profile own]\nregion = eu-central-1\nendpoint_url = {}\naws_access_key_id = A\naws_secret_access_key = s\n",
        emulator.url
    );
    fs::write(&config, text).expect("written");
    let mut all = NONE.to_vec();
    let config = config.display().to_string();
    all.extend([("AWS_REGION", ""), ("AWS_PROFILE", "own"), ("AWS_CONFIG_FILE", &config)]);
    let said = Conversation::of(&all, "flights").ask(Ask::Describe { drift: false });
    assert!(
        matches!(&said[..], [Event::NoStack { region, .. }] if region == "eu-central-1"),
        "{said:?}"
    );
}
