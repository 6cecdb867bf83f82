//! What has to be done to build a project: steps as data, decided without looking at the machine. `build` carries them
//! out.

use std::path::{Path, PathBuf};

use crate::{
    WORLD,
    invocation::{Invocation, Program},
    language::Language,
    project::Project,
    toolchain::{Toolchain, Toolchains},
};

/// Sources that are generated from the project's WIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// TypeScript declarations, one file.
    Declarations,
    /// A header, its implementation and an object file with the world's types.
    C,
    /// A module around the policy's own, which is in this folder.
    Go(PathBuf),
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Puts the project's WIT and the contract into one folder, anew.
    Wit {
        /// Which folder.
        into: PathBuf,
    },
    /// Makes an empty folder.
    Empty(PathBuf),
    /// Generates sources from that folder.
    Bindings {
        /// What is generated.
        form: Form,
        /// The folder with the WIT.
        wit: PathBuf,
        /// The folder that they are put into.
        into: PathBuf,
    },
    /// Runs a program.
    Run(Invocation),
    /// Makes a core module a component.
    Component {
        /// The module.
        module: PathBuf,
        /// Where the world is, unless the module holds it.
        wit: Option<PathBuf>,
        /// The component.
        into: PathBuf,
    },
}

/// All that has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What has to be installed first.
    pub toolchain: Option<Toolchain>,
    /// In this order.
    pub steps: Vec<Step>,
    /// The component, when they are done.
    pub component: PathBuf,
}

impl Plan {
    /// How to build a project; intermediate files go into `work`.
    pub fn new(project: &Project, work: &Path, toolchains: &Toolchains) -> Self {
        let toolchain = Toolchain::of(project.language);
        let planner = Planner {
            project,
            work,
            tools: toolchain.map(|toolchain| toolchains.place(&toolchain)).unwrap_or_default(),
            toolchains,
            wit: work.join("wit"),
            component: work.join("component.wasm"),
        };
        let (steps, component) = match project.language {
            Language::Rust => planner.rust(),
            Language::JavaScript => planner.script(&project.folder, "--noEmit"),
            Language::TypeScript => planner.script(&work.join("js"), "--outDir"),
            Language::Python => planner.python(),
            Language::C => planner.c(),
            Language::Go => planner.go(),
        };
        Self { toolchain, steps, component }
    }
}

struct Planner<'a> {
    project: &'a Project,
    work: &'a Path,
    tools: PathBuf,
    toolchains: &'a Toolchains,
    wit: PathBuf,
    component: PathBuf,
}

type Planned = (Vec<Step>, PathBuf);

impl Planner<'_> {
    fn run(&self, what: &'static str, program: Program) -> Invocation {
        Invocation::new(what, program, &self.project.folder)
    }

    fn staged_wit(&self) -> Step {
        Step::Wit { into: self.wit.clone() }
    }

    fn bindings(&self, form: Form, into: &Path) -> Step {
        Step::Bindings { form, wit: self.wit.clone(), into: into.to_owned() }
    }

    fn rust(self) -> Planned {
        let target = self.work.join("cargo");
        let library = self.project.library.as_deref().unwrap_or_default();
        let built = target.join("wasm32-wasip2/release").join(format!("{library}.wasm"));
        let cargo = self
            .run("compiling", Program::Cargo)
            .args(["build", "--quiet", "--lib", "--release", "--target", "wasm32-wasip2", "--target-dir"])
            .arg(target);
        (vec![Step::Run(cargo)], built)
    }

    /// JavaScript is checked where it stands; TypeScript is made JavaScript elsewhere.
    fn script(self, entry: &Path, output: &str) -> Planned {
        let types = self.work.join("types");
        let check = self
            .run("checking types", Program::Node)
            .arg(self.tools.join("node_modules/typescript/bin/tsc"))
            .args(["--ignoreConfig", "--strict", "--target", "es2023", "--module", "es2022"])
            .args(["--moduleResolution", "bundler", "--allowJs", "--checkJs", "--pretty", "false", output]);
        let check = if output == "--outDir" {
            check.arg(entry).arg("--rootDir").arg(&self.project.folder).arg("--noEmitOnError")
        } else {
            check
        };
        let check = check.arg(self.project.language.mark()).arg(types.join("policy.d.ts"));
        let componentize = self
            .run("making the component", Program::Node)
            .arg(self.tools.join("node_modules/componentize-qjs/bin/componentize-qjs"))
            // A policy waits for nothing and sees nothing of WASI.
            .args(["--sync", "--stub-wasi", "--wit"])
            .arg(&self.wit)
            .args(["--world", WORLD, "--module-root"])
            .arg(entry)
            .arg("--js")
            .arg(entry.join("policy.js"))
            .arg("--output")
            .arg(&self.component);
        let steps = vec![
            self.staged_wit(),
            self.bindings(Form::Declarations, &types),
            Step::Run(check),
            Step::Run(componentize),
        ];
        (steps, self.component)
    }

    fn python(self) -> Planned {
        // What `pip` would write as `bin/componentize-py`, which holds an absolute path and cannot be moved.
        const ENTRY: &str = "import sys; sys.argv[0] = 'componentize-py'; from componentize_py import script; sys.exit(script())";
        let bindings = self.work.join("python");
        let tool = |what| {
            self.run(what, Program::Python)
                .env("PYTHONPATH", &self.tools)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .args(["-c", ENTRY, "--quiet", "--wit-path"])
                .arg(&self.wit)
                .args(["--world", WORLD])
        };
        let for_editors = tool("generating bindings").arg("bindings").arg(&bindings);
        let componentize = tool("making the component")
            .args(["componentize", "policy", "--python-path"])
            .arg(&self.project.folder)
            .arg("--output")
            .arg(&self.component);
        let steps =
            vec![self.staged_wit(), Step::Empty(bindings), Step::Run(for_editors), Step::Run(componentize)];
        (steps, self.component)
    }

    fn c(self) -> Planned {
        let bindings = self.work.join("c");
        let module = self.work.join("module.wasm");
        let compile = self
            .run("compiling", Program::Installed(self.tools.join("ziglang/zig")))
            .env("ZIG_GLOBAL_CACHE_DIR", self.toolchains.scratch("zig"))
            .env("ZIG_LOCAL_CACHE_DIR", self.work.join("zig"))
            .args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-std=c17", "-Os", "-s"])
            // 16 MiB of stack, the default, is all that a call may have.
            .args(["-Wl,-z,stack-size=131072", "-Wall", "-Wextra", "-I", "."])
            .arg("-I")
            .arg(&bindings)
            .args(&self.project.sources)
            .args(["trimtab.c", "trimtab_component_type.o"].map(|file| bindings.join(file)))
            .arg("-o")
            .arg(&module);
        let steps = vec![
            self.staged_wit(),
            self.bindings(Form::C, &bindings),
            Step::Run(compile),
            Step::Component { module, wit: None, into: self.component.clone() },
        ];
        (steps, self.component)
    }

    fn go(self) -> Planned {
        let module = self.work.join("module.wasm");
        let bindings = self.work.join("go");
        let compile =
            Invocation::new("compiling", Program::Installed(self.tools.join("go/bin/go")), &bindings)
                .env("GOROOT", self.tools.join("go"))
                .env("GOOS", "wasip1")
                .env("GOARCH", "wasm")
                .env("GOCACHE", self.toolchains.scratch("go-build"))
                .env("GOMODCACHE", self.toolchains.scratch("go-mod"))
                .env("GOENV", "off")
                .env("GOFLAGS", "-mod=mod -buildvcs=false -trimpath")
                .env("GOTOOLCHAIN", "local")
                .env("GOWORK", "off")
                // Where it would count what it does.
                .env("XDG_CONFIG_HOME", self.toolchains.scratch("go-config"))
                // The runtime of the bindings names functions of Go's own, which the linker refuses otherwise.
                .args(["build", "-buildmode=c-shared", "-ldflags=-checklinkname=0 -s -w", "-o"])
                .arg(&module)
                .arg(".");
        let steps = vec![
            self.staged_wit(),
            Step::Empty(bindings.clone()),
            Step::Empty(self.work.join("go-pkg")),
            self.bindings(Form::Go(self.project.folder.clone()), self.work),
            Step::Run(compile),
            Step::Component { module, wit: Some(self.wit.clone()), into: self.component.clone() },
        ];
        (steps, self.component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(language: Language) -> Plan {
        let project = Project {
            folder: "/p/rule".into(),
            name: "rule".into(),
            language,
            library: Some("rule".into()),
            sources: vec!["policy.c".into(), "text.c".into()],
        };
        Plan::new(&project, Path::new("/w"), &Toolchains::new("/tools".into()))
    }

    fn commands(plan: &Plan) -> Vec<&Invocation> {
        let steps = plan.steps.iter();
        steps.filter_map(|step| if let Step::Run(run) = step { Some(run) } else { None }).collect()
    }

    /// Every language: nothing is written but into the work directory, and what is run is pinned or the machine's.
    #[test]
    fn plans_stay_in_their_places() {
        for language in Language::ALL {
            let plan = plan(language);
            assert!(plan.component.starts_with("/w"), "{language}: {}", plan.component.display());
            for step in &plan.steps {
                match step {
                    Step::Wit { into }
                    | Step::Empty(into)
                    | Step::Bindings { into, .. }
                    | Step::Component { into, .. } => assert!(into.starts_with("/w"), "{step:?}"),
                    Step::Run(Invocation { program: Program::Installed(path), .. }) => {
                        assert!(path.starts_with("/tools"), "{}", path.display());
                    }
                    Step::Run(_) => {}
                }
            }
            assert_eq!(plan.toolchain.is_none(), language == Language::Rust);
        }
    }

    #[test]
    fn only_typescript_is_translated() {
        let (js, ts) = (plan(Language::JavaScript), plan(Language::TypeScript));
        let has = |plan: &Plan, n: usize, arg: &str| commands(plan)[n].args.iter().any(|a| a == arg);
        assert!(has(&js, 0, "--noEmit") && !has(&js, 0, "--outDir") && has(&js, 1, "/p/rule/policy.js"));
        assert!(has(&ts, 0, "--outDir") && !has(&ts, 0, "--noEmit") && has(&ts, 1, "/w/js/policy.js"));
    }

    #[test]
    fn c_compiles_every_source() {
        let plan = plan(Language::C);
        let args = &commands(&plan)[0].args;
        assert!(["policy.c", "text.c", "/w/c/trimtab.c"].iter().all(|file| args.iter().any(|a| a == file)));
    }
}
