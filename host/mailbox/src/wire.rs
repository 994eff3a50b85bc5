//! Bytes from and to a server, cut into whole answers: none is larger than it may be, and no command gets more of them than
//! it may.

use std::time::Duration;

use imap_codec::decode::Decoder;
use imap_codec::encode::{Encoded, Fragment};
use imap_codec::fragmentizer::{FragmentInfo, Fragmentizer};
use imap_codec::imap_types::IntoStatic;
use imap_codec::imap_types::core::LiteralMode;
use imap_codec::imap_types::response::{Data, Greeting, Response};
use imap_codec::{GreetingCodec, ResponseCodec};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::MailboxFault;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 << 10;

/// What a connection runs over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// One whole answer of a server.
#[derive(Debug)]
pub(crate) enum Frame {
    /// It is understood.
    Answer(Box<Response<'static>>),
    /// It is not. Servers say many things, most of which nobody asked for; `literal` is the largest one in it.
    Unknown { literal: Option<Vec<u8>> },
}

/// A connection to a server.
pub(crate) struct Wire {
    stream: Box<dyn Transport>,
    frames: Fragmentizer,
    /// How many bytes may still come.
    left: usize,
    /// How long the server may be silent when it should answer.
    silence: Duration,
}

impl Wire {
    /// `most`: the largest answer that is taken, in bytes.
    pub fn new(stream: Box<dyn Transport>, most: usize, silence: Duration) -> Self {
        let frames = Fragmentizer::new(u32::try_from(most).unwrap_or(u32::MAX));
        Self { stream, frames, left: most, silence }
    }

    /// The bare connection; what came and was not read is gone.
    pub fn into_stream(self) -> Box<dyn Transport> {
        self.stream
    }

    /// Lets so many bytes come from now on.
    pub fn allow(&mut self, bytes: usize) {
        self.left = bytes;
    }

    /// How long the server may be silent.
    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), MailboxFault> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.silence, sending).await {
            Ok(sent) => sent.map_err(|e| broken(&e)),
            Err(_) => Err(MailboxFault::Timeout(self.silence.as_secs())),
        }
    }

    /// Sends a command; where a part of it wants to be asked for, after it was.
    pub async fn send_command(&mut self, encoded: Encoded) -> Result<(), MailboxFault> {
        for fragment in encoded {
            match fragment {
                Fragment::Line { data } => self.send(&data).await?,
                Fragment::Literal { data, mode } => {
                    if mode == LiteralMode::Sync {
                        // What else is told meanwhile is told in the answer to a look that comes later.
                        let _ = self.asked_on().await?;
                    }
                    self.send(&data).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until the server asks to go on (RFC 3501, section 7.5). Whether it told of more messages before.
    pub async fn asked_on(&mut self) -> Result<bool, MailboxFault> {
        let mut more = false;
        loop {
            match self.answer().await? {
                Frame::Answer(answer) => match *answer {
                    Response::CommandContinuationRequest(_) => return Ok(more),
                    Response::Data(Data::Exists(_)) => more = true,
                    Response::Status(status) if status.tag().is_some() => {
                        return Err(MailboxFault::Refused {
                            command: "the server wants no more of a command",
                            words: crate::fault::words(status.text().inner()),
                        });
                    }
                    _ => {}
                },
                Frame::Unknown { .. } => {}
            }
        }
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Result<Frame, MailboxFault> {
        let silence = self.silence;
        self.within(silence).await?.ok_or(MailboxFault::Timeout(silence.as_secs()))
    }

    /// The next answer, if one begins to come within a time. Can be cancelled without losing one.
    pub async fn within(&mut self, time: Duration) -> Result<Option<Frame>, MailboxFault> {
        let mut literal = 0..0;
        loop {
            while let Some(fragment) = self.frames.progress() {
                if let FragmentInfo::Literal { start, end } = fragment
                    && end - start > literal.len()
                {
                    literal = start..end;
                }
                if self.frames.is_message_complete() {
                    return self.frame(literal).map(Some);
                }
            }
            if !self.read(time).await? {
                return Ok(None);
            }
        }
    }

    /// The first thing that a server says.
    pub async fn greeting(&mut self) -> Result<Greeting<'static>, MailboxFault> {
        loop {
            while self.frames.progress().is_some() {
                if self.frames.is_message_complete() {
                    let greeting = self.frames.decode_message(&GreetingCodec::default());
                    return greeting
                        .map(IntoStatic::into_static)
                        .map_err(|_| MailboxFault::Protocol("it begins otherwise".into()));
                }
            }
            if !self.read(self.silence).await? {
                return Err(MailboxFault::Timeout(self.silence.as_secs()));
            }
        }
    }

    fn frame(&self, literal: std::ops::Range<usize>) -> Result<Frame, MailboxFault> {
        if self.frames.is_max_message_size_exceeded() {
            return Err(MailboxFault::Protocol("an answer is larger than what was asked for".into()));
        }
        match self.frames.decode_message(&ResponseCodec::default()) {
            Ok(answer) => Ok(Frame::Answer(Box::new(answer.into_static()))),
            Err(_) => {
                if literal.is_empty()
                    && let Some(answer) = in_ascii(self.frames.message_bytes())
                {
                    return Ok(Frame::Answer(Box::new(answer)));
                }
                let literal = self.frames.message_bytes().get(literal).filter(|bytes| !bytes.is_empty());
                Ok(Frame::Unknown { literal: literal.map(<[u8]>::to_vec) })
            }
        }
    }

    /// Reads what there is; whether something came in time.
    async fn read(&mut self, time: Duration) -> Result<bool, MailboxFault> {
        let mut chunk = [0; CHUNK];
        let most = CHUNK.min(self.left);
        let Some(room) = chunk.get_mut(..most).filter(|room| !room.is_empty()) else {
            return Err(MailboxFault::Protocol("it answers more than was asked for".into()));
        };
        let read = match tokio::time::timeout(time, self.stream.read(room)).await {
            Ok(read) => read.map_err(|e| broken(&e))?,
            Err(_) => return Ok(false),
        };
        if read == 0 {
            return Err(MailboxFault::Unavailable("the server closed the connection".into()));
        }
        self.left = self.left.saturating_sub(read);
        self.frames.enqueue_bytes(chunk.get(..read).unwrap_or_default());
        Ok(true)
    }
}

/// An answer whose words are in another language than ASCII can write, with `?` for what it cannot. The standard has words in
/// ASCII alone (RFC 3501, section 9), and servers name folders in them all the same.
fn in_ascii(bytes: &[u8]) -> Option<Response<'static>> {
    if bytes.is_ascii() {
        return None;
    }
    let bytes: Vec<u8> = bytes.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' }).collect();
    let (_, answer) = ResponseCodec::default().decode(&bytes).ok()?;
    Some(answer.into_static())
}

pub(crate) fn broken(error: &std::io::Error) -> MailboxFault {
    let text = crate::fault::words(&error.to_string());
    // A certificate that is not trusted comes as an error of the connection.
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return MailboxFault::Tls(text);
    }
    MailboxFault::Unavailable(text)
}
