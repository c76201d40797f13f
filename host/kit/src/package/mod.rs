//! The cases of a package: what a component says of itself before any of its code runs, in its manifest and in its sections.
//!
//! Owned here: whether that is complete, means something, and agrees with itself. Refused here: what the host does not load at all
//! (`credenza-sandbox`), and what shows only when it runs (`conduct`).

mod manifest;
mod words;

use credenza_connect::conformance::{Case, Listed, OrSay, Told, ensure};
use credenza_connect::{Error, ErrorClass};
use credenza_sandbox::{Anatomy, Manifest};

/// A component as it lies in its file.
pub(crate) struct Package {
    pub(crate) manifest: Manifest,
    pub(crate) anatomy: Anatomy,
    pub(crate) bytes: usize,
}

impl Package {
    pub(crate) fn of(component: &[u8], manifest: &Manifest) -> Told<Self> {
        let broken = |error: credenza_sandbox::ManifestError| {
            Error::new(ErrorClass::Corrupt, "kit.component", error.to_string())
        };
        let anatomy = Anatomy::of(component).map_err(broken).or_say("reading the component")?;
        Ok(Self { manifest: manifest.clone(), anatomy, bytes: component.len() })
    }
}

pub(crate) fn catalogue() -> Vec<Listed> {
    CASES.iter().map(Case::listed).collect()
}

/// The largest component that the program reads, which is the largest that a repository keeps (FORMAT.md).
const BYTES_MAX: usize = 56 << 20;

pub(crate) const CASES: &[Case<Package>] = &[
    Case::new("package.size", "the program reads components of up to 56 MiB", |package, _| {
        Box::pin(async { size(package) })
    }),
    Case::new("package.manifest.last", "the manifest is the last section, where every tool finds it", |package, _| {
        Box::pin(async { manifest_is_last(package) })
    }),
    Case::new(
        "package.debug",
        "what debuggers read names the author's folders, and is a burden at each start",
        |package, _| Box::pin(async { debug(package) }),
    ),
    Case::new("package.wasi", "a WASI is asked for only where the component imports it", |package, _| {
        Box::pin(async { wasi(package) })
    }),
    Case::new(
        "package.roles",
        "what is exported is what the manifest claims, and the other way round",
        |package, _| Box::pin(async { roles(package) }),
    ),
    Case::new("package.version", "versions are compared when a connector is updated", |package, _| {
        Box::pin(async { words::version(package) })
    }),
    Case::new("package.licence", "whoever passes a connector on must know what is allowed", |package, _| {
        Box::pin(async { words::licence(package) })
    }),
    Case::new("package.summary", "the list of connectors has a line for each", |package, _| {
        Box::pin(async { words::summary(package) })
    }),
    Case::new("package.help.settings", "each setting is explained in a sentence", |package, _| {
        Box::pin(async { words::help_of_settings(package) })
    }),
    Case::new("package.help.secrets", "each secret is explained in a sentence", |package, _| {
        Box::pin(async { words::help_of_secrets(package) })
    }),
    Case::new("package.help.safe", "texts hold nothing that a terminal obeys or an eye misreads", |package, _| {
        Box::pin(async { words::safe(package) })
    }),
    Case::new("package.help.no-secrets", "no text holds what looks like a password or key", |package, _| {
        Box::pin(async { words::no_secrets(package) })
    }),
    Case::new(
        "package.settings.required",
        "what must be given has an example, or is part of the location",
        |package, _| Box::pin(async { manifest::required(package) }),
    ),
    Case::new("package.settings.examples", "an example can be used as it is", |package, _| {
        Box::pin(async { manifest::examples(package) })
    }),
    Case::new("package.settings.defaults", "a default is a value that may be given", |package, _| {
        Box::pin(async { manifest::defaults(package) })
    }),
    Case::new("package.settings.bounds", "between the least and the greatest value there is one", |package, _| {
        Box::pin(async { manifest::bounds(package) })
    }),
    Case::new("package.settings.values", "each choice is there once", |package, _| {
        Box::pin(async { manifest::values(package) })
    }),
    Case::new(
        "package.settings.patterns",
        "a pattern finds one value in the setting that it looks at",
        |package, _| Box::pin(async { manifest::patterns(package) }),
    ),
    Case::new("package.settings.secrets", "what is secret is a secret, so that the host keeps it", |package, _| {
        Box::pin(async { manifest::secret_settings(package) })
    }),
    Case::new("package.presets", "what a preset sets may be set", |package, _| {
        Box::pin(async { manifest::presets(package) })
    }),
    Case::new("package.location", "a location leads to the connector, and each part to a setting", |package, _| {
        Box::pin(async { manifest::location(package) })
    }),
    Case::new("package.secrets.used", "a secret that no request needs is not asked for", |package, _| {
        Box::pin(async { manifest::secrets_used(package) })
    }),
    Case::new("package.secrets.environment", "a variable of the environment holds one secret", |package, _| {
        Box::pin(async { manifest::environment(package) })
    }),
    Case::new("package.endpoints.there", "a connector without an endpoint reaches nothing", |package, _| {
        Box::pin(async { manifest::endpoints(package) })
    }),
    Case::new("package.endpoints.encrypted", "no secret is sent where `use_tls` cannot encrypt it", |package, _| {
        Box::pin(async { manifest::encrypted(package) })
    }),
    Case::new("package.allow.roles", "each role may ask something, and no other is granted anything", |package, _| {
        Box::pin(async { manifest::allowed_roles(package) })
    }),
    Case::new("package.allow.source", "a source changes nothing", |package, _| {
        Box::pin(async { manifest::source_reads(package) })
    })
    .needing("source"),
    Case::new("package.allow.twice", "a verb is granted once to a role", |package, _| {
        Box::pin(async { manifest::granted_once(package) })
    }),
    Case::new("package.limits", "narrower limits leave room for something", |package, _| {
        Box::pin(async { manifest::limits(package) })
    }),
];

fn size(package: &Package) -> Told {
    ensure(package.bytes <= BYTES_MAX, || format!("the component has {} bytes", package.bytes))
}

fn manifest_is_last(package: &Package) -> Told {
    ensure(package.anatomy.ends_with_manifest, || "another section follows the manifest; append it last".to_owned())
}

fn debug(package: &Package) -> Told {
    let is_debug = |(name, _): &&(String, usize)| name.starts_with(".debug");
    let bytes: usize = package.anatomy.sections.iter().filter(is_debug).map(|(_, bytes)| bytes).sum();
    ensure(bytes == 0, || format!("it holds {bytes} bytes for debuggers; build it with `strip = \"debuginfo\"`"))
}

fn wasi(package: &Package) -> Told {
    let imports = package.anatomy.imports.iter().any(|import| import.starts_with("wasi:"));
    let asks = package.manifest.wasi.is_some();
    ensure(imports || !asks, || {
        "the manifest says `wasi = \"inert\"`, and no WASI is imported; leave it out".to_owned()
    })
}

/// Names of the interfaces of roles, as exports have them.
const ROLES: [&str; 3] = ["source", "store", "destination"];

fn roles(package: &Package) -> Told {
    let exports = |name: &str| {
        let interface = format!("credenza:connector/{name}@");
        package.anatomy.exports.iter().any(|export| export.starts_with(&interface))
    };
    ensure(exports("lifecycle"), || "it does not export `credenza:connector/lifecycle`".to_owned())?;
    ROLES.into_iter().try_for_each(|role| {
        let claims = package.manifest.roles.iter().any(|claimed| claimed.name() == role);
        ensure(claims == exports(role), || match claims {
            true => format!("the manifest claims the role {role}, and the component does not export it"),
            false => format!("the component exports {role}, and the manifest does not claim the role"),
        })
    })
}
