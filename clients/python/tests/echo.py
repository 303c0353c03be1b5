"""Joins with a code, asks the other device one question, and answers each of its posts with the same bytes reversed."""

import asyncio
import sys

from pairlay import Options, Receiver, parse_code


async def main(relay: str, code: str) -> None:
    options = Options(takes_posts=True)
    async with await Receiver.join(relay, parse_code(code), name="echo", options=options) as receiver:
        print((await receiver.number()).match_number, flush=True)
        device = await receiver.approved()
        answer = await device.ask(b"question", "ask")
        print(answer.type, answer.data.decode(), flush=True)
        async for post in device.posts():
            await device.post(post.data[::-1], post.type, re=post.number)
        await device.bye()


asyncio.run(main(*sys.argv[1:]))
