//! The contract is frozen: what `wit/` says is held, item by item, against what it said when 0.1.0 was released (`tests/golden/contract-0.1.0.txt`).
//!
//! Interfaces that a connector exports, and all types, stay as they are: one field, case, parameter or function more would stop every component that was
//! compiled before from loading. What a connector imports may grow, and a new interface may stand beside the old ones.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
#![allow(clippy::indexing_slicing, reason = "ids lead to what they are of")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use wit_parser::{
    Function, FunctionKind, Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem, WorldKey,
};

const HOST: &str = "credenza:host";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Everything that a package says but for its comments: each item by its name, on one line.
struct Contract(Resolve);

impl Contract {
    fn parse(folder: &Path) -> Self {
        let mut resolve = Resolve::default();
        resolve.push_dir(folder).unwrap();
        Self(resolve)
    }

    fn items(&self) -> BTreeMap<String, String> {
        let mut items = BTreeMap::new();
        for (id, interface) in self.0.interfaces.iter() {
            let name = self.interface(id);
            items.extend(interface.types.iter().map(|(ty, id)| (format!("{name} {ty}"), self.kind(*id))));
            let functions = interface.functions.values();
            items.extend(functions.map(|function| (format!("{name} {}", function.name), self.function(function))));
        }
        for (_, world) in self.0.worlds.iter() {
            let package = &self.0.packages[world.package.unwrap()].name;
            for (what, found) in [("imports", &world.imports), ("exports", &world.exports)] {
                for (key, item) in found {
                    let WorldItem::Interface { .. } = item else {
                        panic!("a world holds more than interfaces: {item:?}")
                    };
                    let WorldKey::Interface(id) = key else { panic!("{key:?}") };
                    items.insert(format!("{package}#{} {what} {}", world.name, self.interface(*id)), String::new());
                }
            }
        }
        items
    }

    fn interface(&self, id: InterfaceId) -> String {
        let interface = &self.0.interfaces[id];
        self.0.packages[interface.package.unwrap()].name.interface_id(interface.name.as_ref().unwrap())
    }

    fn function(&self, function: &Function) -> String {
        let kind = match function.kind {
            FunctionKind::Freestanding => "",
            FunctionKind::Method(_) => "method ",
            FunctionKind::Static(_) => "static ",
            FunctionKind::Constructor(_) => "constructor ",
            _ => "async ",
        };
        let parameters: Vec<String> =
            function.params.iter().map(|one| format!("{}: {}", one.name, self.ty(&one.ty))).collect();
        format!("{kind}func({}) -> {}", parameters.join(", "), self.maybe(function.result.as_ref()))
    }

    fn maybe(&self, ty: Option<&Type>) -> String {
        ty.map_or_else(|| "_".to_owned(), |ty| self.ty(ty))
    }

    fn ty(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else { return format!("{ty:?}").to_lowercase() };
        let definition = &self.0.types[*id];
        match (&definition.name, definition.owner) {
            (Some(name), TypeOwner::Interface(owner)) => format!("{}.{name}", self.interface(owner)),
            _ => self.kind(*id),
        }
    }

    fn kind(&self, id: TypeId) -> String {
        let list = |names: Vec<String>| names.join(", ");
        match &self.0.types[id].kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| format!("{}: {}", field.name, self.ty(&field.ty)));
                format!("record {{ {} }}", list(fields.collect()))
            }
            TypeDefKind::Variant(variant) => {
                let case = |name: &str, ty: Option<&Type>| format!("{name}({})", self.maybe(ty));
                format!(
                    "variant {{ {} }}",
                    list(variant.cases.iter().map(|one| case(&one.name, one.ty.as_ref())).collect())
                )
            }
            TypeDefKind::Enum(cases) => {
                format!("enum {{ {} }}", list(cases.cases.iter().map(|one| one.name.clone()).collect()))
            }
            TypeDefKind::Tuple(tuple) => format!("tuple<{}>", list(tuple.types.iter().map(|ty| self.ty(ty)).collect())),
            TypeDefKind::Option(ty) => format!("option<{}>", self.ty(ty)),
            TypeDefKind::List(ty) => format!("list<{}>", self.ty(ty)),
            TypeDefKind::Result(result) => {
                format!("result<{}, {}>", self.maybe(result.ok.as_ref()), self.maybe(result.err.as_ref()))
            }
            TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", self.ty(&Type::Id(*id))),
            TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", self.ty(&Type::Id(*id))),
            TypeDefKind::Resource => "resource".to_owned(),
            TypeDefKind::Type(ty) => self.ty(ty),
            other => panic!("a kind of type that the contract has not: {other:?}"),
        }
    }
}

/// What differs from the frozen contract and may not.
fn broken(frozen: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let interface = |item: &str| item.split(' ').next().unwrap_or_default().to_owned();
    let known: BTreeSet<String> = frozen.keys().map(|item| interface(item)).collect();
    let gone = frozen.iter().filter_map(|(item, was)| match now.get(item) {
        None => Some(format!("gone: {item} {was}")),
        Some(is) if is != was => Some(format!("changed: {item}\n  was {was}\n  is  {is}")),
        Some(_) => None,
    });
    // The host may offer more than it did; whoever exports may not be asked for more.
    let may_grow =
        |item: &str| item.starts_with(HOST) || item.contains(" imports ") || !known.contains(&interface(item));
    let new = now.iter().filter(|(item, _)| !frozen.contains_key(*item) && !may_grow(item));
    gone.chain(new.map(|(item, is)| format!("new: {item} {is}"))).collect()
}

/// What was frozen. Where there is no such file, as for a new version, `CREDENZA_WRITE_REFERENCE=1` writes it; nothing writes over one.
fn frozen() -> BTreeMap<String, String> {
    let path = root().join("tests/golden/contract-0.1.0.txt");
    if !path.exists() && std::env::var_os("CREDENZA_WRITE_REFERENCE").is_some() {
        let items = Contract::parse(&root().join("wit")).items();
        let line = |(item, what): (&String, &String)| match what.is_empty() {
            true => format!("{item}\n"),
            false => format!("{item} = {what}\n"),
        };
        std::fs::write(&path, items.iter().map(line).collect::<String>()).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = |line: &str| {
        let (item, what) = line.split_once(" = ").unwrap_or((line, ""));
        (item.to_owned(), what.to_owned())
    };
    text.lines().map(line).collect()
}

#[test]
fn what_components_were_compiled_against_stays_as_it_is() {
    let now = Contract::parse(&root().join("wit")).items();
    let broken = broken(&frozen(), &now);
    assert!(
        broken.is_empty(),
        "{}\n\nComponents that exist would not load any more. What a connector exports grows in `attributes`, `traits` and `reason`, which are open, or in a \
         new interface that the host finds by its presence; what it imports may get new functions, interfaces and types. Anything else is another \
         version of the packages, beside this one: see wit/CONTRACT.md, Versions.",
        broken.join("\n")
    );
}

/// A copy of `wit/` with one text in the place of another.
fn changed(file: &str, from: &str, to: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("deps/host")).unwrap();
    for one in ["connector.wit", "deps/host/host.wit"] {
        let mut text = std::fs::read_to_string(root().join("wit").join(one)).unwrap();
        if one.ends_with(file) {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        std::fs::write(folder.path().join(one), text).unwrap();
    }
    broken(&frozen(), &Contract::parse(folder.path()).items())
}

#[test]
fn each_kind_of_change_that_stops_old_components_is_found() {
    for (file, from, to) in [
        ("connector.wit", "retry-after-ms: option<u64>,", "retry-after-ms: option<u64>, more: bool,"),
        ("connector.wit", "retry-after-ms: option<u64>", "retry-after-ms: option<u32>"),
        ("connector.wit", "    transient,\n", "    transient, later,\n"),
        ("connector.wit", "    exhausted,\n", ""),
        ("connector.wit", "text(string), integer(s64), time", "text(string), float(f64), integer(s64), time"),
        ("connector.wit", "stat: func(key: string)", "look: func(key: string)"),
        ("connector.wit", "stat: func(key: string)", "stat: func(key: string, fresh: bool)"),
        ("connector.wit", "    retain: func(", "    copy: func(key: string) -> result<_, error>;\n    retain: func("),
        ("connector.wit", "world store-connector { ", "world store-connector { export source; "),
        ("host.wit", "record io-error { reason: string, ", "record io-error { reason: string, more: bool, "),
        ("host.wit", "    refused,\n", "    refused, slow,\n"),
        ("host.wit", "status: func() -> u16", "status: func() -> u32"),
        ("host.wit", "    header: func(name: string) -> option<string>;\n", ""),
        ("host.wit", "  import task;\n", ""),
    ] {
        assert_ne!(changed(file, from, to), Vec::<String>::new(), "{from} -> {to}");
    }
}

#[test]
fn what_old_components_do_not_notice_may_come() {
    for (file, from, to) in [
        ("host.wit", "status: func() -> u16;", "status: func() -> u16; version: func() -> string;"),
        ("host.wit", "interface log {", "interface clock { now: func() -> u64; }\ninterface log {"),
        ("host.wit", "  import task;\n", "  import task;\n  import clock;\n}\ninterface clock { now: func() -> u64;\n"),
        ("host.wit", "interface log {", "interface log { record line { text: string }"),
        (
            "connector.wit",
            "interface destination {",
            "interface watch { changes: func() -> u64; }\ninterface destination {",
        ),
        ("connector.wit", "/// What the host should DO about a failure.", "/// What the host does about a failure."),
    ] {
        assert_eq!(changed(file, from, to), Vec::<String>::new(), "{from} -> {to}");
    }
}
