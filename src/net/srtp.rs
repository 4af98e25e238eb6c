//! SRTP and SRTCP with AES-GCM (RFC 7714), for one direction of one connection.
//!
//! In: the keys of the handshake; packets to seal, datagrams to open. Out: datagrams, packets.
//! Invariants: handling RTP allocates nothing; a datagram that fails authentication yields
//! nothing. The caller supplies the packet index, which must never repeat.

use super::keys::Keys;
use str0m::crypto::dtls::SrtpProfile;
use str0m::crypto::{AeadAes128Gcm, AeadAes128GcmCipher, AeadAes256GcmCipher, from_feature_flags};

/// Length of the authentication tag that GCM appends.
pub(super) const TAG: usize = AeadAes128Gcm::TAG_LEN;
/// Length of the salt, in both profiles.
const SALT: usize = AeadAes128Gcm::SALT_LEN;
/// Length of the index and E flag at the end of an SRTCP packet.
const INDEX: usize = 4;
const ENCRYPTED: u32 = 1 << 31;
/// Length of the RTCP header, which is not encrypted.
const RTCP_HEADER: usize = 8;
/// Key derivation labels (RFC 3711, 4.3.1).
const RTP_KEY: u8 = 0;
const RTP_SALT: u8 = 2;
const RTCP_KEY: u8 = 3;
const RTCP_SALT: u8 = 5;

#[derive(Debug)]
enum Gcm {
    Short(Box<dyn AeadAes128GcmCipher>),
    Long(Box<dyn AeadAes256GcmCipher>),
}

impl Gcm {
    /// `None` unless the key is 16 or 32 bytes long.
    fn new(key: &[u8], seals: bool) -> Option<Self> {
        let provider = from_feature_flags().srtp_provider;
        if let Ok(key) = key.try_into() {
            let cipher = provider.aead_aes_128_gcm().create_cipher(key, seals);
            return Some(Self::Short(cipher));
        }
        let cipher = provider
            .aead_aes_256_gcm()
            .create_cipher(key.try_into().ok()?, seals);
        Some(Self::Long(cipher))
    }

    fn seal(&mut self, iv: &[u8; 12], clear: &[u8], input: &[u8], out: &mut [u8]) -> bool {
        match self {
            Self::Short(c) => c.encrypt(iv, clear, input, out).is_ok(),
            Self::Long(c) => c.encrypt(iv, clear, input, out).is_ok(),
        }
    }

    fn open(&mut self, iv: &[u8; 12], clear: &[u8], input: &[u8], out: &mut [u8]) -> bool {
        match self {
            Self::Short(c) => c.decrypt(iv, &[clear], input, out).is_ok(),
            Self::Long(c) => c.decrypt(iv, &[clear], input, out).is_ok(),
        }
    }
}

/// Seals or opens the packets of one direction.
#[derive(Debug)]
pub struct Context {
    rtp: Gcm,
    rtp_salt: [u8; SALT],
    rtcp: Gcm,
    rtcp_salt: [u8; SALT],
}

/// The contexts for sending and for receiving. `None` for another profile or too little keying
/// material; str0m then handles all media.
pub(super) fn contexts(keys: &Keys) -> Option<(Context, Context)> {
    let length = match keys.profile {
        SrtpProfile::AEAD_AES_128_GCM => 16,
        SrtpProfile::AEAD_AES_256_GCM => 32,
        _ => return None,
    };
    let (masters, salts) = keys.material.split_at_checked(2 * length)?;
    let (client, server) = masters.split_at(length);
    let (client_salt, server_salt) = salts.split_at_checked(SALT)?;
    let of_client = |seals| Context::derive(client, client_salt, seals);
    let of_server = |seals| Context::derive(server, server_salt, seals);
    match keys.client {
        true => Some((of_client(true)?, of_server(false)?)),
        false => Some((of_server(true)?, of_client(false)?)),
    }
}

/// A sealing and an opening context of one direction, with keys that are not secret: for
/// `cargo bench`.
#[doc(hidden)]
pub fn bench_pair() -> Option<(Context, Context)> {
    let keys = |client| Keys {
        profile: SrtpProfile::AEAD_AES_256_GCM,
        material: (0..2 * 32 + 2 * SALT as u8).collect(),
        client,
    };
    Some((contexts(&keys(true))?.0, contexts(&keys(false))?.1))
}

/// Derives a session key from its master key (RFC 3711, 4.3.1; RFC 7714, 11).
fn derived<const N: usize>(master: &[u8], salt: &[u8], label: u8) -> [u8; N] {
    let provider = from_feature_flags().srtp_provider;
    let mut out = [0; N];
    for (round, part) in out.chunks_mut(16).enumerate() {
        let mut input = [0; 16];
        input[..SALT].copy_from_slice(&salt[..SALT]);
        input[7] ^= label;
        input[15] = round as u8;
        // The cipher needs room for one more block.
        let mut block = [0; 32];
        match master.len() {
            16 => provider.srtp_aes_128_ecb_round(master, &input, &mut block),
            _ => provider.srtp_aes_256_ecb_round(master, &input, &mut block),
        }
        part.copy_from_slice(&block[..part.len()]);
    }
    out
}

impl Context {
    fn derive(master: &[u8], salt: &[u8], seals: bool) -> Option<Self> {
        if salt.len() < SALT {
            return None;
        }
        let cipher = |label| match master.len() {
            16 => Gcm::new(&derived::<16>(master, salt, label), seals),
            _ => Gcm::new(&derived::<32>(master, salt, label), seals),
        };
        Some(Self {
            rtp: cipher(RTP_KEY)?,
            rtp_salt: derived(master, salt, RTP_SALT),
            rtcp: cipher(RTCP_KEY)?,
            rtcp_salt: derived(master, salt, RTCP_SALT),
        })
    }

    /// Seals a packet whose header, `header` bytes long, is already in `out`; returns the
    /// datagram's length, or `None` if `out` is too small.
    pub fn seal_rtp(
        &mut self,
        ssrc: u32,
        index: u64,
        header: usize,
        payload: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let iv = AeadAes128Gcm::rtp_iv(self.rtp_salt, ssrc, (index >> 16) as u32, index as u16);
        let end = header + payload.len() + TAG;
        let (clear, sealed) = out.get_mut(..end)?.split_at_mut(header);
        self.rtp.seal(&iv, clear, payload, sealed).then_some(end)
    }

    /// Opens a datagram into `out`; returns the payload's length, padding included.
    pub fn open_rtp(
        &mut self,
        ssrc: u32,
        index: u64,
        header: usize,
        datagram: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let iv = AeadAes128Gcm::rtp_iv(self.rtp_salt, ssrc, (index >> 16) as u32, index as u16);
        let (clear, sealed) = datagram.split_at_checked(header)?;
        let length = sealed.len().checked_sub(TAG)?;
        let opened = self.rtp.open(&iv, clear, sealed, out.get_mut(..length)?);
        opened.then_some(length)
    }

    /// Seals the RTCP packet in the first `length` bytes of `out`; returns the datagram's length.
    pub(super) fn seal_rtcp(&mut self, index: u32, length: usize, out: &mut [u8]) -> Option<usize> {
        let end = length + TAG;
        let tail = (ENCRYPTED | index).to_be_bytes();
        let body = out.get(RTCP_HEADER..length)?.to_vec();
        let mut clear = [0; RTCP_HEADER + INDEX];
        clear[..RTCP_HEADER].copy_from_slice(&out[..RTCP_HEADER]);
        clear[RTCP_HEADER..].copy_from_slice(&tail);
        let iv = AeadAes128Gcm::rtcp_iv(self.rtcp_salt, sender(&clear), index);
        out.get_mut(end..end + INDEX)?.copy_from_slice(&tail);
        let sealed = self
            .rtcp
            .seal(&iv, &clear, &body, &mut out[RTCP_HEADER..end]);
        sealed.then_some(end + INDEX)
    }

    /// Opens an RTCP datagram into `out`; returns its length. Reports that are authenticated but
    /// not encrypted are ignored.
    pub(super) fn open_rtcp(&mut self, datagram: &[u8], out: &mut [u8]) -> Option<usize> {
        let (packet, tail) = datagram.split_at_checked(datagram.len().checked_sub(INDEX)?)?;
        let (head, sealed) = packet.split_at_checked(RTCP_HEADER)?;
        let flagged = u32::from_be_bytes(tail.try_into().ok()?);
        if flagged & ENCRYPTED == 0 {
            return None;
        }
        let mut clear = [0; RTCP_HEADER + INDEX];
        clear[..RTCP_HEADER].copy_from_slice(head);
        clear[RTCP_HEADER..].copy_from_slice(tail);
        let iv = AeadAes128Gcm::rtcp_iv(self.rtcp_salt, sender(&clear), flagged & !ENCRYPTED);
        let length = RTCP_HEADER + sealed.len().checked_sub(TAG)?;
        let (start, rest) = out.get_mut(..length)?.split_at_mut(RTCP_HEADER);
        start.copy_from_slice(head);
        self.rtcp.open(&iv, &clear, sealed, rest).then_some(length)
    }
}

/// SSRC of an RTCP packet's sender.
fn sender(header: &[u8; RTCP_HEADER + INDEX]) -> u32 {
    u32::from_be_bytes([header[4], header[5], header[6], header[7]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| {
                let text = std::str::from_utf8(pair).expect("ASCII");
                u8::from_str_radix(text, 16).expect("hexadecimal")
            })
            .collect()
    }

    /// A context with these session keys.
    fn with_keys(key: &[u8], seals: bool) -> Context {
        let salt = *b"Quid pro quo";
        Context {
            rtp: Gcm::new(key, seals).expect("a key"),
            rtp_salt: salt,
            rtcp: Gcm::new(key, seals).expect("a key"),
            rtcp_salt: salt,
        }
    }

    #[test]
    fn sealing_and_opening_match_the_rfc_7714_vectors() {
        // Header, payload and result from section 16.1.1.
        let key: Vec<u8> = (0..16).collect();
        let text = b"Gallia est omnis divisa in partes tres";
        let expected = bytes(
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
             0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        );
        let mut out = [0; 128];
        out[..12].copy_from_slice(&expected[..12]);
        let mut seals = with_keys(&key, true);
        let n = seals.seal_rtp(0x5501_a0b2, 0xf17b, 12, text, &mut out);
        assert_eq!(n.map(|n| &out[..n]), Some(&expected[..]));
        let (mut opens, mut clear) = (with_keys(&key, false), [0; 128]);
        let n = opens.open_rtp(0x5501_a0b2, 0xf17b, 12, &expected, &mut clear);
        assert_eq!(n.map(|n| &clear[..n]), Some(&text[..]));
    }

    #[test]
    fn tampered_or_truncated_packets_are_rejected() {
        for length in [16, 32] {
            let keys = Keys {
                profile: match length {
                    16 => SrtpProfile::AEAD_AES_128_GCM,
                    _ => SrtpProfile::AEAD_AES_256_GCM,
                },
                material: (0..2 * length as u8 + 24).collect(),
                client: true,
            };
            let server = Keys {
                material: keys.material.clone(),
                client: false,
                ..keys
            };
            let (mut seals, _) = contexts(&keys).expect("a GCM profile");
            let (_, mut opens) = contexts(&server).expect("a GCM profile");
            let (mut packet, mut out) = ([0x80; 64], [0; 64]);
            let n = seals.seal_rtp(7, 70_000, 12, b"twenty", &mut packet);
            let n = n.expect("room");
            let opened = opens.open_rtp(7, 70_000, 12, &packet[..n], &mut out);
            assert_eq!(opened.map(|n| &out[..n]), Some(&b"twenty"[..]));
            assert_eq!(opens.open_rtp(7, 70_001, 12, &packet[..n], &mut out), None);
            for cut in 0..n {
                assert_eq!(
                    opens.open_rtp(7, 70_000, 12, &packet[..cut], &mut out),
                    None
                );
            }
            let mut report = [0x81; 64];
            let n = seals.seal_rtcp(9, 28, &mut report).expect("room");
            assert_eq!(n, 28 + TAG + INDEX);
            let opened = opens.open_rtcp(&report[..n], &mut out);
            assert_eq!(opened.map(|n| &out[..n]), Some(&[0x81; 28][..]));
            for at in 0..n {
                let mut changed = report;
                changed[at] ^= 1;
                assert_eq!(opens.open_rtcp(&changed[..n], &mut out), None, "{at}");
                assert_eq!(opens.open_rtcp(&report[..at], &mut out), None, "{at}");
            }
        }
    }

    #[test]
    fn other_profiles_and_short_keys_are_left_to_str0m() {
        for (profile, length) in [
            (SrtpProfile::AES128_CM_SHA1_80, 60),
            (SrtpProfile::AEAD_AES_256_GCM, 63),
            (SrtpProfile::AEAD_AES_128_GCM, 40),
            (SrtpProfile::AEAD_AES_128_GCM, 50),
        ] {
            let keys = Keys {
                profile,
                material: vec![1; length],
                client: true,
            };
            assert!(contexts(&keys).is_none(), "{profile} {length}");
        }
    }
}
