//! The empty world: what WASI answers to the language runtimes that ask. No arguments, environment, files or network;
//! one fixed time, that of the question; randomness from a fixed seed; standard output and error end up in the log.
//!
//! wasmtime's implementation serves most of it from an empty context. Replaced here is whatever would wait: it uses an
//! async runtime and the machine's clock, and neither may be seen or blocked on by a policy. Time stands still during a
//! call, so a policy that sleeps is awake again at once.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::io::{poll as waiting_poll, streams as waiting};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::p2::bindings::sync::sockets::udp_create_socket;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, Network, Pollable, SocketError, SocketResult, StreamError,
    StreamResult, UdpSocket, subscribe,
};
use wasmtime_wasi::sockets::WasiSocketsView as _;
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::convert::unix;
use crate::guest::Guest;
use crate::world::EmptyWorld;

/// Open WASI handles of one call, and component-model handles alike.
pub(crate) const MOST_HANDLES: usize = 256;

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
