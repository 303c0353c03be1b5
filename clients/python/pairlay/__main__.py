"""`python -m pairlay send|receive`: enough for people and for tests."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from .code import parse_code, parse_link
from .conversation import Conversation
from .errors import CodeError, PairlayError, RelayError
from .incoming import IncomingOffer, NotReceivedError
from .messages import Entry
from .outgoing import Source
from .receiver import Receiver
from .role import Options, courtesy
from .saving import read_text, save
from .sender import Request, Sender
from .sources import PipeSource, sources_of, text_source
from .tokens import Tokens
from .wire import shown

DELIVERED, FAILED, USAGE, NOT_PAIRED, RELAY, NOT_DELIVERED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
_RELAY = "http://127.0.0.1:8080"


class Terminal:
    """Tells what happens: in words on stderr, or with `--json` as one object a line on stdout."""

    def __init__(self, *, json_lines: bool) -> None:
        self._json = self.writes_json = json_lines
        self.paired = False

    def tell(self, event: str, words: str = "", **fields: Any) -> None:
        if self._json:
            print(json.dumps({"event": event, **fields}), flush=True)
        elif words:
            print(words, file=sys.stderr, flush=True)

    async def ask(self, question: str) -> str:
        """Returns a line of stdin, without its end."""
        if not self._json:
            print(question, end=" ", file=sys.stderr, flush=True)
        else:
            self.tell("question", text=question)
        line: str = await asyncio.to_thread(sys.stdin.readline)
        return line.strip()

    def status(self, status: str) -> None:
        if status == "fallback":
            self.tell("fallback", "No WebSocket passes: HTTP takes its place, which is slower.")
        elif status == "small_frames":
            self.tell("small_frames", "Something on the way takes no large requests: smaller ones follow.")
        elif status == "rejoined":
            self.tell("rejoined")
        else:
            self.tell("connection", status=status)


async def send(args: argparse.Namespace, terminal: Terminal) -> int:
    sources, tokens = _chosen(args, terminal)
    options = Options(on_status=terminal.status, only_http=args.http)
    opened = await Sender.open(
        args.relay, receivers=args.receivers, ttl_seconds=args.ttl, access_token=_access_token(args), options=options
    )
    async with opened as sender:
        words = f"Code: {sender.code}\nOn the other device: python -m pairlay receive --relay {args.relay}"
        terminal.tell("code", words, code=str(sender.code), link=sender.link)
        works: list[asyncio.Task[int]] = []
        async for request in _until_over(sender, works):
            number = request.keys.match_number
            terminal.tell("request", matchNumber=number, name=request.name, fingerprint=request.keys.fingerprint)
            if not args.yes and not await _is_right(sender, request, terminal):
                await sender.deny(request)
                terminal.tell("denied", "Denied: this code is of no use any more.")
                break
            talk = await sender.approve(request)
            terminal.paired = True
            terminal.tell("approved", f"Let in: {number}", matchNumber=number)
            works.append(asyncio.create_task(_deliver(talk, sources, tokens, number, terminal)))
            if len(works) == sender.receivers:
                break
        # Each device gets what it was promised, whatever became of the others.
        return max([await work for work in works], default=NOT_PAIRED)


async def _until_over(sender: Sender, works: Sequence[asyncio.Task[int]]) -> AsyncIterator[Request]:
    """Yields requests. The end of a session is told by the works, where there are any."""
    try:
        async for request in sender.requests():
            yield request
    except PairlayError:
        if not works:
            raise


def _access_token(args: argparse.Namespace) -> str | None:
    if not args.access_token_file:
        return None
    try:
        token = Path(args.access_token_file).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise PairlayError("usage", "--access-token-file is not a file that can be read.") from error
    if not re.fullmatch("[!-~]{1,512}", token):
        raise PairlayError("usage", "--access-token-file has no token: 1 to 512 characters without spaces.")
    return token


async def _is_right(sender: Sender, request: Request, terminal: Terminal) -> bool:
    name = f" ({request.name})" if request.name else ""
    if sender.must_type:
        typed = await terminal.ask(f"Type the number that the right device{name} shows, or nothing:")
        return typed.replace(" ", "") == request.keys.match_number.replace(" ", "")
    answer = await terminal.ask(f"Does the other device{name} show {request.keys.match_number}? (y/n)")
    return answer.lower() in ("y", "yes") and not sender.must_type


async def _deliver(
    talk: Conversation, sources: Sequence[Source], tokens: Tokens | None, number: str, terminal: Terminal
) -> int:
    try:
        offer, token = await talk.offer(sources, tokens.known() if tokens else ())
        resumed = await offer.answered
        if not offer.over:
            terminal.tell("answer", "Accepted.", matchNumber=number, resumes=resumed is not None)
            if tokens:
                tokens.keep(resumed or token)
        receipt = await offer.result
        if tokens:
            tokens.forget(resumed or token)
        for index, reason in offer.skipped:
            path = sources[index].entry.path
            terminal.tell("skipped", f"Left out: {path} ({reason})", path=path, reason=reason)
    except PairlayError as error:
        terminal.tell("not_delivered", str(error), matchNumber=number, code=error.code)
        await courtesy(talk.bye())
        return NOT_DELIVERED
    # The receipt stands, whatever becomes of the goodbye.
    await courtesy(talk.bye())
    terminal.tell("delivered", "Delivered.", matchNumber=number, bytes=receipt.bytes, skipped=receipt.skipped)
    return DELIVERED


def _chosen(args: argparse.Namespace, terminal: Terminal) -> tuple[list[Source], Tokens | None]:
    if args.text is not None:
        return [text_source(args.text)], None
    if args.paths == ["-"]:
        return [PipeSource(sys.stdin.buffer, Entry(args.name or "stdin"))], None
    if not args.paths:
        raise PairlayError("usage", "There is nothing to send: name a file, a folder, - or --text.")
    paths = [Path(path) for path in args.paths]
    sources, left_out = sources_of(paths)
    for path in left_out:
        terminal.tell("left_out", f"Not sent: {shown(path)}", path=path)
    return sources, Tokens.of(paths)


async def receive(args: argparse.Namespace, terminal: Terminal) -> int:
    text = args.code or await terminal.ask("Code:")
    link = parse_link(text)
    relay, code = link or (args.relay, parse_code(text))
    options = Options(takes_offers=True, on_status=terminal.status, only_http=args.http)
    name = socket.gethostname() if args.name is None else args.name
    async with await Receiver.join(relay, code, name=name or None, options=options) as receiver:
        keys = await receiver.number()
        words = f"The sender should show {keys.match_number}"
        terminal.tell("number", words, matchNumber=keys.match_number, fingerprint=keys.fingerprint)
        talk = await receiver.approved()
        terminal.paired = True
        terminal.tell("approved", matchNumber=keys.match_number)
        received = declined = 0
        async for offer in talk.offers():
            items = [entry.to_json() for entry in offer.entries]
            terminal.tell("offer", _list(offer), items=items, totalBytes=offer.bytes)
            try:
                if args.yes or await _is_wanted(offer, terminal):
                    await _take(offer, Path(args.into), terminal)
                    received += 1
                else:
                    offer.decline()
                    declined += 1
            except NotReceivedError as error:
                terminal.tell("not_received", str(error), code=error.code, message=str(error))
                declined += 1
            if not args.keep:
                break
        await talk.bye()
        terminal.tell("received", "Received." if received else "", offers=received)
        return DELIVERED if received and not declined else NOT_DELIVERED


async def _is_wanted(offer: IncomingOffer, terminal: Terminal) -> bool:
    answer = await offer.unless_over(terminal.ask("Save it? (y/n)"))
    return answer.lower() in ("y", "yes")


def _list(offer: IncomingOffer) -> str:
    rows = [f"  {shown(entry.path)}  {'' if entry.size is None else entry.size}" for entry in offer.entries[:20]]
    more = len(offer.entries) - len(rows)
    return "\n".join(["The sender offers:", *rows, *([f"  and {more} more"] if more else [])])


async def _take(offer: IncomingOffer, into: Path, terminal: Terminal) -> None:
    if len(offer.entries) == 1 and offer.entries[0].is_text:
        text = await read_text(offer)
        terminal.tell("text", text=text)
        if not terminal.writes_json:
            print(text)
        return
    saved = await save(
        offer,
        into,
        on_resumed=lambda count: terminal.tell("resumed", f"Goes on behind {count} bytes.", bytes=count),
        on_skip=lambda path, reason: terminal.tell("skipped", f"Left out: {shown(path)}", path=path, reason=reason),
    )
    for path in saved:
        terminal.tell("saved", f"Saved as {path}", path=str(path))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pairlay", description="Hands files from one device to another.")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    relay = os.environ.get("PAIRLAY_RELAY") or _RELAY
    shared.add_argument(
        "--relay", default=relay, help="the relay to use (default: $PAIRLAY_RELAY, or one on this machine)"
    )
    shared.add_argument("--json", action="store_true", help="print one event a line, as JSON, on stdout")
    shared.add_argument("--http", action="store_true", help="use no WebSocket")
    sends = commands.add_parser("send", parents=[shared], help="shows a code, and offers files and folders")
    sends.add_argument("paths", nargs="*", help="files and folders; - is stdin")
    sends.add_argument("--text", help="a text instead")
    sends.add_argument("--name", help="the name of what comes from stdin")
    sends.add_argument("--receivers", type=int, default=1, help="how many devices may be let in")
    sends.add_argument("--access-token-file", help="a file with the token that the relay's operator gave you")
    sends.add_argument("--ttl", type=int, help="how long the session may take, in seconds")
    sends.add_argument("--yes", action="store_true", help="let devices in without asking")
    takes = commands.add_parser("receive", parents=[shared], help="takes a code, and saves what is offered")
    takes.add_argument("code", nargs="?", help="the code or the link; asked for when missing")
    takes.add_argument("--into", default=".", help="the folder to save into")
    takes.add_argument("--name", help="what the sender sees (default: the host name)")
    takes.add_argument("--yes", action="store_true", help="accept without asking")
    takes.add_argument("--keep", action="store_true", help="stay for what else the sender offers")
    return parser


async def run(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    terminal = Terminal(json_lines=args.json)
    try:
        return await (send if args.command == "send" else receive)(args, terminal)
    except PairlayError as error:
        terminal.tell("error", code=error.code, message=str(error))
        print(shown(str(error)), file=sys.stderr)
        if error.code == "usage" or isinstance(error, CodeError):
            return USAGE
        if terminal.paired or isinstance(error, NotReceivedError):
            return NOT_DELIVERED
        return RELAY if isinstance(error, RelayError) and error.code != "session_not_found" else NOT_PAIRED
    except OSError as error:
        terminal.tell("error", code="failed", message=str(error))
        print(error, file=sys.stderr)
        return FAILED


def main() -> None:
    try:
        status = asyncio.run(run(sys.argv[1:]))
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.stdout.flush()
    # A thread that still waits for a line of stdin would keep the process.
    os._exit(status)


if __name__ == "__main__":
    main()
