"""Pairlay in Python: two devices pair by a short code and hand data over, end to end encrypted."""

from .code import PairingCode, parse_code, parse_link
from .conversation import Conversation
from .errors import (
    CodeError,
    CorruptError,
    HandshakeError,
    NotDeliveredError,
    PairlayError,
    RelayError,
    SessionEndedError,
)
from .handshake import Keys
from .incoming import Data, IncomingOffer, NotReceivedError, Skipped
from .messages import Entry
from .outgoing import OutgoingOffer, Receipt, Source, SourceError
from .posts import Post
from .receiver import Receiver
from .role import Options
from .saving import read_text, save
from .sender import Request, Sender
from .sources import BytesSource, FileSource, PipeSource, sources_of, text_source

__all__ = [
    "BytesSource",
    "CodeError",
    "Conversation",
    "CorruptError",
    "Data",
    "Entry",
    "FileSource",
    "HandshakeError",
    "IncomingOffer",
    "Keys",
    "NotDeliveredError",
    "NotReceivedError",
    "Options",
    "OutgoingOffer",
    "PairingCode",
    "PairlayError",
    "PipeSource",
    "Post",
    "Receipt",
    "Receiver",
    "RelayError",
    "Request",
    "Sender",
    "SessionEndedError",
    "Skipped",
    "Source",
    "SourceError",
    "parse_code",
    "parse_link",
    "read_text",
    "save",
    "sources_of",
    "text_source",
]
