//! The modules of each crate of the host and of the S3 connector, and which of them use which.
//!
//! No two modules beside each other may use one another, directly or by way of others: whoever changes one of them should
//! have to know those below it and no more. A parent and its children are one thing here, and an `error` module names what
//! all others hold, so that its own uses do not count. `docs/modules.md` is the list;
//! it is written again with `UPDATE_MODULES=1`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

const CRATES: [&str; 11] = [
    "host/model",
    "host/format",
    "host/connect",
    "host/sandbox",
    "host/engine",
    "host/app",
    "host/author",
    "host/kit",
    "host/web",
    "host/cli",
    "plugins/s3",
];
const LIST: &str = "docs/modules.md";
/// The modules that hold the errors of a crate.
const ERRORS: &str = "error";

/// A module by the names that lead to it from the crate's root.
type Module = Vec<String>;

#[derive(Default)]
struct Crate {
    modules: BTreeSet<Module>,
    /// What a module calls by a name of its own: the path that the name was taken from, as written.
    imports: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
    /// Paths that a module mentions, as written.
    mentions: BTreeMap<Module, BTreeSet<Vec<String>>>,
}

/// Reads one module: what it declares, imports and mentions.
struct Reader<'a> {
    into: &'a mut Crate,
    module: Module,
    /// Where files of child modules are.
    folder: PathBuf,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().contains("test"))
    })
}

impl Reader<'_> {
    fn read(&mut self, items: &[Item]) {
        self.into.modules.insert(self.module.clone());
        items.iter().for_each(|item| self.visit_item(item));
    }

    fn import(&mut self, tree: &UseTree, mut path: Vec<String>) {
        match tree {
            UseTree::Path(more) => {
                path.push(more.ident.to_string());
                self.import(&more.tree, path);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, path.clone())),
            UseTree::Name(name) => {
                if name.ident != "self" {
                    path.push(name.ident.to_string());
                }
                if let Some(called) = path.last().cloned() {
                    self.note(called, path);
                }
            }
            UseTree::Rename(renamed) => {
                if renamed.ident != "self" {
                    path.push(renamed.ident.to_string());
                }
                self.note(renamed.rename.to_string(), path);
            }
            UseTree::Glob(_) => self.mention(path),
        }
    }

    fn note(&mut self, called: String, path: Vec<String>) {
        self.into.imports.entry(self.module.clone()).or_default().insert(called, path.clone());
        self.mention(path);
    }

    fn mention(&mut self, path: Vec<String>) {
        self.into.mentions.entry(self.module.clone()).or_default().insert(path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.import(&item.tree, Vec::new());
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let name = item.ident.to_string();
        let folder = self.folder.join(&name);
        let module: Module = self.module.iter().cloned().chain([name.clone()]).collect();
        if let Some((_, items)) = &item.content {
            Reader { into: self.into, module, folder }.read(items);
            return;
        }
        let file = [folder.with_extension("rs"), folder.join("mod.rs")].into_iter().find(|file| file.is_file());
        let file = file.unwrap_or_else(|| panic!("there is no file of the module {}", module.join("::")));
        Reader { into: self.into, module, folder }.read(&parsed(&file));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.mention(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }
}

fn parsed(file: &Path) -> Vec<Item> {
    let text = std::fs::read_to_string(file).unwrap();
    syn::parse_file(&text).unwrap_or_else(|cause| panic!("{}: {cause}", file.display())).items
}

impl Crate {
    fn of(member: &Path) -> Self {
        let mut found = Self::default();
        for root in ["src/lib.rs", "src/main.rs"].map(|root| member.join(root)) {
            if root.is_file() {
                Reader { into: &mut found, module: Vec::new(), folder: member.join("src") }.read(&parsed(&root));
            }
        }
        assert!(found.modules.len() > 1, "{}: no modules", member.display());
        found
    }

    /// The module in which what a path names is declared; none for what is of another crate.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        // Names may lead in a circle, as `use crate::a` in `a`.
        if depth > 16 {
            return None;
        }
        let (mut at, mut rest) = match first.as_str() {
            "crate" => (Vec::new(), rest),
            "self" => (from.clone(), rest),
            "super" => (from.split_last()?.1.to_vec(), rest),
            name if self.declares(from, name) => (from.clone(), path),
            _ => return None,
        };
        while let Some((name, more)) = rest.split_first() {
            let child: Module = at.iter().cloned().chain([name.clone()]).collect();
            if name == "super" {
                at.pop()?;
            } else if self.modules.contains(&child) {
                at = child;
            } else {
                let import = self.imports.get(&at).and_then(|names| names.get(name));
                return match import {
                    Some(import) if *import != path => self.resolve(&at, import, depth + 1),
                    _ => Some(at),
                };
            }
            rest = more;
        }
        Some(at)
    }

    fn declares(&self, module: &Module, name: &str) -> bool {
        let child: Module = module.iter().cloned().chain([name.to_owned()]).collect();
        self.modules.contains(&child) || self.imports.get(module).is_some_and(|names| names.contains_key(name))
    }

    /// Which module beside it each module uses, by the module that both are in. What is in a module counts as the module.
    fn edges(&self) -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
        let mut edges: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (from, paths) in self.mentions.iter().filter(|(from, _)| from.last().is_none_or(|name| name != ERRORS)) {
            for to in paths.iter().filter_map(|path| self.resolve(from, path, 0)) {
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if let (Some(user), Some(used)) = (from.get(shared), to.get(shared)) {
                    let parent = from.get(..shared).unwrap_or_default().to_vec();
                    edges.entry(parent).or_default().entry(user.clone()).or_default().insert(used.clone());
                }
            }
        }
        edges
    }
}

/// Modules that use themselves by way of others.
fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let reaches = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<&String> = edges.get(from).into_iter().flatten().collect();
        while let Some(next) = ahead.pop() {
            if seen.insert(next.clone()) {
                ahead.extend(edges.get(next).into_iter().flatten());
            }
        }
        seen
    };
    edges.keys().filter(|module| reaches(module).contains(*module)).cloned().collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn no_module_uses_one_beside_it_that_uses_it() {
    let mut found = Vec::new();
    for member in CRATES {
        for (parent, edges) in Crate::of(&root().join(member)).edges() {
            let circle = circles(&edges);
            if !circle.is_empty() {
                let edge = |module: &String| {
                    let used: Vec<&String> = edges.get(module).into_iter().flatten().collect();
                    format!("    {module} uses {used:?}")
                };
                let edges: Vec<String> = circle.iter().map(edge).collect();
                found.push(format!("{member} {}: {circle:?}\n{}", parent.join("::"), edges.join("\n")));
            }
        }
    }
    assert!(found.is_empty(), "modules use each other:\n{}", found.join("\n"));
}

#[test]
fn the_list_of_modules_is_what_the_code_is() {
    let mut list = String::from(
        "# Modules\n\nWhich modules use which beside them, by crate. A test writes this list and refuses circles: \
         `UPDATE_MODULES=1 cargo xtask test modules`.\n",
    );
    for member in CRATES {
        write!(list, "\n## {member}\n\n").unwrap();
        for (parent, edges) in Crate::of(&root().join(member)).edges() {
            let title = if parent.is_empty() { "crate".to_owned() } else { parent.join("::") };
            writeln!(list, "- `{title}`").unwrap();
            for (user, used) in edges {
                let used: Vec<String> = used.into_iter().map(|used| format!("`{used}`")).collect();
                writeln!(list, "  - `{user}`: {}", used.join(", ")).unwrap();
            }
        }
    }
    let file = root().join(LIST);
    if std::env::var_os("UPDATE_MODULES").is_some() {
        std::fs::write(&file, &list).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == list, "{LIST} is not what the code is; write it again with UPDATE_MODULES=1");
}
