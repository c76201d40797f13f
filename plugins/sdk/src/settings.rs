//! Reading settings by name. The host has checked their types against the manifest and filled in defaults.

use crate::{Config, Value};

impl Config {
    fn value(&self, name: &str) -> Option<&Value> {
        self.settings.iter().find(|setting| setting.name == name).map(|setting| &setting.value)
    }

    /// A setting of type string, enum or url.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A setting of type integer, a duration in milliseconds, or a size in bytes.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// A setting of type boolean.
    #[must_use]
    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.value(name) {
            Some(Value::Boolean(truth)) => Some(*truth),
            _ => None,
        }
    }

    /// A setting of type list.
    #[must_use]
    pub fn texts(&self, name: &str) -> Option<&[String]> {
        match self.value(name) {
            Some(Value::Texts(texts)) => Some(texts),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Setting;

    #[test]
    fn a_setting_is_found_by_name_and_type() {
        let setting = Setting { name: "depth".to_owned(), value: Value::Integer(3) };
        let config = Config { settings: vec![setting], secrets_present: vec![], purpose: "backup".to_owned() };
        assert_eq!(config.integer("depth"), Some(3));
        assert_eq!(config.text("depth"), None);
        assert_eq!(config.integer("width"), None);
    }
}
