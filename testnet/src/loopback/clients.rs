//! The WebSocket connections of a gateway.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpListener};
use std::rc::Rc;

use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::{WebSocketReceiver, WebSocketSender, accept_async_with_config};
use bytes::Bytes;
use futures_lite::{AsyncReadExt as _, StreamExt as _};
use nym_proto::client::WsFrame;
use nym_proto::gateway::{CONNECTIONS_MAX, UPGRADE_TIMEOUT, WEBSOCKET_MESSAGE_MAX};
use smol::Timer;
use smol::channel::{self, Receiver, Sender};
use smol::net::TcpStream;

use super::host::Host;
use crate::gateway::{Action, ConnectionId, Event};

/// Messages queued for a client beyond which nothing more is read from it.
const QUEUE_HIGH: usize = 4096;
/// How long a connection that is to be closed may take to write what it has.
const LINGER: Duration = Duration::from_secs(1);

/// The WebSocket connections of one gateway.
#[derive(Default)]
pub(super) struct Clients {
    open: RefCell<BTreeMap<ConnectionId, Handle>>,
    /// Accepted connections, upgraded or not.
    accepted: Cell<usize>,
}

/// One connection. Dropping it cuts the connection.
struct Handle {
    out: Sender<Out>,
    _alive: Sender<()>,
}

enum Out {
    Message(Message),
    Flush(u64),
    Close,
}

impl Host {
    pub(super) fn listen_for_clients(self: &Rc<Self>, listener: TcpListener) -> io::Result<()> {
        let host = Rc::clone(self);
        self.accept(listener, move |stream| {
            let accepted = &host.clients().accepted;
            if accepted.get() < CONNECTIONS_MAX {
                accepted.set(accepted.get() + 1);
                host.spawn(serve(Rc::clone(&host), stream));
            }
        })
    }
}

impl Clients {
    /// Does what concerns a client.
    pub(super) fn obey(&self, host: &Host, action: Action) {
        let (connection, out) = match action {
            Action::Send { connection, frame } => (connection, Out::Message(message(frame))),
            Action::Ping { connection, payload } => {
                let payload = Bytes::copy_from_slice(&payload);
                (connection, Out::Message(Message::Ping(payload)))
            }
            Action::Flush { connection, marker } => (connection, Out::Flush(marker)),
            Action::Close(connection) => return self.close(host, connection),
            Action::Forward { .. } | Action::CloseLink(_) => return,
        };
        if let Some(handle) = self.open.borrow().get(&connection) {
            // the queue is unbounded; it is closed when the connection ends, which is reported
            let _ = handle.out.try_send(out);
        }
    }

    /// Cuts all connections.
    pub(super) fn kick(&self) {
        self.open.borrow_mut().clear();
    }

    /// Sends a message to everybody.
    pub(super) fn inject(&self, frame: &WsFrame) {
        for handle in self.open.borrow().values() {
            let _ = handle.out.try_send(Out::Message(message(frame.clone())));
        }
    }

    fn close(&self, host: &Host, connection: ConnectionId) {
        if let Some(handle) = self.open.borrow_mut().remove(&connection) {
            let _ = handle.out.try_send(Out::Close);
            host.spawn(async move {
                Timer::after(LINGER).await;
                drop(handle);
            });
        }
    }
}

/// From the TCP connection to its end.
async fn serve(host: Rc<Host>, stream: TcpStream) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(WEBSOCKET_MESSAGE_MAX))
        .max_frame_size(Some(WEBSOCKET_MESSAGE_MAX));
    let upgrade = async { accept_async_with_config(stream.clone(), Some(config)).await.ok() };
    let late = async {
        Timer::after(UPGRADE_TIMEOUT).await;
        None
    };
    if let Some(socket) = smol::future::or(upgrade, late).await {
        let connection = ConnectionId(host.next_id());
        let (out, queue) = channel::unbounded();
        let (alive, cut) = channel::bounded::<()>(1);
        let handle = Handle { out: out.clone(), _alive: alive };
        host.clients().open.borrow_mut().insert(connection, handle);
        host.gateway_event(Event::ConnectionOpened(connection));
        let (sender, receiver) = socket.split();
        let (room, has_room) = channel::bounded(1);
        let write = write(&host, connection, sender, &queue, &room);
        let read = async {
            read(&host, connection, receiver, &out, &has_room).await;
            false
        };
        let cut = async {
            let _ = cut.recv().await;
            false
        };
        let is_orderly = smol::future::or(cut, smol::future::or(read, write)).await;
        host.clients().open.borrow_mut().remove(&connection);
        host.gateway_event(Event::ConnectionClosed(connection));
        if is_orderly {
            linger(stream).await;
        }
    }
    let accepted = &host.clients().accepted;
    accepted.set(accepted.get().saturating_sub(1));
}

async fn read(
    host: &Rc<Host>,
    connection: ConnectionId,
    mut receiver: WebSocketReceiver<TcpStream>,
    out: &Sender<Out>,
    has_room: &Receiver<()>,
) {
    while let Some(Ok(message)) = receiver.next().await {
        // a client that does not read its responses has no right to more of them
        while out.len() > QUEUE_HIGH {
            if has_room.recv().await.is_err() {
                return;
            }
        }
        match message {
            Message::Text(text) => {
                let frame = WsFrame::Text(text.as_str().to_owned());
                host.gateway_event(Event::ConnectionFrame { connection, frame });
            }
            Message::Binary(bytes) => {
                let frame = WsFrame::Binary(bytes);
                host.gateway_event(Event::ConnectionFrame { connection, frame });
            }
            Message::Pong(payload) => {
                host.gateway_event(Event::Pong { connection, payload: &payload });
            }
            Message::Close(_) => return,
            Message::Ping(_) | Message::Frame(_) => {}
        }
    }
}

/// Writes what is queued. True if the gateway wants the connection closed, false if it broke.
async fn write(
    host: &Rc<Host>,
    connection: ConnectionId,
    mut sender: WebSocketSender<TcpStream>,
    queue: &Receiver<Out>,
    room: &Sender<()>,
) -> bool {
    while let Ok(out) = queue.recv().await {
        match out {
            Out::Message(message) => {
                if sender.send(message).await.is_err() {
                    return false;
                }
                if queue.len() < QUEUE_HIGH {
                    // full means that the reader has been told
                    let _ = room.try_send(());
                }
            }
            Out::Flush(marker) => host.gateway_event(Event::Flushed { connection, marker }),
            Out::Close => return true,
        }
    }
    false
}

/// Lets the client read the last words: a socket dropped with unread input takes them with it.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let drain = async {
        let mut scrap = [0; 4096];
        while let Ok(1..) = stream.read(&mut scrap).await {}
    };
    let late = async {
        Timer::after(LINGER).await;
    };
    smol::future::or(drain, late).await;
}

fn message(frame: WsFrame) -> Message {
    match frame {
        WsFrame::Text(text) => Message::Text(text.into()),
        WsFrame::Binary(bytes) => Message::Binary(bytes),
    }
}
