//! What Atlas costs over a database that costs nothing: `cargo run -p qemuweb-atlas --example measure`, with `--release` for
//! figures that count. 256 MiB are put, read, verified and exported beside a bare SHA-256 of them, and 100,000 files are listed.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    futures_executor::block_on(native::main())
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::cell::Cell;
    use std::error::Error;
    use std::ops::ControlFlow;
    use std::rc::Rc;
    use std::time::Instant;

    use qemuweb_atlas::hash::ContentHash;
    use qemuweb_atlas::manifest::{CHUNK, ManifestType};
    use qemuweb_atlas::memory::MemoryRecords;
    use qemuweb_atlas::metadata::FileFilter;
    use qemuweb_atlas::records::Environment;
    use qemuweb_atlas::store::{Atlas, FileOptions};
    use qemuweb_storage::transfer::Progress;

    const CHUNKS: usize = 64;
    const FILES: usize = 100_000;

    #[derive(Default)]
    struct Counting(Cell<u64>);

    impl Environment for Counting {
        fn now(&self) -> u64 {
            0
        }

        fn new_id(&self) -> String {
            self.0.set(self.0.get() + 1);
            self.0.get().to_string()
        }
    }

    pub(super) async fn main() -> Result<(), Box<dyn Error>> {
        let atlas = Atlas::open(Rc::new(MemoryRecords::default()), Rc::new(Counting::default())).await?;
        let mut go_on = |_: Progress| ControlFlow::Continue(());
        let content: Vec<u8> = (0..CHUNKS * CHUNK / 8)
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let mut start = Instant::now();
        let mut tell = |what: &str| {
            println!("{what:>24}: {:>6} ms", start.elapsed().as_millis());
            start = Instant::now();
        };
        content.chunks(CHUNK).for_each(|chunk| {
            std::hint::black_box(ContentHash::of(chunk));
        });
        tell("bare SHA-256");
        let options = FileOptions::uploaded(ManifestType::Raw);
        let file = atlas.store_file("large", &content, options.clone()).await?;
        tell("put");
        atlas
            .open_file(&file.id)
            .await?
            .copy_to(&mut Vec::new(), &mut go_on)
            .await?;
        tell("get");
        atlas.verify(&file.id, &mut go_on).await?;
        tell("verify");
        atlas
            .export_bundle(&["large".into()], &mut Vec::new(), &mut go_on)
            .await?;
        tell("bundle");
        let small = atlas.store_file("small", b"small", options.clone()).await?;
        for number in 0..FILES {
            let name = format!("some/folder/file {number}.img");
            atlas
                .register_file(&name, small.manifest_hash, options.clone())
                .await?;
        }
        tell("register 100,000 files");
        assert_eq!(atlas.list_files(&FileFilter::default()).len(), FILES + 2);
        tell("list them");
        let text = FileFilter {
            text: "FILE 9999".into(),
            ..FileFilter::default()
        };
        assert_eq!(atlas.list_files(&text).len(), 19);
        tell("filter them by text");
        Ok(())
    }
}
