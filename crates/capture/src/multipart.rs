//! Bodies of `multipart/form-data` (RFC 7578), as browsers write them.

/// A field of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) name: String,
    /// For files.
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content: &'a [u8],
}

/// The boundary of a media type `multipart/form-data`.
pub(crate) fn boundary(mime_type: &str) -> Option<&str> {
    let (essence, parameters) = mime_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
        .map(|(_, value)| value.trim().trim_matches('"'))
        // RFC 2046 allows 70.
        .filter(|boundary| (1..=200).contains(&boundary.len()))
}

/// A body of these parts.
pub(crate) fn write(parts: &[Part<'_>], boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let mut head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            escape(&part.name)
        );
        if let Some(file_name) = &part.file_name {
            head += &format!("; filename=\"{}\"", escape(file_name));
        }
        if let Some(content_type) = &part.content_type {
            head += &format!("\r\nContent-Type: {}", content_type.replace(['\r', '\n'], " "));
        }
        body.extend(head.as_bytes());
        body.extend(b"\r\n\r\n");
        body.extend(part.content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").as_bytes());
    body
}

/// As HTML has it for names in `Content-Disposition`.
fn escape(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn unescape(name: &str) -> String {
    name.replace("%22", "\"")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
        .replace("\\\"", "\"")
}

/// The parts of a whole body; nothing when it is not whole, or has what [`Part`] cannot say.
pub(crate) fn parse<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(&delimiter.as_bytes()[2..])?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, delimiter.as_bytes())?;
        parts.push(part(&rest[..end])?);
        rest = &rest[end + delimiter.len()..];
    }
}

fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let end = find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut part = Part {
        content: &bytes[end + 4..],
        ..Part::default()
    };
    let mut name = None;
    for line in head.split("\r\n") {
        let (field, value) = line.split_once(':')?;
        match field.to_ascii_lowercase().as_str() {
            "content-disposition" => {
                let value = value.trim().strip_prefix("form-data")?;
                name = parameter(value, "name");
                part.file_name = parameter(value, "filename");
            }
            "content-type" => part.content_type = Some(value.trim().to_owned()),
            _ => return None,
        }
    }
    part.name = name?;
    Some(part)
}

/// The value of `; name="value"`. Browsers leave no quote in it.
fn parameter(text: &str, name: &str) -> Option<String> {
    let start = text.find(&format!("; {name}=\""))? + name.len() + 4;
    let rest = text.get(start..)?;
    let mut escaped = false;
    let end = rest.find(|c: char| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    })?;
    Some(unescape(&rest[..end]))
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, pattern)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn boundaries_are_found() {
        for (mime_type, found) in [
            ("multipart/form-data; boundary=XX", Some("XX")),
            ("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/mixed; boundary=XX", None),
        ] {
            assert_eq!(boundary(mime_type), found, "{mime_type}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_parsed(
            fields in prop::collection::vec(
                ("[a-z ;\"\r\n=ä]{1,6}", prop::option::of("[a-z\"; .]{0,6}"), prop::option::of("[a-z/]{1,6}"), any::<Vec<u8>>()),
                0..4,
            ),
        ) {
            let parts: Vec<Part<'_>> = fields
                .iter()
                .map(|(name, file_name, content_type, content)| Part {
                    name: name.clone(),
                    file_name: file_name.clone(),
                    content_type: content_type.clone(),
                    content,
                })
                .collect();
            let body = write(&parts, "----boundary");
            prop_assert_eq!(parse(&body, "----boundary"), Some(parts));
        }

        #[test]
        fn any_body_is_parsed_or_not(body in "(--X|\r\n|name=\"|a|:|form-data;){0,20}") {
            let _ = parse(body.as_bytes(), "X");
        }
    }
}
