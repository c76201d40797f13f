//! Whether a component will run: what it imports, exports and brings along, read from its bytes before anything is compiled. To compile one
//! that is refused in the end would cost up to a minute.
//!
//! Owned here: the interfaces that a component may import, and why one is refused. Refused here: compiling (`connector`), and limits of
//! what runs (`guest`), which hold whatever is found here. Called by `connector`, and by the program for `connector inspect` and `install`.

use wasmparser::{Instance, Parser, Payload};

use crate::guest::limits::{CORE_INSTANCES_MAX, MEMORIES_MAX};
use crate::manifest::{API_VERSION, Manifest, ManifestError, Role, SECTION_NAME, Wasi};

/// Interfaces that every component may import; the last two hold types only.
const OFFERED: [&str; 6] = [
    "credenza:host/bodies",
    "credenza:host/http",
    "credenza:host/log",
    "credenza:host/task",
    "credenza:connector/types",
    "credenza:connector/settings",
];

/// Interfaces of WASI 0.2 that a component may import whose manifest says `wasi = "inert"`. What none of them reaches is not here:
/// `wasi:http` would be a second way out.
const INERT: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Most imports that a message names.
const NAMED_MAX: usize = 40;

/// A connector that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// wasmtime does not accept its code.
    #[error("connector {connector} is not a valid component: {cause}")]
    Invalid {
        /// Name and version.
        connector: String,
        /// What wasmtime says.
        cause: String,
    },
    /// It asks for something that connectors do not get.
    #[error(
        "connector {connector} asks for {}, which connectors do not get; they have `credenza:host` {API_VERSION}{}", listed(imports),
        if *inert_is_open { ", and interfaces of WASI that reach nothing where the manifest says `wasi = \"inert\"`" } else { " and nothing else" }
    )]
    Imports {
        /// Name and version.
        connector: String,
        /// All that is refused, as the component names it.
        imports: Vec<String>,
        /// Whether its manifest could ask for inert WASI and does not.
        inert_is_open: bool,
    },
    /// It is made of more parts than an instance may have.
    #[error(
        "connector {connector} has {has} {what}, at most {limit} are allowed; link it with fewer adapters or without stubs"
    )]
    Parts {
        /// Name and version.
        connector: String,
        /// Which parts.
        what: &'static str,
        /// How many it has.
        has: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The manifest claims a role that the component does not export.
    #[error("connector {connector} claims the role {} and does not export it; build it again with `credenza connector build`", role.name())]
    Role {
        /// Name and version.
        connector: String,
        /// The role.
        role: Role,
    },
}

fn listed(imports: &[String]) -> String {
    let named: Vec<String> = imports.iter().take(NAMED_MAX).map(|name| format!("`{}`", name.escape_debug())).collect();
    match imports.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A component that will run, as far as can be reported without compiling it.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) manifest: Manifest,
    /// Memory that each instance begins with, in bytes.
    pub(crate) memory_bytes: u64,
}

/// Verifies a component without compiling it: its manifest, that it imports only what it may, exports what it claims, and is made of no more
/// parts than an instance may have.
///
/// # Errors
/// [`LoadError`] names what is wrong with it; of refused imports, all.
pub fn verify(component: &[u8]) -> Result<Manifest, LoadError> {
    examine(component).map(|verified| verified.manifest)
}

pub(crate) fn examine(component: &[u8]) -> Result<Verified, LoadError> {
    let manifest = Manifest::of_component(component)?;
    let shape = Anatomy::of(component)?;
    let connector = || format!("{} {}", manifest.name, manifest.version);
    let may_wasi = manifest.wasi == Some(Wasi::Inert);
    let refused = |import: &&String| !(is_offered(import) || may_wasi && is_inert(import));
    let imports: Vec<String> = shape.imports.iter().filter(refused).cloned().collect();
    if !imports.is_empty() {
        let inert_is_open = !may_wasi && imports.iter().any(|import| is_inert(import));
        return Err(LoadError::Imports { connector: connector(), imports, inert_is_open });
    }
    for (what, has, limit) in
        [("core instances", shape.core_instances, CORE_INSTANCES_MAX), ("memories", shape.memories, MEMORIES_MAX)]
    {
        if has > limit {
            return Err(LoadError::Parts { connector: connector(), what, has, limit });
        }
    }
    for role in &manifest.roles {
        let export = format!("credenza:connector/{}@{API_VERSION}.0", role.name());
        if !shape.exports.contains(&export) {
            return Err(LoadError::Role { connector: connector(), role: *role });
        }
    }
    Ok(Verified { manifest, memory_bytes: shape.memory_bytes })
}

fn is_offered(import: &str) -> bool {
    OFFERED.iter().any(|offered| import == format!("{offered}@{API_VERSION}.0"))
}

/// Any release of 0.2: later ones add to earlier ones.
fn is_inert(import: &str) -> bool {
    import.split_once('@').is_some_and(|(name, version)| {
        INERT.contains(&name) && version.strip_prefix("0.2.").is_some_and(|patch| patch.parse::<u32>().is_ok())
    })
}

/// What a component is made of. Its lists hold no more than its bytes.
#[derive(Debug, Default)]
pub struct Anatomy {
    /// Interfaces that it asks for, with their versions.
    pub imports: Vec<String>,
    /// Interfaces that it offers, with their versions.
    pub exports: Vec<String>,
    /// Names of custom sections, of nested modules and components too, and their bytes.
    pub sections: Vec<(String, usize)>,
    /// Whether the section with the manifest is the last of the file.
    pub ends_with_manifest: bool,
    /// Instantiations of core modules, of nested components too.
    core_instances: usize,
    memories: usize,
    memory_bytes: u64,
}

impl Anatomy {
    /// Reads the bytes of a component; nothing is compiled.
    ///
    /// # Errors
    /// When they are no component.
    pub fn of(component: &[u8]) -> Result<Self, ManifestError> {
        let mut shape = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let read = payload.and_then(|payload| shape.add(&payload, &mut depth));
            read.map_err(|e| ManifestError::NotAComponent { cause: e.to_string() })?;
        }
        Ok(shape)
    }

    fn add(&mut self, payload: &Payload<'_>, depth: &mut usize) -> wasmparser::Result<()> {
        if *depth == 0 && !matches!(payload, Payload::End(_)) {
            self.ends_with_manifest =
                matches!(payload, Payload::CustomSection(section) if section.name() == SECTION_NAME);
        }
        match payload {
            Payload::CustomSection(section) => self.sections.push((section.name().to_owned(), section.data().len())),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => *depth = depth.saturating_add(1),
            Payload::End(_) => *depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if *depth == 0 => {
                for import in section.clone() {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if *depth == 0 => {
                for export in section.clone() {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    let is_module = matches!(instance?, Instance::Instantiate { .. });
                    self.core_instances = self.core_instances.saturating_add(usize::from(is_module));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    let memory = memory?;
                    let page = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
                    self.memories = self.memories.saturating_add(1);
                    self.memory_bytes = self.memory_bytes.saturating_add(memory.initial.saturating_mul(page));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![id];
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(content);
        bytes
    }

    fn named(name: &str) -> Vec<u8> {
        [&[name.len() as u8], name.as_bytes()].concat()
    }

    /// A component of a core module that is instantiated some times, with some memories of one page, that imports instances of nothing.
    fn component(head: &str, imports: &[&str], instances: u8, memories: u8) -> Vec<u8> {
        let memory = [vec![memories], [0, 1].repeat(memories.into())].concat();
        let module = [b"\0asm\x01\0\0\0".to_vec(), section(5, &memory)].concat();
        let instance = [vec![instances], [0, 0, 0].repeat(instances.into())].concat();
        let import = imports.iter().flat_map(|name| [vec![0], named(name), vec![5, 0]].concat());
        let imports: Vec<u8> = [imports.len() as u8].into_iter().chain(import).collect();
        let manifest = format!("name = \"x\"\nversion = \"1\"\napi = \"0.1\"\nroles = [\"source\"]\n{head}\n");
        let export = [vec![1, 0], named("credenza:connector/source@0.1.0"), vec![5, 0, 0]].concat();
        [
            b"\0asm\x0d\0\x01\0".to_vec(),
            // The type of an empty instance.
            section(7, &[1, 0x42, 0]),
            section(10, &imports),
            section(1, &module),
            section(2, &instance),
            section(5, &[1, 1, 0]),
            section(11, &export),
            section(0, &[named("credenza:manifest"), manifest.into_bytes()].concat()),
        ]
        .concat()
    }

    const INERT: &str = "wasi = \"inert\"";

    #[test]
    fn what_is_refused_is_named_whole_before_anything_is_compiled() {
        let imports = ["credenza:host/log@0.1.0", "wasi:cli/stdout@0.2.9", "wasi:http/types@0.2.9", "a\u{1b}b"];
        let refused = |head: &str| match verify(&component(head, &imports, 1, 1)) {
            Err(LoadError::Imports { imports, inert_is_open, .. }) => (imports, inert_is_open),
            other => panic!("{other:?}"),
        };
        let all = imports[1..].iter().map(|import| (*import).to_owned()).collect::<Vec<_>>();
        assert_eq!(refused(""), (all.clone(), true));
        assert_eq!(refused(INERT), (all[1..].to_vec(), false));
        let message = verify(&component("", &imports, 1, 1)).unwrap_err().to_string();
        assert!(message.contains("`a\\u{1b}b`") && message.contains("wasi = \"inert\""), "{message}");
    }

    #[test]
    fn inert_wasi_is_of_0_2_and_only_what_reaches_nothing() {
        for fine in ["wasi:cli/environment@0.2.0", "wasi:sockets/tcp@0.2.12", "wasi:random/random@0.2.3"] {
            assert!(verify(&component(INERT, &[fine], 1, 1)).is_ok(), "{fine}");
        }
        for not in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/environment",
            "wasi:cli/run@0.2.0",
        ] {
            assert!(verify(&component(INERT, &[not], 1, 1)).is_err(), "{not}");
        }
    }

    #[test]
    fn parts_are_counted_before_anything_is_compiled() {
        assert!(verify(&component("", &[], 16, 2)).is_ok());
        let parts = |instances, memories| match verify(&component("", &[], instances, memories)) {
            Err(LoadError::Parts { what, has, limit, .. }) => (what, has, limit),
            other => panic!("{other:?}"),
        };
        assert_eq!(parts(17, 1), ("core instances", 17, CORE_INSTANCES_MAX));
        assert_eq!(parts(1, 3), ("memories", 3, MEMORIES_MAX));
        assert_eq!(examine(&component("", &[], 1, 2)).unwrap().memory_bytes, 2 * 65_536);
    }

    #[test]
    fn half_a_component_is_no_component() {
        let whole = component("", &[], 1, 1);
        for length in 0..whole.len() {
            assert!(verify(&whole[..length]).is_err(), "{length}");
        }
    }
}
