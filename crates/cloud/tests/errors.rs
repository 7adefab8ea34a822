//! What a user reads when a cloud fails.

use std::{error::Error, fs, sync::Arc};

use cloud::{CloudBackend, CloudError, DirCloud, ObjectName, PutMode};

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

#[test]
fn messages() {
    let name = || ObjectName::new("sr1/t/x").unwrap();
    let source = || Arc::from(Box::<dyn Error + Send + Sync>::from("why"));
    for (error, message) in [
        (CloudError::unavailable("why"), "cloud is unreachable: why"),
        (CloudError::Unauthorized { source: source() }, "cloud refused access: why"),
        (CloudError::Full { source: source() }, "cloud is full: why"),
        (CloudError::Conflict { name: name() }, "sr1/t/x: another version is there"),
        (CloudError::NotFound { name: name() }, "sr1/t/x: not found"),
        (CloudError::Damaged { name: name() }, "sr1/t/x: content does not match its name"),
        (
            CloudError::Refused { name: name(), source: source() },
            "sr1/t/x: cloud cannot keep this object: why",
        ),
        (CloudError::TooOld { source: source() }, "cloud does not do what backups need: why"),
        (CloudError::BadAddress { source: source() }, "not the address of a cloud: why"),
    ] {
        assert_eq!(chain(&error), message);
    }
}

#[tokio::test]
async fn a_failing_folder_says_what_and_where() {
    let temp = tempfile::tempdir().unwrap();
    let cloud = DirCloud::open(temp.path()).unwrap();
    fs::remove_dir_all(temp.path()).unwrap();
    let name = ObjectName::new("a").unwrap();
    let put = cloud.put(&name, "the bytes".into(), PutMode::Overwrite).await;
    let message = chain(&put.unwrap_err());
    let chosen = temp.path().join(".strongroom/chosen");
    let expected = format!("cloud is unreachable: cannot find {}: ", chosen.display());
    assert!(message.starts_with(&expected), "{message}");
}

#[tokio::test]
async fn debug_shows_no_bytes() {
    let cloud = cloud::MemCloud::new();
    let name = ObjectName::new("a").unwrap();
    let put = cloud.put(&name, "the bytes".into(), PutMode::Overwrite);
    put.await.unwrap();
    assert_eq!(format!("{cloud:?}"), "MemCloud(1 objects)");
}
