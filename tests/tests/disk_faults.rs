//! What becomes of a guest's disk when its image, its server, its database or the room for it goes: the guest is told, so is the
//! person, with what to do next, and what was flushed before is there afterwards.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{DEFAULT_TIMEOUT, Session};
use qemuweb_e2e::{Desk, Panel, Report, Scenario, doctored};
use serde_json::{Value, json};

const SECTOR: usize = 512;
/// Sectors of the server's image: more than is fetched ahead of what is asked for.
const SECTORS: usize = 16 << 11;
/// A sector that no start reads.
const FAR: usize = 15 << 11;
/// Bytes of the file that an image is: more than the host keeps a copy of.
const FILE_SIZE: u64 = 80 << 20;
/// What the extension may store at first: enough for a few sectors of some disks, and for one transaction of 8 MiB.
const ROOM: u64 = 12 << 20;
/// How long the guest may take to find out.
const FAULT: Duration = Duration::from_secs(60);

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// It sends what it is asked for.
    Honest,
    /// It has another image at the same address.
    Changed,
    /// It sends the whole image, whatever it is asked for.
    Whole,
    /// It says that it sends other bytes than those it was asked for.
    Shifted,
    /// It hangs up in the middle.
    Resets,
}

/// A server of one image.
struct Server {
    port: u16,
    manner: Arc<Mutex<Manner>>,
}

impl Server {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let manner = Arc::new(Mutex::new(Manner::Honest));
        let told = Arc::clone(&manner);
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let manner = *told.lock().unwrap_or_else(PoisonError::into_inner);
                // A browser that hangs up early has lost interest.
                thread::spawn(move || answer(&stream, manner));
            }
        });
        Ok(Self { port, manner })
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// The definition of a disk that is the image.
    fn disk(&self) -> Value {
        let url = format!("http://127.0.0.1:{}/image.raw", self.port);
        json!({ "url": url, "format": "raw", "isData": true })
    }
}

/// The image: each sector says which it is.
fn image() -> Vec<u8> {
    let mut image = vec![0; SECTORS * SECTOR];
    for (number, sector) in image.chunks_mut(SECTOR).enumerate() {
        let text = label(number);
        sector[..text.len()].copy_from_slice(text.as_bytes());
    }
    image
}

/// What a sector of the image begins with.
fn label(number: usize) -> String {
    format!("sector {number:05}")
}

/// Answers one request.
fn answer(mut stream: &TcpStream, manner: Manner) -> Option<()> {
    let lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut range = None;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(bytes) = line.to_lowercase().strip_prefix("range: bytes=") {
            let (first, last) = bytes.split_once('-')?;
            range = Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?));
        }
    }
    let image = image();
    let etag = if manner == Manner::Changed {
        "other"
    } else {
        "first"
    };
    let always = format!("ETag: \"{etag}\"\r\nContent-Type: application/octet-stream\r\nConnection: close");
    let Some((first, last)) = range.filter(|_| manner != Manner::Whole) else {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{always}\r\n\r\n",
            image.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        return stream.write_all(&image).ok();
    };
    let last = last.min(image.len() - 1);
    let shift = if manner == Manner::Shifted { SECTOR } else { 0 };
    let (told_first, told_last) = (first + shift, last + shift);
    let mut head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {told_first}-{told_last}/{}\r\nContent-Length: {}\r\n",
        image.len(),
        last + 1 - first
    );
    head += &format!("{always}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let body = &image[first..=last];
    let sent = if manner == Manner::Resets {
        body.len().div_ceil(2)
    } else {
        body.len()
    };
    stream.write_all(&body[..sent]).ok()
}

/// A browser whose extension may ask the server, and may run out of room.
struct Bench {
    desk: Desk,
    panel: Panel,
    server: Server,
    files: tempfile::TempDir,
}

impl Report for Bench {
    fn report(&self, directory: &std::path::Path) -> Result<()> {
        fs::write(directory.join("panel.txt"), self.panel.describe()?)?;
        self.desk.report(directory)
    }
}

impl Bench {
    fn open() -> Result<Self> {
        let extension = doctored(|directory| {
            let file = directory.join("manifest.json");
            let mut manifest: Value = serde_json::from_slice(&fs::read(&file)?)?;
            // As after the person has let the extension fetch from there.
            manifest["host_permissions"] = json!(["http://127.0.0.1/*"]);
            // Storage without a limit has none that a test can set.
            let permissions = manifest["permissions"].as_array_mut();
            permissions
                .context("no permissions")?
                .retain(|name| name != "unlimitedStorage");
            fs::remove_file(&file)?;
            Ok(fs::write(file, manifest.to_string())?)
        })?;
        let desk = Desk::open_with(extension)?;
        let bench = Self {
            panel: desk.open_tab()?,
            desk,
            server: Server::start()?,
            files: tempfile::tempdir()?,
        };
        // Before anything is stored: the browser asks for the room that is left every half a minute only, while there is enough.
        bench.set_quota(Some(ROOM))?;
        Ok(bench)
    }

    fn page(&self) -> &Session {
        self.panel.session()
    }

    /// Asks for a VM with this data disk, whose attachments are the files that `files` evaluates to.
    fn ask(&self, vm: &str, disk: &Value, files: &str) -> Result<()> {
        let inputs = json!({ "disk": disk });
        let start = format!(
            "window.qemuweb.startVm({vm:?}, 'minimal-x86_64', {inputs}, {{home: 'none'}}, {files}).then(() => true)"
        );
        self.page().evaluate(&start).map(drop)
    }

    /// As [`Self::ask`]; returns when the guest has its prompt.
    fn start(&self, vm: &str, disk: &Value, files: &str) -> Result<()> {
        self.ask(vm, disk, files)?;
        self.panel.wait_prompt(vm)?;
        self.panel.select(vm)?;
        // What the kernel says of faults is not what commands print.
        self.panel.expect(vm, "dmesg -n 1 && echo quiet", "quiet")
    }

    fn power_off(&self, vm: &str) -> Result<()> {
        self.page()
            .evaluate(&format!("window.qemuweb.stopVm({vm:?}, true)"))?;
        self.panel.wait_state(vm, "stopped", DEFAULT_TIMEOUT)
    }

    /// Demands that the guest reads this from a sector, past its cache.
    fn reads(&self, vm: &str, sector: usize, text: &str) -> Result<()> {
        let read = format!(
            "dd if=/dev/vda bs=512 count=1 skip={sector} iflag=direct 2>/dev/null | head -c {}",
            text.len()
        );
        self.panel.expect(vm, &read, text)
    }

    /// Has the guest write this to a sector, and flush.
    fn writes(&self, vm: &str, sector: usize, text: &str) -> Result<()> {
        let write = format!(
            "printf {text} | dd of=/dev/vda bs=512 seek={sector} conv=notrunc,fsync 2>/dev/null && echo done"
        );
        self.panel.expect(vm, &write, "done")
    }

    /// Demands that the guest cannot read a sector.
    fn cannot_read(&self, vm: &str, sector: usize) -> Result<()> {
        let read = format!(
            "dd if=/dev/vda bs=512 count=1 skip={sector} iflag=direct 2>&1 >/dev/null | grep -c 'output error'"
        );
        self.panel.expect(vm, &read, "1")
    }

    /// Waits for an alarm that says all of this.
    fn alarm(&self, vm: &str, says: &[&str]) -> Result<()> {
        let alarm = self.page().wait_for(
            &format!("an alarm of {vm}"),
            &format!(
                "JSON.stringify(window.qemuweb.vmState({vm:?}).diskAlarm ?? null).replace(/^null$/, '')"
            ),
            FAULT,
        )?;
        let alarm = alarm.as_str().unwrap_or_default();
        for text in says {
            ensure!(
                alarm.contains(text),
                "expected {text:?} in the alarm, found {alarm}"
            );
        }
        Ok(())
    }

    /// Waits until nothing is the matter any longer.
    fn no_alarm(&self, vm: &str) -> Result<()> {
        let is = format!("!window.qemuweb.vmState({vm:?}).diskAlarm");
        self.page()
            .wait_for(&format!("the alarm of {vm} to end"), &is, FAULT)
            .map(drop)
    }

    /// A file that says which its first sector is, and an expression for the page's files once a person has chosen it.
    fn choose(&self, name: &str) -> Result<(File, String)> {
        let path = self.files.path().join(name);
        let mut file = File::create_new(&path)?;
        file.write_all(label(0).as_bytes())?;
        file.set_len(FILE_SIZE)?;
        self.page().evaluate(&format!(
            "window.input ??= {{}}; window.input[{name:?}] = document.createElement('input');
             window.input[{name:?}].type = 'file'; null"
        ))?;
        self.page()
            .set_files(&format!("window.input[{name:?}]"), &[&path])?;
        Ok((file, format!("[window.input[{name:?}].files[0]]")))
    }

    /// Gives the extension so many bytes of storage, or as many as there are.
    fn set_quota(&self, bytes: Option<u64>) -> Result<()> {
        let origin = self.desk.extension.url("");
        let origin = origin.trim_end_matches('/');
        let parameters = match bytes {
            Some(bytes) => json!({ "origin": origin, "quotaSize": bytes }),
            None => json!({ "origin": origin }),
        };
        self.page()
            .call("Storage.overrideQuotaForOrigin", parameters)
            .map(drop)
    }
}

/// The definition of a disk that is a file of the person's.
fn attached(name: &str, size: u64) -> Value {
    json!({ "attachment": { "index": 0, "name": name, "size": size }, "format": "raw", "isData": true })
}

fn main() {
    let trials = Scenario::new("faults of disks", Bench::open)
        .step("an image that becomes another one on its server is an error, and nothing is mixed", |bench| {
            let disk = bench.server.disk();
            bench.start("changed", &disk, "[]")?;
            bench.reads("changed", 0, &label(0))?;
            bench.writes("changed", 7, "kept")?;
            bench.server.behave(Manner::Changed);
            bench.cannot_read("changed", FAR)?;
            bench.alarm(
                "changed",
                &["image.raw has changed while it was in use", "ETag \\\"other\\\"", "Put the former image back"],
            )?;
            // What was read and written already is there.
            bench.reads("changed", 7, "kept")?;
            bench.server.behave(Manner::Honest);
            bench.reads("changed", FAR, &label(FAR))?;
            bench.no_alarm("changed")?;
            bench.power_off("changed")
        })
        .step("what was written over it never gets over the other one", |bench| {
            let disk = bench.server.disk();
            bench.server.behave(Manner::Changed);
            bench.ask("changed", &disk, "[]")?;
            bench.panel.wait_state("changed", "crashed", FAULT)?;
            let failure = bench.page().evaluate("JSON.stringify(window.qemuweb.vmState('changed').failure)")?;
            let failure = failure.as_str().unwrap_or_default();
            ensure!(failure.contains("has changed while it was in use") && failure.contains("discard"), "{failure}");
            bench.server.behave(Manner::Honest);
            bench.start("changed", &disk, "[]")?;
            bench.reads("changed", 7, "kept")?;
            bench.reads("changed", 8, &label(8))?;
            bench.power_off("changed")
        })
        .step("a server that lies about ranges, or hangs up, is found out", |bench| {
            let disk = bench.server.disk();
            bench.start("lied", &disk, "[]")?;
            bench.writes("lied", 7, "kept")?;
            bench.server.behave(Manner::Shifted);
            bench.cannot_read("lied", FAR)?;
            bench.alarm("lied", &["expected the bytes", "Content-Range", "Download the image whole"])?;
            // What comes is used, and the rest asked for.
            bench.server.behave(Manner::Resets);
            bench.reads("lied", FAR, &label(FAR))?;
            bench.no_alarm("lied")?;
            bench.server.behave(Manner::Honest);
            bench.power_off("lied")?;
            bench.start("lied", &disk, "[]")?;
            bench.reads("lied", 7, "kept")?;
            bench.power_off("lied")
        })
        .step("a server without ranges is asked for the whole image", |bench| {
            bench.server.behave(Manner::Whole);
            let disk = bench.server.disk();
            bench.start("whole", &disk, "[]")?;
            bench.reads("whole", FAR, &label(FAR))?;
            bench.writes("whole", 7, "kept")?;
            bench.power_off("whole")?;
            bench.start("whole", &disk, "[]")?;
            bench.reads("whole", 7, "kept")?;
            bench.power_off("whole")?;
            bench.server.behave(Manner::Honest);
            Ok(())
        })
        .step("a file that is changed or removed is an error until it is there again", |bench| {
            let (file, chosen) = bench.choose("image.raw")?;
            let disk = attached("image.raw", FILE_SIZE);
            bench.start("file", &disk, &chosen)?;
            bench.reads("file", 0, &label(0))?;
            bench.writes("file", 7, "kept")?;
            let modified = file.metadata()?.modified()?;
            file.set_modified(modified + Duration::from_secs(5))?;
            bench.cannot_read("file", 20 << 11)?;
            bench.alarm("file", &["image.raw", "choose"])?;
            bench.reads("file", 7, "kept")?;
            file.set_modified(modified)?;
            bench.panel.expect("file", "dd if=/dev/vda bs=1M skip=20 count=1 iflag=direct 2>/dev/null | wc -c", "1048576")?;
            bench.no_alarm("file")?;
            let path = bench.files.path().join("image.raw");
            let away = bench.files.path().join("away.raw");
            fs::rename(&path, &away)?;
            bench.cannot_read("file", 40 << 11)?;
            bench.alarm("file", &["image.raw", "choose it again"])?;
            fs::rename(&away, &path)?;
            bench.panel.expect("file", "dd if=/dev/vda bs=1M skip=40 count=1 iflag=direct 2>/dev/null | wc -c", "1048576")?;
            bench.power_off("file")?;
            bench.start("file", &disk, &chosen)?;
            bench.reads("file", 7, "kept")?;
            bench.power_off("file")
        })
        .step("without room the machine stands still, and goes on when there is some", |bench| {
            let (_, chosen) = bench.choose("data.raw")?;
            let disk = attached("data.raw", FILE_SIZE);
            bench.start("full", &disk, &chosen)?;
            bench.writes("full", 7, "kept")?;
            bench.panel.expect(
                "full",
                "dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null && echo done",
                "done",
            )?;
            bench.panel.type_keys("dd if=/tmp/data of=/dev/vda bs=1M seek=8 conv=notrunc,fsync; echo writ''ten-$?-\n")?;
            bench.panel.wait_state("full", "halted", FAULT)?;
            bench.alarm("full", &["there is no room to keep the changes", "Free space", "nothing is lost"])?;
            bench.set_quota(None)?;
            bench.page().evaluate("window.qemuweb.resumeVm('full')")?;
            bench.panel.wait_console("full", "the end of writing", FAULT, |text| {
                text.contains("written-0-").then_some(())
            })?;
            bench.no_alarm("full")?;
            let sum = bench.panel.run("full", "md5sum </tmp/data")?;
            bench.power_off("full")?;
            bench.start("full", &disk, &chosen)?;
            bench.panel.expect("full", "dd if=/dev/vda bs=1M skip=8 count=16 2>/dev/null | md5sum", sum.text.trim_end())?;
            bench.reads("full", 7, "kept")?;
            bench.power_off("full")
        })
        .step("a database that is deleted is an error, and another start begins anew", |bench| {
            let disk = attached("small.raw", 1 << 20);
            let chosen = "[new File(['base!', new Uint8Array((1 << 20) - 5)], 'small.raw', {lastModified: 5})]";
            bench.start("deleted", &disk, chosen)?;
            bench.writes("deleted", 7, "kept")?;
            let deleted = "new Promise((resolve, reject) => {
                const request = indexedDB.deleteDatabase('qemuweb-storage');
                request.onsuccess = () => resolve(true); request.onerror = () => reject(request.error); })";
            bench.page().evaluate(deleted)?;
            let write = "printf lost | dd of=/dev/vda bs=512 seek=9 conv=notrunc,fsync 2>&1 | grep -c 'output error'";
            bench.panel.expect("deleted", write, "1")?;
            bench.alarm("deleted", &["the database was closed or deleted", "Stop the VM and start it again"])?;
            // What is in memory is not forgotten.
            bench.reads("deleted", 7, "kept")?;
            bench.power_off("deleted")?;
            bench.start("deleted", &disk, chosen)?;
            bench.reads("deleted", 0, "base!")?;
            bench.writes("deleted", 9, "new")?;
            bench.power_off("deleted")?;
            bench.start("deleted", &disk, chosen)?;
            bench.reads("deleted", 9, "new")?;
            bench.power_off("deleted")
        })
        .trials();
    qemuweb_e2e::run(trials)
}
