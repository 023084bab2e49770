//! The connection of one program: reads and writes at the same time, and decides nothing.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_tungstenite::tungstenite::error::CapacityError;
use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use bytes::Bytes;
use futures_util::{SinkExt as _, Stream as _, StreamExt as _};
use smol::Timer;
use smol::channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use smol::io::AsyncRead as _;

use super::CLOSE_TIMEOUT;
use super::handshake::WebSocket;
use crate::protocol::conversation::CloseReason;
use crate::protocol::{Frame, Text};

/// The hub's end of a connection.
#[derive(Debug)]
pub(super) struct Remote {
    frames: Sender<Frame>,
    close: Sender<CloseReason>,
    permits: Sender<()>,
}

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Happened {
    /// A frame was read.
    Read(Frame),
    /// A frame of so many bytes begins, and is not read.
    TooLong(usize),
    /// A frame was written.
    Written,
    /// The end.
    Ended,
}

/// The connection's end.
pub(super) struct Channels {
    frames: Pin<Box<Receiver<Frame>>>,
    close: Pin<Box<Receiver<CloseReason>>>,
    permits: Pin<Box<Receiver<()>>>,
}

/// The two ends. What waits in between is bounded by the rules of the conversation.
pub(super) fn pair() -> (Remote, Channels) {
    let (frames, to_write) = unbounded();
    let (close, to_close) = bounded(1);
    let (permits, permitted) = bounded(1);
    let channels = Channels {
        frames: Box::pin(to_write),
        close: Box::pin(to_close),
        permits: Box::pin(permitted),
    };
    (Remote { frames, close, permits }, channels)
}

impl Remote {
    /// Has a frame written after those before it.
    pub(super) fn write(&self, frame: Frame) {
        let _ = self.frames.try_send(frame);
    }

    /// Has the connection closed once everything is written, or after a while.
    pub(super) fn close(&self, reason: CloseReason) {
        let _ = self.close.try_send(reason);
    }

    /// Permits one more frame to be handed over. True if that was not permitted already.
    pub(super) fn permit(&self) -> bool {
        !matches!(self.permits.try_send(()), Err(TrySendError::Full(())))
    }
}

/// An open connection.
pub(super) struct Connection {
    socket: WebSocket,
    channels: Channels,
    /// Read ahead, so that the end of the connection is seen while requests wait.
    held: Option<Frame>,
    /// A frame was handed to the socket and is not flushed yet.
    is_writing: bool,
    /// The websocket layer has something to say.
    is_unflushed: bool,
    reading: Reading,
    closing: Option<Closing>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Frames,
    /// After a frame that was too long, what follows is thrown away, so that the program gets to
    /// read why.
    Nothing,
}

struct Closing {
    reason: CloseReason,
    deadline: Timer,
    is_said: bool,
}

impl Connection {
    pub(super) fn new(socket: WebSocket, channels: Channels) -> Self {
        Self {
            socket,
            channels,
            held: None,
            is_writing: false,
            is_unflushed: false,
            reading: Reading::Frames,
            closing: None,
        }
    }

    /// Waits for the next thing to happen. Nothing happens after [`Happened::Ended`].
    pub(super) async fn next(&mut self) -> Happened {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        if self.poll_closing(cx).is_ready() {
            return Poll::Ready(Happened::Ended);
        }
        match self.poll_write(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Happened::Written),
            Poll::Ready(Err(_)) => return Poll::Ready(Happened::Ended),
            Poll::Pending => {}
        }
        self.poll_read(cx)
    }

    /// Ready when the time to close has run out.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.is_none()
            && let Poll::Ready(Some(reason)) = self.channels.close.as_mut().poll_next(cx)
        {
            let deadline = Timer::after(CLOSE_TIMEOUT);
            self.closing = Some(Closing { reason, deadline, is_said: false });
        }
        match &mut self.closing {
            Some(closing) => Pin::new(&mut closing.deadline).poll(cx).map(drop),
            None => Poll::Pending,
        }
    }

    /// Ready when one more frame is written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if self.is_writing || self.is_unflushed {
                ready!(self.socket.poll_flush_unpin(cx))?;
                self.is_unflushed = false;
                if std::mem::take(&mut self.is_writing) {
                    return Poll::Ready(Ok(()));
                }
            }
            match self.channels.frames.as_mut().poll_next(cx) {
                Poll::Ready(Some(frame)) => {
                    self.socket.start_send_unpin(to_message(frame))?;
                    self.is_writing = true;
                }
                Poll::Ready(None) | Poll::Pending => match &mut self.closing {
                    Some(closing) if !closing.is_said => {
                        closing.is_said = true;
                        self.socket.start_send_unpin(goodbye(closing.reason))?;
                        self.is_unflushed = true;
                    }
                    _ => return Poll::Pending,
                },
            }
        }
    }

    /// Ready when one more frame is read and may be handed over.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        loop {
            if self.held.is_some() && self.closing.is_none() {
                ready!(self.channels.permits.as_mut().poll_next(cx));
                if let Some(frame) = self.held.take() {
                    return Poll::Ready(Happened::Read(frame));
                }
            }
            if self.reading == Reading::Nothing {
                return self.poll_discard(cx);
            }
            match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Text(text))) => {
                    self.held = Text::try_from(Bytes::from(text)).ok().map(Frame::Text);
                }
                Some(Ok(Message::Binary(bytes))) => self.held = Some(Frame::Binary(bytes)),
                Some(Ok(Message::Close(_))) => {
                    // the answer was queued; who does not take it has gone
                    let _ = self.socket.poll_flush_unpin(cx);
                    return Poll::Ready(Happened::Ended);
                }
                Some(Ok(_)) => {
                    self.is_unflushed = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { size, .. }))) => {
                    self.reading = Reading::Nothing;
                    return Poll::Ready(Happened::TooLong(size));
                }
                Some(Err(_)) | None => return Poll::Ready(Happened::Ended),
            }
        }
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        let mut bytes = [0; 4096];
        loop {
            match ready!(Pin::new(self.socket.get_mut()).poll_read(cx, &mut bytes)) {
                Ok(0) | Err(_) => return Poll::Ready(Happened::Ended),
                Ok(_) => {}
            }
        }
    }
}

fn to_message(frame: Frame) -> Message {
    match frame {
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Text(text) => match Utf8Bytes::try_from(Bytes::from(text)) {
            Ok(text) => Message::Text(text),
            // a `Text` is UTF-8
            Err(_) => Message::Text(Utf8Bytes::default()),
        },
    }
}

fn goodbye(reason: CloseReason) -> Message {
    Message::Close(Some(CloseFrame {
        code: reason.code().into(),
        reason: reason.to_string().into(),
    }))
}
