//! Between WIT and languages: sources generated from a world, and components made from modules. All in this process, so
//! that C and Go need nothing but their compilers.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::Files;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId, WorldItem, WorldKey};

use crate::{WORLD, declarations::declarations, names::upper_camel, plan::Form};

/// A file's name, and what is in it.
pub(crate) type Generated = (String, Vec<u8>);

/// The world of a folder with WIT; what is wrong is said in the parser's words, which have file and line.
pub(crate) fn world(wit: &Path) -> Result<(Resolve, WorldId), String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).map_err(|error| format!("{error:#}"))?;
    let world = resolve
        .select_world(&[package], Some(WORLD))
        .map_err(|error| format!("{error:#}; wit/world.wit has to have a `world {WORLD}`"))?;
    Ok((resolve, world))
}

/// The sources of this form.
pub(crate) fn generate(form: &Form, mut resolve: Resolve, world: WorldId) -> Result<Vec<Generated>, String> {
    let mut files = Files::default();
    match form {
        Form::Declarations => {
            let text = declarations(&resolve, world);
            Ok(vec![("policy.d.ts".to_owned(), text.into_bytes())])
        }
        Form::C => {
            // Another name than the policy's own files have.
            let options =
                wit_bindgen_c::Opts { rename_world: Some("trimtab".to_owned()), ..Default::default() };
            options
                .build()
                .generate(&mut resolve, world, &mut files)
                .map_err(|error| format!("{error:#}"))?;
            Ok(owned(&files, ""))
        }
        Form::Go(policy) => {
            let options =
                wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, ..Default::default() };
            let exports = exports_of_go(&resolve, world);
            options
                .build()
                .generate(&mut resolve, world, &mut files)
                .map_err(|error| format!("{error:#}"))?;
            files.remove("go.mod");
            let mut generated = owned(&files, "go/");
            generated.extend(exports);
            generated.push(("go/go.mod".to_owned(), go_module(policy).into_bytes()));
            generated.extend(GO_PACKAGE.map(|(name, text)| (format!("go-pkg/{name}"), text.into())));
            Ok(generated)
        }
    }
}

fn owned(files: &Files, folder: &str) -> Vec<Generated> {
    files.iter().map(|(name, content)| (format!("{folder}{name}"), content.to_owned())).collect()
}

/// The module around the policy's own: the generated bindings expect to be the main one.
fn go_module(policy: &Path) -> String {
    format!(
        "module wit_component\n\ngo 1.25\n\nrequire (\n\tgo.bytecodealliance.org/pkg v0.2.3\n\tpolicy v0.0.0\n)\n\n\
         replace (\n\tgo.bytecodealliance.org/pkg => ../go-pkg\n\tpolicy => {:?}\n)\n",
        policy.display().to_string()
    )
}

/// The bindings call each exported function in a package of its interface's name. These packages pass the calls on to
/// the policy's own, so that its author writes one package with a name of his own.
fn exports_of_go(resolve: &Resolve, world: WorldId) -> Vec<Generated> {
    let interfaces = resolve.worlds[world].exports.iter().filter_map(|(key, item)| match (key, item) {
        (WorldKey::Interface(id), WorldItem::Interface { .. }) => Some(&resolve.interfaces[*id]),
        _ => None,
    });
    interfaces
        .filter_map(|interface| {
            let package = &resolve.packages[interface.package?].name;
            let name = [package.namespace.as_str(), &package.name, interface.name.as_deref()?].join("_");
            let name = format!("export_{}", name.replace('-', "_"));
            let functions: String = interface
                .functions
                .keys()
                .map(|function| upper_camel(function))
                .map(|function| format!("var {function} = policy.{function}\n"))
                .collect();
            let text = format!("package {name}\n\nimport \"policy\"\n\n{functions}");
            Some((format!("go/{name}/export.go"), text.into_bytes()))
        })
        .collect()
}

/// What the generated Go imports, under the name that it imports: there is no network to fetch that module from, and the
/// contract needs little of it.
const GO_PACKAGE: [(&str, &str); 4] = [
    ("go.mod", include_str!("../go/go.mod.txt")),
    ("wit/runtime/runtime.go", include_str!("../go/runtime.go")),
    ("wit/runtime/runtime.s", include_str!("../go/runtime.s")),
    ("wit/types/types.go", include_str!("../go/types.go")),
];

/// Makes a module a component. C's object file has put the world into the module; for Go it is put there now.
pub(crate) fn component(mut module: Vec<u8>, wit: Option<&Path>) -> Result<Vec<u8>, String> {
    let failed = |error| format!("{error:#}");
    if let Some(wit) = wit {
        let (resolve, world) = world(wit)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(failed)?;
    }
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
        })
        .and_then(|encoder| encoder.encode())
        .map_err(failed)
}
