//! Joins all connections with the programs' state machine and with the client.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use nym_proto::client::{Lane, Target};
use nym_runtime_smol::{Client, SendError, SendOptions};
use nym_shell::Clock;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt as _;
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, Task, Timer};
use tracing::{debug, info, warn};

use super::connection::{Connection, Happened, Remote, pair};
use super::handshake::accept;
use super::{Ended, Settings};
use crate::protocol::conversation::{self, CloseReason, SendId};
use crate::protocol::programs::{Action, Event, ProgramId, Programs};
use crate::protocol::{Access, Query};

/// Notes that wait for the hub; whoever has more waits.
const NOTES_WAITING_MAX: usize = 64;

/// How long to wait after the system refused a connection, for example because too many files are open.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Something the hub is told.
enum Note {
    /// Somebody connects.
    Incoming(TcpStream),
    /// The websocket handshake with a program is over.
    Connected(ProgramId, Query),
    /// Something for the state machine.
    Event(Event),
    /// The client has stopped.
    ClientStopped,
    /// The server is asked to end.
    Stop,
}

/// Dropping the task ends the connection.
struct Program {
    remote: Remote,
    _task: Task<()>,
    /// The websocket handshake is over, so that a Close frame can be sent.
    is_open: bool,
    /// A permit to read is out.
    is_permitted: bool,
}

pub(super) struct Hub {
    executor: Rc<LocalExecutor<'static>>,
    access: Access,
    client: Client,
    programs: Programs,
    clock: Clock,
    connections: BTreeMap<ProgramId, Program>,
    next_id: u64,
    notes: Sender<Note>,
    inbox: Receiver<Note>,
    /// Why programs are being sent away.
    ending: Option<Ended>,
}

impl Hub {
    pub(super) fn new(
        settings: Settings,
        client: Client,
        executor: Rc<LocalExecutor<'static>>,
    ) -> Self {
        let (notes, inbox) = bounded(NOTES_WAITING_MAX);
        Self {
            executor,
            access: settings.access,
            client,
            programs: Programs::new(settings.programs),
            clock: Clock::start(),
            connections: BTreeMap::new(),
            next_id: 0,
            notes,
            inbox,
            ending: None,
        }
    }

    pub(super) async fn run(mut self, listener: TcpListener, stop: Receiver<()>) -> Ended {
        let _sources = [
            self.executor.spawn(listen(listener, self.notes.clone())),
            self.executor.spawn(receive(self.client.clone(), self.notes.clone())),
            self.executor.spawn(wait_for_stop(stop, self.notes.clone())),
        ];
        loop {
            while let Some(action) = self.programs.poll_action() {
                self.perform(action).await;
            }
            self.permit();
            if let Some(ended) = self.ended() {
                return ended;
            }
            match self.next_note().await {
                Some(Note::Incoming(stream)) => self.handle_incoming(stream),
                Some(Note::Connected(id, query)) => self.handle_connected(id, query),
                Some(Note::Event(event)) => self.handle_event(event),
                Some(Note::ClientStopped) => self.end(Ended::ClientStopped),
                Some(Note::Stop) => self.end(Ended::Stopped),
                None => self.handle(Event::Tick),
            }
        }
    }

    /// Sends all programs away.
    fn end(&mut self, why: Ended) {
        if self.ending != Some(Ended::ClientStopped) {
            self.ending = Some(why);
        }
        self.handle(Event::Shutdown);
    }

    /// Why the server has ended, once it has.
    fn ended(&self) -> Option<Ended> {
        self.ending.filter(|why| match why {
            Ended::Stopped => self.programs.is_empty(),
            // what programs asked for before is not carried out any more
            Ended::ClientStopped => self.connections.is_empty(),
        })
    }

    /// The next note; `None` when the state machine's deadline has come.
    async fn next_note(&self) -> Option<Note> {
        let deadline = self.programs.next_deadline().and_then(|at| self.clock.platform(at));
        let note = async { self.inbox.recv().await.ok() };
        match deadline {
            Some(at) => {
                let late = async {
                    Timer::at(at).await;
                    None
                };
                note.or(late).await
            }
            None => note.await,
        }
    }

    fn handle(&mut self, event: Event) {
        self.programs.handle(self.clock.now(), event);
    }

    fn handle_incoming(&mut self, stream: TcpStream) {
        self.next_id += 1;
        let id = ProgramId(self.next_id);
        let (remote, channels) = pair();
        let (access, notes) = (self.access.clone(), self.notes.clone());
        let task = self.executor.spawn(async move {
            if let Some((socket, query)) = accept(stream, &access).await
                && notes.send(Note::Connected(id, query)).await.is_ok()
            {
                serve(id, Connection::new(socket, channels), &notes).await;
            }
            let _ = notes.send(program(id, conversation::Event::Ended)).await;
        });
        self.connections
            .insert(id, Program { remote, _task: task, is_open: false, is_permitted: false });
        self.handle(Event::Accepted(id));
    }

    fn handle_connected(&mut self, id: ProgramId, query: Query) {
        if let Some(program) = self.connections.get_mut(&id) {
            program.is_open = true;
        }
        self.handle(Event::Connected(id, query));
    }

    fn handle_event(&mut self, event: Event) {
        if let Event::Program(id, event) = &event {
            match event {
                conversation::Event::Frame(_) => {
                    if let Some(program) = self.connections.get_mut(id) {
                        program.is_permitted = false;
                    }
                }
                conversation::Event::Ended => {
                    self.connections.remove(id);
                    debug!(?id, "a program has gone");
                }
                _ => {}
            }
        }
        self.handle(event);
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Lost { messages, bytes } => {
                warn!(messages, bytes, "messages were lost: no program takes them");
            }
            Action::Program(id, action) => self.perform_for(id, action).await,
        }
    }

    async fn perform_for(&mut self, id: ProgramId, action: conversation::Action) {
        match action {
            conversation::Action::Write(frame) => {
                if let Some(program) = self.connections.get(&id) {
                    program.remote.write(frame);
                }
            }
            conversation::Action::Send { id: message, target, lane, data } => {
                let sending = send(
                    self.client.clone(),
                    self.notes.clone(),
                    (id, message),
                    target,
                    lane,
                    data,
                );
                self.executor.spawn(sending).detach();
            }
            // an error means that the client has stopped, which is told otherwise
            conversation::Action::CloseLane(lane) => drop(self.client.close_lane(lane).await),
            conversation::Action::AskLaneLen(lane) => {
                let packets = self.client.lane_len(lane).await.unwrap_or(0);
                let event = conversation::Event::LaneLen(packets);
                self.handle(Event::Program(id, event));
            }
            conversation::Action::AskAddress => {
                let event = conversation::Event::Address(self.client.address());
                self.handle(Event::Program(id, event));
            }
            conversation::Action::Close(reason) => self.close(id, reason),
            // goes to whom keeps the messages, which is the state machine
            conversation::Action::Delivered(_) => {}
        }
    }

    fn close(&mut self, id: ProgramId, reason: CloseReason) {
        debug!(?id, %reason, "a program is sent away");
        match self.connections.get(&id) {
            Some(program) if program.is_open && reason != CloseReason::Stalled => {
                program.remote.close(reason);
            }
            Some(_) => {
                self.connections.remove(&id);
                self.handle(Event::Program(id, conversation::Event::Ended));
            }
            None => {}
        }
    }

    /// Lets programs read on whose requests are done.
    fn permit(&mut self) {
        for (id, program) in &mut self.connections {
            if !program.is_permitted && self.programs.is_reading(*id) {
                program.is_permitted = program.remote.permit();
            }
        }
    }
}

fn program(id: ProgramId, event: conversation::Event) -> Note {
    Note::Event(Event::Program(id, event))
}

/// Tells the hub what happens on a connection, until it has ended.
async fn serve(id: ProgramId, mut connection: Connection, notes: &Sender<Note>) {
    debug!(?id, "a program has connected");
    loop {
        let event = match connection.next().await {
            Happened::Read(frame) => conversation::Event::Frame(frame),
            Happened::TooLong(len) => conversation::Event::TooLong(len),
            Happened::Written => conversation::Event::Written,
            Happened::Ended => return,
        };
        if notes.send(program(id, event)).await.is_err() {
            return;
        }
    }
}

/// Sends a message of a program, and tells the hub what becomes of it.
async fn send(
    client: Client,
    notes: Sender<Note>,
    (id, message): (ProgramId, SendId),
    target: Target,
    lane: Lane,
    data: bytes::Bytes,
) {
    let options = SendOptions { lane, ..SendOptions::default() };
    let receipt = match client.send_with(target, data, options).await {
        Ok(receipt) => receipt,
        Err(SendError::Refused(refused)) => {
            let event = conversation::Event::Refused(message, refused.reason);
            let _ = notes.send(program(id, event)).await;
            return;
        }
        // told otherwise
        Err(_) => return,
    };
    let accepted = program(id, conversation::Event::Accepted(message));
    if notes.send(accepted).await.is_ok()
        && let Ok(outcome) = receipt.outcome().await
    {
        let _ = notes.send(program(id, conversation::Event::Outcome(message, outcome))).await;
    }
}

async fn listen(listener: TcpListener, notes: Sender<Note>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // small answers are not held back for more of them
                let _ = stream.set_nodelay(true);
                if notes.send(Note::Incoming(stream)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    warn!(%error, "a connection could not be accepted");
                    Timer::after(PAUSE_AFTER_REFUSAL).await;
                }
            }
        }
    }
}

async fn receive(client: Client, notes: Sender<Note>) {
    while let Ok(delivery) = client.recv().await {
        if notes.send(Note::Event(Event::Arrived(delivery))).await.is_err() {
            return;
        }
    }
    info!("the client has stopped");
    let _ = notes.send(Note::ClientStopped).await;
}

async fn wait_for_stop(stop: Receiver<()>, notes: Sender<Note>) {
    // closed means the same
    let _ = stop.recv().await;
    let _ = notes.send(Note::Stop).await;
}
