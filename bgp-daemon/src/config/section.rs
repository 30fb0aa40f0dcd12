//! One table of the file, read key by key.
//!
//! A [`Section`] knows which keys were asked for, so that the rest are unknown keys by
//! definition: no second list of keys to keep in step.

use super::diagnostic::{Diagnostic, Severity, Span, suggestion};
use super::value::{FromToml, Value, describe};
use bgp_core::complaint::Complaint;
use std::collections::{BTreeMap, BTreeSet};
use toml::de::{DeTable, DeValue};

/// What has been said so far, and the text that it is about.
pub(super) struct Reader<'s> {
    pub(super) source: &'s str,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Where each table stands, by what it is called in messages.
    pub(super) places: BTreeMap<String, Places>,
}

impl Reader<'_> {
    /// Says that something is wrong.
    pub(super) fn error(&mut self, element: &str, span: Span, complaint: Complaint) {
        self.push(Severity::Error, element, span, complaint, None);
    }

    /// What stands in `value`; `None` where it was refused.
    pub(super) fn value<T: FromToml>(&mut self, element: &str, value: &Value<'_>) -> Option<T> {
        let taken = T::from_toml(value, self.source);
        taken
            .map_err(|refusals| {
                for refusal in refusals {
                    self.error(element, refusal.span, refusal.complaint);
                }
            })
            .ok()
    }

    /// Says that something is perhaps not as meant.
    pub(super) fn warning(&mut self, element: &str, span: Span, complaint: Complaint) {
        self.push(Severity::Warning, element, span, complaint, None);
    }

    pub(super) fn push(
        &mut self,
        severity: Severity,
        element: &str,
        span: Span,
        complaint: Complaint,
        related: Option<(Span, String)>,
    ) {
        self.diagnostics.push(Diagnostic {
            severity,
            element: element.to_owned(),
            complaint,
            span,
            related,
        });
    }
}

/// Where the keys of an element stand in the source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Places {
    /// The header, for what is not there.
    pub(super) header: Span,
    /// Values by key.
    pub(super) values: BTreeMap<String, Span>,
    /// Items of values that are lists, by key.
    pub(super) items: BTreeMap<String, Vec<Span>>,
    /// Keys whose values were refused: what follows from them is not worth a word.
    pub(super) refused: BTreeSet<String>,
}

impl Places {
    /// The value of `key`, or the header where there is none.
    pub(super) fn of(&self, key: &str) -> Span {
        self.values.get(key).unwrap_or(&self.header).clone()
    }

    /// The item at `item` of the list at `key`, or as near as there is.
    pub(super) fn of_item(&self, key: &str, item: Option<usize>) -> Span {
        let items = self.items.get(key).zip(item);
        let span = items.and_then(|(items, item)| items.get(item));
        span.cloned().unwrap_or_else(|| self.of(key))
    }

    /// These places, where `self` has none of its own for a key.
    pub(super) fn inherit(&mut self, from: &Self) {
        for (key, span) in &from.values {
            self.values.entry(key.clone()).or_insert(span.clone());
        }
        let ours = &self.values;
        let theirs = from.refused.iter();
        let inherited = theirs.filter(|key| ours.get(*key) == from.values.get(*key));
        self.refused.extend(inherited.cloned().collect::<Vec<_>>());
    }
}

/// One table.
pub(super) struct Section<'s, 'v> {
    element: String,
    table: &'v DeTable<'s>,
    asked: Vec<&'static str>,
    places: Places,
}

impl<'s, 'v> Section<'s, 'v> {
    /// The table that stands in `value`, or a word about what stands there instead.
    pub(super) fn open(
        element: &str,
        value: &'v Value<'s>,
        reader: &mut Reader<'_>,
    ) -> Option<Self> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(Self::new(element, table, value.span()));
        }
        let complaint = Complaint::new(
            describe(value.get_ref()),
            "a table",
            format!("begin it with a line {element}"),
        );
        reader.error(element, value.span(), complaint);
        None
    }

    /// The section of a table whose header stands at `header`.
    pub(super) fn new(element: &str, table: &'v DeTable<'s>, header: Span) -> Self {
        let mut places = Places {
            header,
            ..Places::default()
        };
        for (key, value) in table.iter() {
            let key = key.get_ref().to_string();
            if let DeValue::Array(items) = value.get_ref() {
                let items = items.iter().map(|item| item.span()).collect();
                places.items.insert(key.clone(), items);
            }
            places.values.insert(key, value.span());
        }
        Self {
            element: element.to_owned(),
            table,
            asked: Vec::new(),
            places,
        }
    }

    /// What it is called in messages.
    pub(super) fn element(&self) -> &str {
        &self.element
    }

    /// Gives it a better name.
    pub(super) fn rename(&mut self, element: String) {
        self.element = element;
    }

    /// Where its keys stand.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The value of `key` as it stands.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'v Value<'s>> {
        self.asked.push(key);
        let entry = self.table.iter().find(|(name, _)| name.get_ref() == key);
        entry.map(|(_, value)| value)
    }

    /// Whether `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.places.values.contains_key(key)
    }

    /// All keys, for a table whose keys are names: each with its place and its value.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'v str, Span, &'v Value<'s>)> {
        let entries = self.table.iter();
        entries.map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    /// Refuses `key`, which belongs into files of another program, where it is there.
    pub(super) fn refuse(
        &mut self,
        key: &'static str,
        complaint: Complaint,
        reader: &mut Reader<'_>,
    ) {
        let entry = self.table.iter().find(|(name, _)| name.get_ref() == key);
        if let Some((name, _)) = entry {
            self.asked.push(key);
            reader.error(&self.element, name.span(), complaint);
        }
    }

    /// The value of `key`; `None` where it is not there or was refused.
    pub(super) fn take<T: FromToml>(
        &mut self,
        key: &'static str,
        reader: &mut Reader<'_>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let taken = reader.value(&format!("{} {key}", self.element), value);
        if taken.is_none() {
            self.places.refused.insert(key.to_owned());
        }
        taken
    }

    /// The value of `key`, which must be there; `advice` says what to write.
    pub(super) fn require<T: FromToml>(
        &mut self,
        key: &'static str,
        advice: &str,
        reader: &mut Reader<'_>,
    ) -> Option<T> {
        let taken = self.take(key, reader);
        if !self.places.values.contains_key(key) {
            let complaint = Complaint::new(format!("{key} is missing"), "", advice);
            reader.error(&self.element, self.places.header.clone(), complaint);
        }
        taken
    }

    /// The tables of the list `key`, each with its place in the list.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        element: &str,
        reader: &mut Reader<'_>,
    ) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let complaint = Complaint::new(
                describe(value.get_ref()),
                format!("any number of tables, each beginning with a line {element}"),
                format!("write {element}, with two brackets on each side"),
            );
            reader.error(element, value.span(), complaint);
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| Self::open(element, item, reader))
            .collect()
    }

    /// Says which keys nobody asked for, and gives the places of the rest.
    pub(super) fn finish(self, reader: &mut Reader<'_>) -> Places {
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let known = self.asked.iter().copied();
            let complaint = Complaint::new(
                format!("unknown key {name:?}"),
                self.asked.join(", "),
                suggestion(name, known, "remove it, or choose one of these"),
            );
            reader.error(&self.element, key.span(), complaint);
        }
        reader.places.insert(self.element, self.places.clone());
        self.places
    }
}
