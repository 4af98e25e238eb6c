//! Reads the one thing from SDP that str0m does not expose: which track a media section carries.

use std::collections::HashMap;

/// Track id (the second word of `a=msid`) by `a=mid`, for every section that has both.
pub fn tracks_by_mid(sdp: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let (mut mid, mut track) = (None, None);
    let lines = sdp.lines().map(str::trim_end).chain(std::iter::once("m="));
    for line in lines {
        if line.starts_with("m=") {
            if let (Some(mid), Some(track)) = (mid.take(), track.take()) {
                found.insert(mid, track);
            }
            (mid, track) = (None, None);
        } else if let Some(v) = line.strip_prefix("a=mid:") {
            mid = Some(v.to_owned());
        } else if let Some(v) = line.strip_prefix("a=msid:") {
            track = v.split_whitespace().nth(1).map(str::to_owned);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_with_a_track_are_found() {
        let sdp = "v=0\r\na=msid-semantic:WMS *\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
                   a=mid:0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n\
                   a=msid:PA_x TR_abc\r\nm=application 9 x\r\na=mid:2\r\n";
        let got = tracks_by_mid(sdp);
        assert_eq!(got.len(), 1);
        assert_eq!(got["1"], "TR_abc");
        assert!(tracks_by_mid("").is_empty());
    }
}
