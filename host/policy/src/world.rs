//! What the empty world of a call is made of: a clock that stands still, randomness from a fixed seed, and standard output
//! and error that end up in the log. How it answers is `wasi`'s business.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use trimtab_types::Timestamp;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{HostWallClock, WasiCtx};

use crate::convert::unix;
use crate::output::{Log, Stream};

/// Random bytes at once. Python's generator is seeded with 2,496.
const MOST_RANDOM_BYTES: u64 = 4 << 10;
/// Bytes that one write may have.
const MOST_PRINTED: usize = 64 << 10;

/// WASI's context of one call.
pub(crate) struct EmptyWorld(pub(crate) WasiCtx);

impl EmptyWorld {
    pub(crate) fn new(now: Timestamp, log: &Arc<Mutex<Log>>) -> Self {
        let seed = unix(now);
        let mut builder = WasiCtx::builder();
        builder
            .wall_clock(StandingClock(Duration::from_secs(seed)))
            .secure_random(SplitMix(seed))
            .insecure_random(SplitMix(!seed))
            .insecure_random_seed(u128::from(seed))
            .max_random_size(MOST_RANDOM_BYTES)
            .stdout(Printer { log: Arc::clone(log), stream: Stream::Output })
            .stderr(Printer { log: Arc::clone(log), stream: Stream::Error })
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        Self(builder.build())
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small and good enough for hash seeds and the like; secrets have no place here.
struct SplitMix(u64);

impl rand_core::TryRng for SplitMix {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Ok(z ^ (z >> 31))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.try_next_u64()?.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

struct StandingClock(Duration);

impl HostWallClock for StandingClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn now(&self) -> Duration {
        self.0
    }
}

struct Printer {
    log: Arc<Mutex<Log>>,
    stream: Stream,
}

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self { log: Arc::clone(&self.log), stream: self.stream })
    }
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this, which the linker does not have.
        Box::new(tokio::io::sink())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.print(self.stream, &bytes).map_err(|stop| StreamError::Trap(stop.into()))
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MOST_PRINTED)
    }
}
