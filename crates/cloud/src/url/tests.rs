//! What is an address, and what is said of what is none.

use super::*;

#[test]
fn an_address_survives_printing() {
    let url = CloudUrl::parse("dir:some folder:with colon").unwrap();
    let printed = url.to_string();
    assert!(printed.starts_with("dir:") && printed.ends_with("some folder:with colon"));
    let path = printed.strip_prefix("dir:").unwrap();
    assert!(std::path::Path::new(path).is_absolute());
    assert_eq!(CloudUrl::parse(&printed), Ok(url));
}

#[test]
fn a_bad_address_says_what_is_supported() {
    let unknown = CloudUrl::parse("ftp://user:password@host").unwrap_err();
    let message = unknown.to_string();
    let begin = "unknown kind of cloud \"ftp:\", this version supports dir:PATH";
    assert!(message.starts_with(begin) && !message.contains("password"), "{message}");
    assert_eq!(CloudUrl::parse("dir:"), Err(BadCloudUrl::NoPath));
    for bad in ["", "backups", "C:\\backups", "./a:b", ":x", "two words:x"] {
        assert_eq!(CloudUrl::parse(bad), Err(BadCloudUrl::NoScheme), "{bad}");
    }
}

#[cfg(feature = "address")]
#[test]
fn the_example_of_each_service_is_an_address() {
    for service in services::ALL {
        let url = CloudUrl::parse(service.example).unwrap();
        assert_eq!(CloudUrl::parse(&url.to_string()), Ok(url));
        assert!(supported().contains(service.example));
    }
}

#[cfg(feature = "address")]
#[test]
fn an_address_holds_no_secret() {
    for service in services::ALL {
        let (scheme, _) = service.example.split_once(':').unwrap();
        let url = format!("{scheme}://user:hunter2hunter2@host/path");
        let error = CloudUrl::parse(&url).unwrap_err();
        assert_eq!(error, BadCloudUrl::HoldsSecret { what: "a password" }, "{url}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let unknown =
            format!("{}{}", service.example, if service.example.contains('?') { "&" } else { "?" });
        let error = CloudUrl::parse(&format!("{unknown}secret=x")).unwrap_err();
        assert!(matches!(error, BadCloudUrl::UnknownOption { .. }), "{error}");
    }
}
