//! Somebody damages the files of a store under the running hub: it goes on, and the next start heals it.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use yurt_testkit::objects::config_map;
use yurt_testkit::wait_for;

use super::{tells_no_lie, wait_whole};
use crate::hub::{Hub, SOON, may_do_everything, server};

/// What happens to the files of a store that is in use.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 4] = [
    ("database deleted", |store| {
        for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
            fs::remove_file(store.join(name)).unwrap();
        }
    }),
    ("database truncated", |store| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(store.join("store.sqlite"));
        file.unwrap().set_len(20_000).unwrap();
    }),
    ("log truncated", |store| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(store.join("store.sqlite-wal"));
        file.unwrap().set_len(0).unwrap();
    }),
    ("garbage in both", |store| {
        for name in ["store.sqlite", "store.sqlite-wal"] {
            let mut file = fs::OpenOptions::new().write(true).open(store.join(name)).unwrap();
            let length = file.metadata().unwrap().len() as usize;
            file.write_all(&vec![0xa5; length]).unwrap();
        }
    }),
];

#[tokio::test]
async fn a_store_that_is_damaged_in_use_tells_no_lie_and_heals_at_the_next_start() {
    for (number, (what, damage)) in DAMAGES.into_iter().enumerate() {
        let name = format!("in-use-{number}");
        let mut hub = Hub::start(server().await, &name).await;
        may_do_everything(&hub).await;
        let admin = hub.server.admin();
        let filler = "x".repeat(20_000);
        let map = |name: &str| config_map(name).in_namespace(&hub.name).data("x", &filler);
        for index in 0..100 {
            map(&format!("m-{index:02}")).create(admin).await.unwrap();
        }
        let maps = format!("/api/v1/namespaces/{name}/configmaps?resourceVersion=0");
        let (status, before) = hub.node().get(&maps).await.unwrap();
        assert_eq!(status, 200);
        hub.store_is_quiet().await;
        damage(&hub.store());
        // It goes on writing, and reads what it has long forgotten.
        map("new").create(admin).await.unwrap();
        let (_, whole) = admin.get(&maps).await.unwrap();
        let seen = wait_for("a list with the new object, or none", SOON, async || {
            match hub.node().get(&maps).await {
                Ok((200, list)) if list["items"] == whole["items"] => Ok("whole"),
                Ok((500..=599, _)) | Err(_) => Ok("refused"),
                Ok((status, _)) => Err(format!("{what}: {status}")),
            }
        })
        .await;
        hub.cut().await;
        tells_no_lie(&hub, &maps, &[&whole], what).await;
        assert!(hub.process.ended().unwrap().is_none(), "{what}");
        let logged = hub.process.log();
        hub.restart().await;
        // What was not durable yet went with the process.
        tells_no_lie(&hub, &maps, &[&before, &whole], what).await;
        hub.join().await;
        wait_whole(&hub, &maps, &whole, what).await;
        let log = hub.process.log();
        let report = log.lines().rfind(|line| line.contains("store opened"));
        println!("{what}: a list was {seen}; then {}", report.unwrap_or_default());
        for line in logged
            .lines()
            .filter(|line| line.contains("WARN") || line.contains("ERROR"))
        {
            println!("  {line}");
        }
        assert!(!log.contains("panicked"), "{what}: {log}");
    }
}
