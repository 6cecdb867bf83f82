//! The empty world: what WASI answers to the language runtimes that ask. No arguments, environment, files or network;
//! one fixed time, that of the question; randomness from a fixed seed; standard output and error end up in the log.
//!
//! wasmtime's implementation serves most of it from an empty context. Replaced here is whatever would wait: it uses an
//! async runtime and the machine's clock, and neither may be seen or blocked on by a policy. Time stands still during a
//! call, so a policy that sleeps is awake again at once.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use trimtab_types::Timestamp;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::io::{poll as waiting_poll, streams as waiting};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::p2::bindings::sync::sockets::udp_create_socket;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, Network, OutputStream, Pollable, SocketError, SocketResult,
    StreamError, StreamResult, UdpSocket, subscribe,
};
use wasmtime_wasi::sockets::WasiSocketsView as _;
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

use crate::{
    convert::unix,
    guest::{Guest, Log, Stream},
};

/// Random bytes at once. Python's generator is seeded with 2,496.
const MOST_RANDOM_BYTES: u64 = 4 << 10;
/// Bytes that one write may have.
const MOST_PRINTED: usize = 64 << 10;
/// Open WASI handles of one call, and component-model handles alike.
pub(crate) const MOST_HANDLES: usize = 256;

/// WASI's context of one call.
pub(crate) struct EmptyWorld(WasiCtx);

impl EmptyWorld {
    fn new(now: Timestamp, log: &Arc<Mutex<Log>>) -> Self {
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

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // Every WASI call comes by here. Nothing can be refused, so the excess is found when the call is over; what is
        // replaced below looks at once.
        self.charge_for_later(1);
        let world = self.world.get_or_insert_with(|| {
            self.table.set_max_capacity(MOST_HANDLES);
            Box::new(EmptyWorld::new(self.now, &self.log))
        });
        WasiCtxView { ctx: &mut world.0, table: &mut self.table }
    }
}

/// Adds the empty world to a linker.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    poll::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    streams::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    monotonic_clock::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    udp_create_socket::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Runs what wasmtime's implementation would wait for. In an empty world nothing ever has to be waited for.
fn at_once<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => {
            Err(wasmtime::format_err!("it waits for something that never happens in a policy call"))
        }
    }
}

fn stream_at_once<T>(future: impl Future<Output = StreamResult<T>>) -> StreamResult<T> {
    at_once(future).map_err(StreamError::Trap)?
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

/// A pollable that is always ready.
struct Now;

#[wasmtime_wasi::async_trait]
impl Pollable for Now {
    async fn ready(&mut self) {}
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.charge(1)?;
        // Never 0: Go takes that for a machine without a clock and gives up, and policies are tried out at 1970.
        Ok(unix(self.now).saturating_mul(1_000_000_000).max(1))
    }
    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.charge(1)?;
        Ok(1_000_000_000)
    }
    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0)?;
        let table = self.ctx().table;
        let now = table.push(Now)?;
        subscribe(table, now)
    }
    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        monotonic_clock::Host::subscribe_instant(self, 0)
    }
}

impl udp_create_socket::Host for Guest {
    fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        Err(ErrorCode::AccessDenied.into())
    }
}

/// What `create_udp_socket` needs to report its error.
impl network::Host for Guest {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.sockets(), error)
    }
}

impl network::HostNetwork for Guest {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets(), network)
    }
}

impl poll::Host for Guest {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.charge(pollables.len())?;
        at_once(waiting_poll::Host::poll(self.ctx().table, pollables))?
    }
}

impl poll::HostPollable for Guest {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.charge(0)?;
        at_once(waiting_poll::HostPollable::ready(self.ctx().table, pollable))?
    }
    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.charge(0)?;
        at_once(waiting_poll::HostPollable::block(self.ctx().table, pollable))?
    }
    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        waiting_poll::HostPollable::drop(self.ctx().table, pollable)
    }
}

impl streams::Host for Guest {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        streams::Host::convert_stream_error(self.ctx().table, error)
    }
}

impl streams::HostInputStream for Guest {
    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.charge(0).map_err(StreamError::Trap)?;
        waiting::HostInputStream::read(self.ctx().table, stream, len)
    }
    fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.charge(0).map_err(StreamError::Trap)?;
        stream_at_once(waiting::HostInputStream::blocking_read(self.ctx().table, stream, len))
    }
    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.charge(0).map_err(StreamError::Trap)?;
        waiting::HostInputStream::skip(self.ctx().table, stream, len)
    }
    fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.charge(0).map_err(StreamError::Trap)?;
        stream_at_once(waiting::HostInputStream::blocking_skip(self.ctx().table, stream, len))
    }
    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0)?;
        waiting::HostInputStream::subscribe(self.ctx().table, stream)
    }
    fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        at_once(waiting::HostInputStream::drop(self.ctx().table, stream))?
    }
}

impl streams::HostOutputStream for Guest {
    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        self.charge(0).map_err(StreamError::Trap)?;
        waiting::HostOutputStream::check_write(self.ctx().table, stream)
    }
    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.charge(bytes.len() / 1024).map_err(StreamError::Trap)?;
        waiting::HostOutputStream::write(self.ctx().table, stream, bytes)
    }
    fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        self.charge(bytes.len() / 1024).map_err(StreamError::Trap)?;
        stream_at_once(waiting::HostOutputStream::blocking_write_and_flush(self.ctx().table, stream, bytes))
    }
    fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        self.charge(0).map_err(StreamError::Trap)?;
        stream_at_once(waiting::HostOutputStream::blocking_write_zeroes_and_flush(
            self.ctx().table,
            stream,
            len,
        ))
    }
    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        self.charge(0).map_err(StreamError::Trap)?;
        waiting::HostOutputStream::write_zeroes(self.ctx().table, stream, len)
    }
    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.charge(0).map_err(StreamError::Trap)?;
        waiting::HostOutputStream::flush(self.ctx().table, stream)
    }
    fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.charge(0).map_err(StreamError::Trap)?;
        stream_at_once(waiting::HostOutputStream::blocking_flush(self.ctx().table, stream))
    }
    fn splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.charge(0).map_err(StreamError::Trap)?;
        waiting::HostOutputStream::splice(self.ctx().table, to, from, len)
    }
    fn blocking_splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.charge(0).map_err(StreamError::Trap)?;
        stream_at_once(waiting::HostOutputStream::blocking_splice(self.ctx().table, to, from, len))
    }
    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0)?;
        waiting::HostOutputStream::subscribe(self.ctx().table, stream)
    }
    fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        at_once(waiting::HostOutputStream::drop(self.ctx().table, stream))?
    }
}
