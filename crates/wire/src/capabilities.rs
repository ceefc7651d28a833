//! What the browser offers, and what it means for VMs when something is missing.

use serde::{Deserialize, Serialize};

/// What was found in the context that runs VMs. Field names are the seed's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RuntimeCapabilities {
    /// `SharedArrayBuffer` exists and can be shared with Workers.
    pub shared_array_buffer: bool,
    /// `WebAssembly` exists.
    pub web_assembly: bool,
    /// 128-bit SIMD instructions validate.
    pub wasm_simd: bool,
    /// A shared `WebAssembly.Memory` can be made and atomics validate.
    pub wasm_threads: bool,
    /// `BigInt` exists, and so 64-bit integers cross between WebAssembly and JavaScript.
    pub big_int: bool,
    /// IndexedDB can be reached.
    pub indexed_db: bool,
    /// Files can be opened with handles that stay valid (`showOpenFilePicker`).
    pub file_system_access: bool,
    /// `navigator.gpu` exists.
    pub web_gpu: bool,
    /// Largest memory that a VM's QEMU can have, in bytes.
    pub max_memory: u64,
}

/// A capability that is missing, and what that means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MissingCapability {
    /// What is missing, as the browser's documentation calls it.
    pub name: String,
    /// Whether no VM can run without it.
    pub fatal: bool,
    /// What the person loses, and what to do about it.
    pub advice: String,
}

impl RuntimeCapabilities {
    /// All that is missing, what is fatal first.
    pub fn missing(&self) -> Vec<MissingCapability> {
        let update = "Update to a current version of Chrome or Chromium.";
        let table = [
            (self.web_assembly, "WebAssembly", true, update),
            (
                self.shared_array_buffer,
                "SharedArrayBuffer",
                true,
                "QEMU's threads share memory. Open QemuWeb in Chrome or Chromium 116 or later, and check that no policy \
                 disables cross-origin isolation for extensions.",
            ),
            (self.wasm_threads, "WebAssembly threads", true, update),
            (self.big_int, "BigInt", true, update),
            (self.wasm_simd, "WebAssembly SIMD", true, update),
            (
                self.indexed_db,
                "IndexedDB",
                false,
                "VMs run, but nothing can be kept. Leave private browsing, or allow site data for extensions.",
            ),
            (
                self.file_system_access,
                "File System Access",
                false,
                "Local files work, but have to be chosen again after a restart of the browser.",
            ),
            (
                self.web_gpu,
                "WebGPU",
                false,
                "Graphical guests are drawn without the GPU. Enable hardware acceleration for speed.",
            ),
        ];
        table
            .into_iter()
            .filter(|(present, ..)| !present)
            .map(|(_, name, fatal, advice)| MissingCapability {
                name: name.into(),
                fatal,
                advice: advice.into(),
            })
            .collect()
    }

    /// Whether VMs can run at all.
    pub fn can_run(&self) -> bool {
        self.missing().iter().all(|missing| !missing.fatal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: RuntimeCapabilities = RuntimeCapabilities {
        shared_array_buffer: true,
        web_assembly: true,
        wasm_simd: true,
        wasm_threads: true,
        big_int: true,
        indexed_db: true,
        file_system_access: true,
        web_gpu: true,
        max_memory: 4 << 30,
    };

    #[test]
    fn nothing_missing() {
        assert!(ALL.missing().is_empty() && ALL.can_run());
    }

    #[test]
    fn without_shared_memory_nothing_runs() {
        let capabilities = RuntimeCapabilities {
            shared_array_buffer: false,
            ..ALL
        };
        assert!(!capabilities.can_run());
        assert_eq!(capabilities.missing()[0].name, "SharedArrayBuffer");
    }

    #[test]
    fn without_a_gpu_vms_run() {
        let capabilities = RuntimeCapabilities {
            web_gpu: false,
            ..ALL
        };
        assert!(capabilities.can_run() && capabilities.missing().len() == 1);
    }

    #[test]
    fn json_has_the_names_of_the_seed() {
        let json = serde_json::to_value(&ALL).unwrap();
        let mut names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "bigInt",
                "fileSystemAccess",
                "indexedDb",
                "maxMemory",
                "sharedArrayBuffer",
                "wasmSimd",
                "wasmThreads",
                "webAssembly",
                "webGpu"
            ]
        );
    }
}
