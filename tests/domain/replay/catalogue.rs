//! The event catalogue: for each type and version its JSON Schema and a sample of the exact stored bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tenure::domain::model::event::EventData;
use tenure::log::codec::{decode, encode};
use tenure::log::schema::event_schemas;

use super::files::{BLESS, HISTORIES, golden, names_in, root};
use super::samples::samples;

fn sample_of(type_name: &str) -> Vec<u8> {
    golden(&format!("events/{type_name}/sample.json"), &generated_samples()[type_name]).into_bytes()
}

fn generated_samples() -> BTreeMap<&'static str, String> {
    let text = |event| String::from_utf8(encode(event).unwrap()).unwrap();
    samples().iter().map(|event| (event.data.type_name(), text(event))).collect()
}

fn schema_of(type_name: &str) -> jsonschema::Validator {
    let (_, schema) = event_schemas().into_iter().find(|(name, _)| *name == type_name).unwrap();
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).unwrap_or_else(|error| panic!("{type_name}: {error}"))
}

#[test]
fn every_type_has_the_schema_that_the_code_gives_it() {
    let schemas = event_schemas();
    assert_eq!(schemas.iter().map(|(name, _)| *name).collect::<Vec<_>>(), EventData::TYPES);
    for (type_name, schema) in schemas {
        let (path, now) =
            (format!("events/{type_name}/schema.json"), serde_json::to_string_pretty(&schema).unwrap() + "\n");
        assert!(golden(&path, &now) == now, "{path} is not what the code makes of {type_name}; {BLESS}");
    }
}

#[test]
fn every_type_has_the_sample_that_the_code_gives_it() {
    let generated = generated_samples();
    assert_eq!(generated.keys().copied().collect::<BTreeSet<_>>(), EventData::TYPES.iter().copied().collect());
    for (type_name, now) in &generated {
        let path = format!("events/{type_name}/sample.json");
        assert!(golden(&path, now) == *now, "{path} is not what the code writes; {BLESS}");
    }
}

#[test]
fn every_sample_decodes_and_encodes_to_itself() {
    for type_name in EventData::TYPES {
        let stored = sample_of(type_name);
        let event = decode(&stored).unwrap_or_else(|error| panic!("{type_name}: {error}"));
        assert_eq!(event.data.type_name(), *type_name);
        assert_eq!(encode(&event).unwrap(), stored, "{type_name}");
    }
}

#[test]
fn every_sample_fits_its_own_schema_and_no_other() {
    let validators: Vec<_> = EventData::TYPES.iter().map(|name| (*name, schema_of(name))).collect();
    for type_name in EventData::TYPES {
        let sample: Value = serde_json::from_slice(&sample_of(type_name)).unwrap();
        for (name, validator) in &validators {
            let described = validator.is_valid(&sample);
            assert_eq!(described, name == type_name, "the sample of {type_name} against the schema of {name}");
        }
    }
}

#[test]
fn every_recorded_event_fits_its_schema() {
    let validators: BTreeMap<_, _> = EventData::TYPES.iter().map(|name| (*name, schema_of(name))).collect();
    for history in HISTORIES.iter() {
        for (line, event) in history.lines.iter().zip(&history.events) {
            let stored: Value = serde_json::from_slice(line).unwrap();
            let checked = validators[event.data.type_name()].validate(&stored);
            checked.unwrap_or_else(|error| panic!("{} at {}: {error}", history.name, event.revision));
        }
    }
}

#[test]
fn a_schema_refuses_missing_null_and_unknown_fields() {
    for type_name in EventData::TYPES {
        let validator = schema_of(type_name);
        let sample: Value = serde_json::from_slice(&sample_of(type_name)).unwrap();
        let optional = ["recordedtime", "credential", "reason"];
        for field in sample.as_object().unwrap().keys() {
            let mut without = sample.clone();
            without.as_object_mut().unwrap().shift_remove(field);
            assert_eq!(validator.is_valid(&without), optional.contains(&field.as_str()), "{type_name} without {field}");
            let mut null = sample.clone();
            null[field] = Value::Null;
            assert!(!validator.is_valid(&null), "{type_name} with null as {field}");
        }
        for place in ["", "/data"] {
            let mut more = sample.clone();
            more.pointer_mut(place).unwrap()["shoe_size"] = Value::from(43);
            assert!(!validator.is_valid(&more), "{type_name} with more in `{place}`");
        }
        for field in sample["data"].as_object().unwrap().keys() {
            let mut null = sample.clone();
            null["data"][field] = Value::Null;
            assert!(!validator.is_valid(&null), "{type_name} with null as {field} in its data");
        }
        let mut elsewhere = sample.clone();
        elsewhere["time"] = Value::from("2026-03-01T10:30:00+01:00");
        assert!(!validator.is_valid(&elsewhere), "{type_name} with a time that is not in UTC");
    }
}

#[test]
fn the_catalogue_holds_nothing_but_its_types_and_the_histories() {
    let folders: BTreeSet<_> = names_in(&root("events")).into_iter().collect();
    let expected: BTreeSet<_> = EventData::TYPES.iter().copied().chain(["histories"]).map(str::to_owned).collect();
    assert_eq!(folders, expected, "left: what stands in events/, right: what should; {BLESS}");
    for type_name in EventData::TYPES {
        assert_eq!(names_in(&root(&format!("events/{type_name}"))), ["sample.json", "schema.json"], "{type_name}");
    }
}
